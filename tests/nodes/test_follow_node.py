"""A student that follows a video, against the Student Streamer told the same tracks beforehand, a chunk later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")

from tests.core.media.video_files import write_video
from tests.core.tracks.moving_pictures import noise_picture, sliding

Pack = Callable[[str], Any]
SIDE, LENGTH, DELAY = 32, 25, 12


def random_vae(pack: Pack) -> Any:
    """Of the bundled kind; every time another one."""
    config = pack("motionstream_core.training.stages.tiny_vae.stage").BUNDLED_VAE
    vae = pack("motionstream_core.models.vae.tiny_vae").TinyVae(config)
    return pack("nodes.host.vae").StreamVae(vae.eval().requires_grad_(False), "random vae")


@pytest.fixture(scope="module")
def parts(pack: Pack) -> dict[str, Any]:
    """A student and a VAE of the bundled kind, with random weights, and an image."""
    torch.manual_seed(0)
    checkpoints = pack("motionstream_core.checkpoints")
    spec = pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC
    network = checkpoints.build_model(spec).eval().requires_grad_(False)
    for parameter in network.parameters():  # no weight may be 0, or tracks would change nothing
        parameter += 0.02 * torch.randn(parameter.shape)
    model = pack("nodes.host.network").host_model(checkpoints.LoadedModel(network, spec), "random", torch.float32)
    return {
        "model": model,
        "vae": random_vae(pack),
        "image": torch.rand(1, SIDE, SIDE, 3, generator=torch.Generator().manual_seed(1)),
        "prompt": "a red circle , still air",
        "width": SIDE,
        "height": SIDE,
        "length": LENGTH,
        "fit": "crop",
        "seed": 5,
    }


@pytest.fixture(scope="module")
def reference() -> Tensor:
    return torch.from_numpy(sliding((1, 1), num_frames=LENGTH, side=64)).float() / 255


def follow(pack: Pack, parts: dict[str, Any], **given: Any) -> tuple[Any, ...]:
    tracking = {"tracker": "opencv", "rows": 6, "columns": 6, "lay": "fit", "delay_chunks": 1, "checkpoint": "auto"}
    return pack("nodes.streaming.follow_video").MotionStreamFollowVideo.execute(**{**parts, **tracking, **given}).args


def told(pack: Pack, parts: dict[str, Any], reference: Tensor, delay: int) -> Tensor:
    """The Student Streamer's frames for the reference's tracks, `delay` frames later."""
    extraction = pack("nodes.tracks.extract")
    chosen = {"tracker": "opencv", "rows": 6, "columns": 6, "query_frame": 0, "coordinates": "", "checkpoint": "auto"}
    tracks = extraction.MotionStreamExtractTracks.execute(**chosen, images_fps=16.0, images=reference).args[0]
    path = tracks["track_path"] / 2  # 64 px to 32
    seen = tracks["track_visibility"] & ((path >= 0) & (path < SIDE)).all(-1)
    index = (torch.arange(LENGTH) - delay).clamp(min=0)
    motion = {"track_path": path[index], "track_visibility": seen[index]}
    knobs = {"sink_frames": -1, "window_frames": -1, "steps": -1}
    return pack("nodes.streaming.streamer").MotionStreamStudentStreamer.execute(**parts, **knobs, motion=motion).args[0]


def test_the_video_is_followed_a_chunk_later(pack: Pack, parts: dict[str, Any], reference: Tensor, host: Any) -> None:
    frames, fps, report, video = follow(pack, parts, images=reference)
    assert torch.equal(video.images, frames)
    assert frames.shape == (LENGTH, SIDE, SIDE, 3) and fps == 16.0
    assert "36 points" in report and "12 frames behind" in report
    assert torch.equal(frames, told(pack, parts, reference, DELAY))
    assert not torch.equal(frames, told(pack, parts, reference, 0))
    assert torch.equal(follow(pack, parts, images=reference, delay_chunks=0)[0], told(pack, parts, reference, 0))
    assert host.updates


def test_another_vae_decodes(pack: Pack, parts: dict[str, Any], reference: Tensor, host: Any) -> None:
    both = {**parts, "decoder": random_vae(pack)}
    frames = follow(pack, both, images=reference)[0]
    assert torch.equal(frames, told(pack, both, reference, DELAY))
    assert not torch.equal(frames, told(pack, parts, reference, DELAY))


def test_the_same_motion_moves_as_far_at_any_rate(pack: Pack, parts: dict[str, Any], host: Any, tmp_path: Path) -> None:
    """One motion of 1 px in 1/16 s, filmed at 48, 16 and 12 frames a second: the student is told the same."""
    told: dict[int, Tensor] = {}
    for fps in (48, 16, 12):
        steps = [48 // fps * i for i in range(48 * 24 // 16 * fps // 48 + 1)]
        smooth = noise_picture(3 * (64 + 30), 3 * (64 + 30))  # of 1/3 px
        frames = [smooth[90 - i : 90 - i + 192, 90 - i : 90 - i + 192] for i in steps]
        small = [frame.reshape(64, 3, 64, 3, 3).mean((1, 3)).astype(np.uint8) for frame in frames]
        write_video(tmp_path / f"{fps}.mp4", small, fps=fps)
        video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / f"{fps}.mp4"))
        follower = pack("nodes.streaming.follow_video")
        reference = pack("nodes.tracks.footage").footage(video, None, 16.0).frames
        tracker = pack("motionstream_core.tracks.extract.tracker").OpenCvTracker()
        online, _ = follower._online(reference, 16.0, tracker, 6, 6, 0, (SIDE, SIDE), "fit", None)
        told[fps] = online.at_frames(0, LENGTH).points
        assert "times as fast" not in follow(pack, parts, video=video)[2]
    truth = told[16][:1] + 0.5 * torch.arange(LENGTH)[:, None, None]  # 64 px to 32
    for fps, points in told.items():
        assert (points - truth).norm(dim=-1).median() < 0.15, fps
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / "48.mp4"))
    assert "so 0.33 times as fast" in follow(pack, parts, video=video, time="frames")[2]


def test_a_mask_says_what_moves(pack: Pack, parts: dict[str, Any], reference: Tensor, host: Any) -> None:
    mask = torch.from_numpy(np.pad(np.ones((14, 14), np.float32), 9))[None]
    # of 6 x 6 points over 32 px, at 2.7, 8, 13.3, 18.7 ... px, 2 x 2 lie between 9 and 23
    assert follow(pack, parts, images=reference, mask=mask)[2].startswith("4 points")
    with pytest.raises(ValueError, match="no point of the grid begins on it"):
        follow(pack, parts, images=reference, mask=torch.zeros(1, SIDE, SIDE))


def test_cancelling_stops_it(pack: Pack, parts: dict[str, Any], reference: Tensor, host: Any) -> None:
    from .conftest import Interrupt

    host.interrupted = True
    with pytest.raises(Interrupt):
        follow(pack, parts, images=reference)


def test_a_student_without_a_track_head_is_refused(pack: Pack, parts: dict[str, Any], reference: Tensor) -> None:
    checkpoints = pack("motionstream_core.checkpoints")
    spec = pack("motionstream_core.training.recipes.bundled_specs").STUDENT_SPEC
    slots = tuple((kind, width) for kind, width in spec.layout.slots if kind != "track")
    layout = replace(spec.layout, slots=slots)
    backbone = replace(spec.backbone, in_channels=layout.num_channels)
    plain = replace(spec, backbone=backbone, layout=layout, track_head=None)
    network = checkpoints.build_model(plain).eval().requires_grad_(False)
    model = pack("nodes.host.network").host_model(checkpoints.LoadedModel(network, plain), "plain", torch.float32)
    with pytest.raises(ValueError, match=r"model: .*track"):
        follow(pack, parts, model=model, images=reference)
