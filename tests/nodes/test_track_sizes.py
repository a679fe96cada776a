"""The size that TRACKS were made for goes with them: nodes keep it, samplers scale by it, and nothing is guessed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]
Payload = dict[str, Any]


def bare(num_frames: int = 5, x: float = 0.0, num_tracks: int = 2) -> Payload:
    """Points at (x + 100 n, 20), as a node gives them that names no size."""
    path = torch.zeros(num_frames, num_tracks, 2)
    path[..., 0] = x + 100 * torch.arange(num_tracks)
    path[..., 1] = 20
    return {"track_path": path, "track_visibility": torch.ones(num_frames, num_tracks, dtype=torch.bool)}


def sized(width: int = 832, height: int = 480, **changes: Any) -> Payload:
    return {**bare(**changes), "track_width": width, "track_height": height}


def size_of(payload: Payload) -> Any:
    return payload.get("track_width"), payload.get("track_height")


CHANGES: dict[str, Callable[[Pack, Payload], Any]] = {
    "merge": lambda pack, given: pack("nodes.tracks.transform").MotionStreamMergeTracks.execute(
        given, bare(), "stretch"
    ),
    "transform": lambda pack, given: pack("nodes.tracks.transform").MotionStreamTransformTracks.execute(
        given, 1.0, 0.0, 1.0, 0.0, "constant", 0, -1, "points", 0.0, 0.0, 1.0, 1.0
    ),
    "retime": lambda pack, given: pack("nodes.tracks.retime").MotionStreamRetimeTracks.execute(
        given, 9, 0, 0, 0.0, True, 0, 0, "hold", "hold"
    ),
    "smooth": lambda pack, given: pack("nodes.tracks.retime").MotionStreamSmoothTracks.execute(given, 2),
    "filter": lambda pack, given: pack("nodes.tracks.filter").MotionStreamFilterTracks.execute(
        given, "random", False, 0, 0.5, 1, 0, 0, 0
    ),
    "filter in mask": lambda pack, given: pack("nodes.tracks.filter").MotionStreamFilterTracks.execute(
        given, "in mask", False, 0, 0.5, 1, 0, 0, 0, torch.ones(48, 83)
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_payload_keeps_its_size_and_invents_none(pack: Pack, name: str) -> None:
    for given, size in ((sized(), (832, 480)), (bare(), (None, None))):
        for output in CHANGES[name](pack, given).args:
            if isinstance(output, dict):
                assert size_of(output) == size
                assert ("track_width" in output) == (size[0] is not None)


def test_a_mask_lies_over_the_frame_that_the_tracks_name(pack: Pack) -> None:
    mask = torch.zeros(1, 48, 83)
    mask[:, :, :5] = 1  # a twentieth of the width: up to 50 of 832 px
    node = pack("nodes.tracks.filter").MotionStreamFilterTracks
    kept, rest = node.execute(sized(), "in mask", False, 0, 0.5, 1, 0, 0, 0, mask).args
    assert (kept["track_path"].shape[1], rest["track_path"].shape[1]) == (1, 1)


def test_half_a_size_and_one_that_is_none_are_refused(pack: Pack) -> None:
    node = pack("nodes.tracks.retime").MotionStreamSmoothTracks
    with pytest.raises(ValueError, match="tracks: TRACKS has track_width alone; give both"):
        node.execute({**bare(), "track_width": 8}, 1)
    with pytest.raises(ValueError, match="tracks: track_height is 0; it must be a whole number of pixels"):
        node.execute(sized(height=0), 1)


def test_two_sizes_do_not_merge(pack: Pack) -> None:
    node = pack("nodes.tracks.transform").MotionStreamMergeTracks
    with pytest.raises(
        ValueError, match=r"tracks_3 was made for 128 x 128 px, tracks_2 for 832 x 480 px;.*Rescale Tra"
    ):
        node.execute(bare(), sized(), "stretch", sized(128, 128))
    with pytest.raises(
        ValueError, match=r"tracks_2: 100% of the tracks \(2 of 2\) never lie inside the frame of 128 x 128"
    ):
        node.execute(sized(128, 128), bare(x=400), "stretch")


def test_rescale_knows_where_from_and_may_be_told_otherwise(pack: Pack, caplog: pytest.LogCaptureFixture) -> None:
    node = pack("nodes.tracks.transform").MotionStreamRescaleTracks
    result = node.execute(sized(400, 200), 0, 0, 200, 100, "crop").args[0]
    assert result["track_path"][0].tolist() == [[0, 10], [50, 10]] and size_of(result) == (200, 100)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        result = node.execute(sized(400, 200), 200, 100, 100, 50, "crop").args[0]
    assert result["track_path"][0].tolist() == [[0, 10], [50, 10]] and size_of(result) == (100, 50)
    assert "from_width x from_height is 200 x 100 px, but the tracks were made for 400 x 200 px" in caplog.text
    with pytest.raises(ValueError, match="from_width is 0 and from_height 0, but these tracks do not say the size"):
        node.execute(bare(), 0, 0, 100, 50, "crop")


def test_a_contradiction_is_an_error_and_zero_takes_what_is_known(pack: Pack, host: Any) -> None:
    node = pack("nodes.tracks.preview").MotionStreamPreviewTracks
    overlay, _ = node.execute(sized(64, 48), 0, 16.0, 0, 0, 0.0).args
    assert overlay.shape == (5, 48, 64, 3)
    with pytest.raises(
        ValueError, match=r"width x height is 32 x 48 px, but the tracks were made for 64 x 48 px; set both to 0"
    ):
        node.execute(sized(64, 48), 0, 16.0, 32, 0, 0.0)
    with pytest.raises(
        ValueError, match="source_width x source_height is 128 x 128 px, but the tracks were made for 832"
    ):
        pack("nodes.tracks.extract").MotionStreamTransferTracks.execute(
            sized(), 128, 128, 64, 64, 9, "fit", 1.0, 0.0, 0.0, 0.0, "stretch", 16.0, 16.0
        )


def test_drawn_over_pictures_of_another_size(pack: Pack, host: Any) -> None:
    """A dot at (100, 20) of 200 x 100 px is at (50, 10) of 100 x 50."""
    given = sized(200, 100, num_tracks=1, x=100)
    overlay = pack("nodes.tracks.draw").MotionStreamDrawTracks.execute(torch.zeros(1, 50, 100, 3), given, 0, 2.0, 0, 0)
    lit = overlay.args[0][0].sum(-1).nonzero().float()
    assert (lit.mean(0) + 0.5).tolist() == pytest.approx([10, 50], abs=0.6)
    # over the square that a sampler cuts of it: 50 px of each side are gone
    overlay = pack("nodes.tracks.draw").MotionStreamDrawTracks.execute(torch.zeros(1, 50, 50, 3), given, 0, 2.0, 0, 0)
    lit = overlay.args[0][0].sum(-1).nonzero().float()
    assert (lit.mean(0) + 0.5).tolist() == pytest.approx([10, 25], abs=0.6)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_what_was_drawn_on_the_editor_reaches_a_small_video(pack: Pack, fit: str) -> None:
    """832 x 480 to 128 x 128: cut to the middle 480 px, or each side by itself."""
    document = {
        "format": "motionstream-tracks",
        "version": 1,
        "canvas": {"width": 832, "height": 480, "num_frames": 13, "fps": 16},
        "tracks": [
            {"id": "a", "kind": "path", "interpolation": "linear", "points": [[416, 240], [536, 240]], "start": 0}
            | {"duration": 12}
        ],
    }
    editor = pack("nodes.tracks.editor").MotionStreamTrackEditor
    drawn, _, length, width, height = editor.execute(json.dumps(document), 832, 480, 13, "stretch").args
    assert (length, width, height) == (13, 832, 480)
    tracks, told = pack("nodes.streaming.request").tracks_of(drawn, (128, 128), fit)
    step = 120 * 128 / (480 if fit == "crop" else 832)
    assert tracks.points[[0, -1], 0].tolist() == [[64, 64], [pytest.approx(64 + step, abs=1e-3), 64]]
    assert (tracks.height, tracks.width) == (128, 128)
    assert told == f"motion: made for 832 x 480 px, brought to 128 x 128 px ({fit})"


def test_tracks_of_no_named_size_are_px_of_the_video_unless_they_lie_outside(pack: Pack) -> None:
    tracks_of = pack("nodes.streaming.request").tracks_of
    tracks, told = tracks_of(bare(x=10), (128, 128), "crop")
    assert (tracks.points[0].tolist(), told) == ([[10, 20], [110, 20]], "")
    words = r"motion: 67% of the tracks \(2 of 3\) never lie inside the frame of 128 x 128 px.*Rescale Tracks"
    with pytest.raises(ValueError, match=words):
        tracks_of(bare(x=50, num_tracks=3), (128, 128), "crop")
    outside = {**bare(x=200, num_tracks=3), "track_width": 128, "track_height": 128}
    assert tracks_of(outside, (128, 128), "crop")[0].num_tracks == 3  # a known size is believed


def test_one_name_never_bears_two_suffixes(pack: Pack) -> None:
    named = pack("nodes.tracks.files").named
    assert named("x.npz", "json") == named("x.json", "json") == named(" x ", "json") == "x.json"
    assert named("a/x.json", "npz") == "a/x.npz"
    assert named("x.v2", "npz") == "x.v2.npz"
