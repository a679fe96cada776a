"""Files to a file, going on: a video's end and a saved stream, with the bundled student."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import STUDENT
from motionstream_core.media.video_file import VideoFile
from motionstream_core.streaming.render.fit import image_tensor
from motionstream_core.streaming.render.going_on import read_going_on, state_to
from motionstream_core.streaming.render.job import write_frames
from motionstream_core.streaming.render.renderer import Renderer, open_renderer
from motionstream_core.streaming.stream import StreamSettings
from motionstream_core.tracks.npz import save_npz

SIDE = 32


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return open_renderer(STUDENT)


@pytest.fixture(scope="module")
def first_image() -> Tensor:
    picture = Image.fromarray(drawn_example(2).image).resize((SIDE, SIDE))
    return image_tensor(np.asarray(picture))


def test_a_saved_stream_goes_on_as_if_it_had_never_been_cut(
    renderer: Renderer, first_image: Tensor, tmp_path: Path
) -> None:
    tracks = drawn_example(37).tracks.rescaled(SIDE, SIDE)
    (prompt,) = renderer.encode([""], [first_image])
    whole = torch.cat(list(renderer.video(prompt, first_image, tracks, 37, settings=StreamSettings(seed=4))))
    file = tmp_path / "one.stream.safetensors"
    keep = state_to(file, renderer, "student")
    first = list(renderer.video(prompt, first_image, tracks, 13, settings=StreamSettings(seed=4), keep=keep))
    job = read_going_on(renderer, "student", "", file, None, num_frames=24)
    assert job.before.size == (SIDE, SIDE) and job.tracks is None
    rest = list(renderer.going_on(prompt, job.before, job.tracks, 24))  # settings: the state's own
    torch.testing.assert_close(torch.cat([*first, *rest]), whole, rtol=0, atol=1e-4)
    out = tmp_path / "rest.mp4"
    pace = write_frames(job.frames(renderer, seed=4), out, 16.0)
    assert out.is_file() and pace.num_frames == 24


def test_a_videos_end_is_taken_at_the_models_rate_and_size(renderer: Renderer, tmp_path: Path) -> None:
    """81 frames at 32 a second; the last 1 + 12 at 16 a second are every second one from frame 56 on."""
    levels = torch.linspace(0.1, 0.9, 81)
    with VideoFile(tmp_path / "clip.mp4", 32.0) as file:
        file.push(levels[:, None, None, None].expand(81, 32, 64, 3))
    save_npz(drawn_example(25).tracks.rescaled(32, 64), tmp_path / "t.npz")
    job = read_going_on(renderer, "student", "", tmp_path / "clip.mp4", tmp_path / "t.npz", frame_size=(SIDE, SIDE))
    assert job.before.frames is not None and job.before.frames.shape == (1, 3, 13, SIDE, SIDE)
    torch.testing.assert_close(job.before.frames[0].mean((0, 2, 3)), levels[56::2], rtol=0, atol=0.02)
    assert job.num_frames == 24 and job.tracks is not None and job.tracks.num_frames == 25
    assert (job.tracks.height, job.tracks.width) == (SIDE, SIDE)
    assert write_frames(job.frames(renderer), tmp_path / "out.mp4", 16.0).num_frames == 24


def test_what_is_refused_names_the_option(renderer: Renderer, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--continue: there is no file"):
        read_going_on(renderer, "student", "", tmp_path / "none.mp4", None)
    broken = tmp_path / "broken.stream.safetensors"
    broken.write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"--continue: broken\.stream\.safetensors: this is no saved stream"):
        read_going_on(renderer, "student", "", broken, None)
    with VideoFile(tmp_path / "clip.mp4", 16.0) as file:
        file.push(torch.rand(5, 32, 32, 3))
    with pytest.raises(ValueError, match=r"makes 12 \* k frames, not 20"):
        read_going_on(renderer, "student", "", tmp_path / "clip.mp4", None, num_frames=20)
    with pytest.raises(ValueError, match="--image cannot be given beside --continue"):
        read_going_on(renderer, "student", "", tmp_path / "clip.mp4", None, tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match=r"--save-stream: x.bin must end in .stream.safetensors"):
        state_to(tmp_path / "x.bin", renderer, "student")
