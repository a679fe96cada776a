"""The preview node without a host: what it draws over, what it shows, when it stops."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import av
import pytest
import torch

from tests.nodes.conftest import Interrupt

Pack = Callable[[str], Any]
PREVIEW = {"tail_frames": 3, "fps": 0.0, "width": 0, "height": 0, "radius": 2.0}


def payload(num_frames: int = 6) -> dict[str, torch.Tensor]:
    """A point that goes 6 px right a frame along y = 16."""
    x = 8 + 6 * torch.arange(num_frames).float()
    path = torch.stack([x, torch.full_like(x, 16)], -1)[:, None]
    return {"track_path": path, "track_visibility": torch.ones(num_frames, 1, dtype=torch.bool)}


def preview(pack: Pack, **changes: Any) -> Any:
    node = pack("nodes.tracks.preview").MotionStreamPreviewTracks
    return node.execute(payload(), **{**PREVIEW, **changes})


def test_over_a_background_of_the_given_size(pack: Pack, host: Any) -> None:
    overlay, fps = preview(pack, width=48, height=32).args
    assert overlay.shape == (6, 32, 48, 3)
    assert fps == 16
    plain = overlay[0, 0, 0]
    for t in range(6):
        changed = (overlay[t] - plain).abs().amax(dim=-1) > 0.1
        columns = changed.any(dim=0).nonzero()[:, 0]
        assert changed[16, 8 + 6 * t]  # the point
        assert columns.max() == pytest.approx(8 + 6 * t + 2, abs=2)
        assert columns.min() == pytest.approx(8 + 6 * max(0, t - 3) - 1, abs=2)  # the tail: three steps
    assert [done for done, _ in host.updates] == [1, 2, 3, 4, 5, 6, 6]


def test_over_one_picture_and_over_many(pack: Pack, host: Any) -> None:
    pictures = torch.rand(6, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    many = preview(pack, images=pictures).args[0]
    assert torch.equal(many[:, :8], pictures[:, :8])
    one = preview(pack, images=pictures[:1]).args[0]
    assert torch.equal(one[:, :8], pictures[:1, :8].expand(6, -1, -1, -1))
    scaled = preview(pack, images=pictures[:1], width=96, height=64).args[0]
    assert not torch.equal(scaled[5, 8], pictures[0, 8])  # y = 16 of 64 is row 8 of 32


def test_over_a_video(pack: Pack, host: Any) -> None:
    components = SimpleNamespace(images=torch.zeros(6, 32, 48, 3), frame_rate=24)
    overlay, fps = preview(pack, video=SimpleNamespace(get_components=lambda: components)).args
    assert overlay.shape == (6, 32, 48, 3)
    assert fps == 24


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "neither images nor video is connected"),
        ({"images": torch.zeros(4, 8, 8, 3)}, "there are 4 frames, but tracks for 6"),
        ({"images": torch.zeros(1, 8, 8, 3), "video": object()}, "both images and video"),
    ],
)
def test_refusals(pack: Pack, host: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        preview(pack, **changes)


def test_a_browser_gets_a_video_and_nobody_else_does(pack: Pack, host: Any) -> None:
    assert preview(pack, width=48, height=32).ui is None
    host.client_id = "browser"
    shown = preview(pack, width=47, height=31, fps=8.0)
    (file,) = shown.ui["images"]
    assert (shown.ui["animated"], file["type"]) == ((True,), "temp")
    with av.open(str(host.models_dir / "temp" / file["filename"])) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 8
    assert len(frames) == 6
    assert frames[0].shape == (32, 48, 3)
    assert preview(pack, width=47, height=31, fps=8.0).ui["images"] == [file]
    (host.models_dir / "temp" / file["filename"]).unlink()  # the folder is the whole session's


def test_cancel_stops_it(pack: Pack, host: Any) -> None:
    host.interrupted = True
    with pytest.raises(Interrupt):
        preview(pack, width=48, height=32)
    assert host.updates == []
