"""Videos whose frames come at uneven times: read, tracked, trimmed and trained on by their own time stamps.

The film is 60 frames of a bright square that goes 1 px a frame to the right; of its later half every second frame was
dropped, as a phone in the dark does. Its truth is the line x = 9 + number of the frame.
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from motionstream_core.evaluation.clips.cases import Protocol, read_clip
from motionstream_core.evaluation.clips.datasets import Footage as DatasetFootage
from motionstream_core.media.frames import ArrayFrames, at_rate
from motionstream_core.media.times import around, even_times, nearest, steady_rate
from motionstream_core.media.video import VideoFrames, video_info
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.timing import at_even_times
from motionstream_core.training.data.footage import Footage, read_footage
from motionstream_core.training.data.vae_clips import frames_at
from tests.core.media.video_files import write_video

FPS = 30
KEPT = [*range(30), *range(30, 60, 2), 59]


def picture(number: int) -> np.ndarray:
    image = np.full((64, 96, 3), 30, np.uint8)
    image[24:40, 4 + number : 14 + number] = 220
    return image


@pytest.fixture(scope="module", params=["film.mp4", "film.mkv"])
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uneven") / request.param
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "4", "g": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 600)
        for number in KEPT:
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = number * 600 // FPS, Fraction(1, 600)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def places(frames: np.ndarray) -> np.ndarray:
    """x of the square's middle in frames (t h w 3)."""
    bright = frames.mean((1, 3)) - 30
    weight = np.where(bright > 10, bright, 0)
    return (weight * (np.arange(frames.shape[2]) + 0.5)).sum(1) / weight.sum(1)


def test_every_recorded_frame_comes_once_with_its_time(film: Path) -> None:
    video = VideoFrames(film)
    assert video.num_frames == len(KEPT) and not video.is_even
    assert np.abs(video.times_s - np.array(KEPT) / FPS).max() < 1e-3  # mkv counts in milliseconds
    assert np.abs(places(video.read(0, video.num_frames)) - 9 - KEPT).max() < 0.3
    assert video.fps == pytest.approx(FPS, rel=0.015)


def test_frames_at_one_rate_are_those_nearest_in_time(film: Path) -> None:
    """Never more than the half of the longest gap away. By number they are 15 frames off."""
    video = VideoFrames(film)
    even = at_rate(video)
    assert even.num_frames == round(59 / FPS * video.fps) + 1
    truth = 9 + np.arange(even.num_frames) / video.fps * FPS
    assert np.abs(places(even.read(0, even.num_frames)) - truth).max() < 1.3
    windows = np.concatenate([even.read(start, min(start + 7, even.num_frames)) for start in range(0, 60, 7)])
    np.testing.assert_array_equal(windows, even.read(0, even.num_frames))


def test_tracks_go_evenly(film: Path) -> None:
    video = VideoFrames(film)
    seen = places(video.read(0, video.num_frames))
    points = torch.from_numpy(np.stack([seen, np.full_like(seen, 32)], -1)[:, None]).float()
    tracks = at_even_times(Tracks(points, torch.ones(len(seen), 1, dtype=torch.bool), 64, 96), video)
    truth = 9 + np.arange(tracks.num_frames) / video.fps * FPS
    assert tracks.num_frames == round(59 / FPS * video.fps) + 1
    assert np.abs(tracks.points[:, 0, 0].numpy() - truth).max() < 0.35
    hidden = torch.ones(len(seen), 1, dtype=torch.bool)
    hidden[35:37] = False  # of numbers 40 and 42: hidden from 39 to 43, nearest in time
    kept = at_even_times(Tracks(points, hidden, 64, 96), video)
    assert (~kept.visibility[:, 0]).nonzero()[:, 0].tolist() in ([40, 41, 42], [39, 40, 41, 42], [40, 41, 42, 43])


def test_a_trimmed_part_is_read_by_the_same_times(film: Path) -> None:
    video = VideoFrames(film, start_s=1.0, duration_s=0.5)
    assert places(video.read(0, video.num_frames)) == pytest.approx(9 + np.arange(30, 45, 2), abs=0.3)
    with pytest.raises(ValueError, match=r"film.* has no frame from 5 s"):
        VideoFrames(film, start_s=5.0)


def test_training_reads_by_time_stamps(film: Path) -> None:
    info = video_info(film)
    assert info.last_s == pytest.approx(59 / FPS, abs=2e-3)
    times = np.linspace(0, 59 / FPS, 47)
    assert np.abs(places(frames_at(film, times)) - 9 - times * FPS).max() < 1.3
    footage, _ = read_footage(film, Footage((64, 96), 16.0, 1000, (0.1, 10)))
    assert np.abs(places(footage) - 9 - np.arange(len(footage)) / 16 * FPS).max() < 1.3


@pytest.mark.parametrize("fps", [16.0, 24.0])
def test_evaluation_reads_by_time_stamps(film: Path, fps: float) -> None:
    clip = DatasetFootage("film", film, "videos")
    frames, _ = read_clip(clip, Protocol((64, 96), max_frames=81, fps=fps), lambda count: count)
    assert np.abs(places(frames) - 9 - np.arange(len(frames)) / fps * FPS).max() < 1.3


def test_a_frame_that_is_shown_for_no_time_is_left_out(tmp_path: Path) -> None:
    """As recorders of screens write them: its duration is set to 0 by hand, so that the next one has its time."""
    grey = [np.full((32, 48, 3), 20 + 20 * number, np.uint8) for number in range(8)]
    times = [0, 40, 80, 100, 200, 240, 280, 320]
    path = write_video(tmp_path / "a.mp4", grey, times=times, options={"bf": "0"})
    content = bytearray(path.read_bytes())
    table = content.index(b"stts") + 12  # (how many frames, of which duration), ISO 14496-12
    entries = [struct.unpack_from(">II", content, table + 8 * index) for index in range(5)]
    assert [count for count, _ in entries] == [2, 1, 1, 3, 1]  # the third frame lasts shorter than all others
    struct.pack_into(">II", content, table + 8, 1, 0)
    path.write_bytes(content)
    video = VideoFrames(path)
    assert video.num_frames == 7
    assert video.times_s * 600 == pytest.approx([0, 40, 80, 180, 220, 260, 300])
    shown = [20, 40, 80, 100, 120, 140, 160]
    for numbers in ([0, 1, 2, 3, 4, 5, 6], [2], [1, 2], [0, 1, 2], [3], [2, 3]):
        levels = video.at(np.array(numbers))[..., 1].mean((1, 2))
        assert np.abs(levels - [shown[number] for number in numbers]).max() <= 2


def test_rates() -> None:
    even = np.arange(50) / 24
    assert steady_rate(even, 24.0) == (24.0, True)
    rounded = np.round(np.arange(50) * 1001 / 30, 0) / 1000  # 29.97 a second, in milliseconds
    assert steady_rate(rounded, 30000 / 1001)[1]
    fps, is_even = steady_rate(even, 0.0)  # a header that states no rate
    assert fps == pytest.approx(24) and is_even
    assert steady_rate(np.array([0, 1, 2, 3, 3.001, 3.002]), 1.0) == (pytest.approx(1), False)
    assert steady_rate(np.zeros(1), 30.0) == (30.0, True)
    assert steady_rate(np.array([0, 0.05, 0.1, 0.6, 1.1]), 0.0) == (pytest.approx(20), False)  # as many of either
    assert even_times(2.0, 1.5).tolist() == pytest.approx([0, 2 / 3, 4 / 3, 2])


def test_times_between_times() -> None:
    times = np.array([0.0, 1.0, 4.0])
    assert nearest(times, np.array([0.4, 0.5, 0.6, 2.4, 2.6, 9])).tolist() == [0, 0, 1, 1, 2, 2]
    before, after, share = around(times, np.array([0.0, 0.25, 1.0, 2.5, 4.0, 9.0]))
    assert (before + share * (after - before)).tolist() == [0, 0.25, 1, 1.5, 2, 2]
    assert around(times[:1], np.array([0.0, 3.0]))[2].tolist() == [0, 0]


def test_another_rate_takes_the_nearest_frames() -> None:
    source = ArrayFrames(np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(31)]), 30.0)
    slow = at_rate(source, 16.0)
    shown = slow.read(0, slow.num_frames)[:, 0, 0, 0]
    assert len(shown) == 17
    assert np.abs(shown / 30 - np.arange(17) / 16).max() <= 0.5 / 30 + 1e-9
    np.testing.assert_array_equal(slow.read(5, 9), slow.read(0, 17)[5:9])
