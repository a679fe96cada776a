"""Videos whose frames come at uneven times: read, tracked, trimmed and trained on by their own time stamps.

The film is 60 frames of a bright square that goes 1 px a frame to the right; of its later half every second frame was
dropped, as a phone in the dark does. Its truth is the line x = 8.5 + number of the frame.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.frames import ArrayFrames, AtRate, VideoFrames, even_frames
from motionstream_core.tracks.extract.timing import at_even_times
from motionstream_core.training.data.footage import Footage, read_footage
from motionstream_core.training.data.video_frames import read_frames, video_info

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


def test_frames_come_at_one_rate_and_in_their_own_time(film: Path) -> None:
    """Nearest in time: never more than the half of the longest gap away. By number they are 15 frames off."""
    video = VideoFrames(film)
    assert video.fps == pytest.approx(FPS, rel=0.015)  # mkv counts in milliseconds
    assert video.num_frames == round(59 / FPS * video.fps) + 1
    assert not video.is_even
    truth = 9 + np.arange(video.num_frames) / video.fps * FPS
    error = np.abs(places(video.read(0, video.num_frames)) - truth)
    assert error.max() < 1.3
    windows = np.concatenate([video.read(start, min(start + 7, video.num_frames)) for start in range(0, 60, 7)])
    np.testing.assert_array_equal(windows, video.read(0, video.num_frames))


def test_tracks_go_evenly(film: Path) -> None:
    """A tracker sees frames that come twice; the points do not stand still for them."""
    video = VideoFrames(film)
    seen = places(video.read(0, video.num_frames))
    points = torch.from_numpy(np.stack([seen, np.full_like(seen, 32)], -1)[:, None]).float()
    tracks = at_even_times(Tracks(points, torch.ones(len(seen), 1, dtype=torch.bool), 64, 96), video)
    truth = 9 + np.arange(video.num_frames) / video.fps * FPS
    assert np.abs(tracks.points[:, 0, 0].numpy() - truth).max() < 0.35
    assert np.abs(seen - truth).max() > 0.6
    hidden = torch.ones(len(seen), 1, dtype=torch.bool)
    hidden[40:44] = False
    kept = at_even_times(Tracks(points, hidden, 64, 96), video)
    assert torch.equal(kept.visibility, hidden)
    torch.testing.assert_close(kept.points[40:44], points[40:44])


def test_a_trimmed_part_is_read_by_the_same_times(film: Path) -> None:
    video = VideoFrames(film, start_s=1.0, duration_s=0.5)
    assert places(video.read(0, 1))[0] == pytest.approx(9 + 30, abs=0.6)
    assert places(video.read(video.num_frames - 1, video.num_frames))[0] == pytest.approx(9 + 44, abs=0.6)
    with pytest.raises(ValueError, match="no frame from 5 s"):
        VideoFrames(film, start_s=5.0)


def test_training_reads_by_time_stamps(film: Path) -> None:
    info = video_info(film)
    assert info.last_s == pytest.approx(59 / FPS, abs=2e-3)
    times = np.linspace(0, 59 / FPS, 47)
    kept = np.array(KEPT)
    nearest = [kept[np.argmin(np.abs(kept / FPS - time))] for time in times]
    # a wanted time may lie in the middle of two
    assert np.abs(places(read_frames(info, times)) - 9 - np.array(nearest)).max() < 2.3
    assert np.abs(places(read_frames(info, times)) - 9 - times * FPS).max() < 1.3
    footage = read_footage(film, Footage((64, 96), 16.0, 1000, (0.1, 10)))
    assert np.abs(places(footage) - 9 - np.arange(len(footage)) / 16 * FPS).max() < 1.3


def test_even_frames_are_the_files_own() -> None:
    even = np.arange(50) / 24
    fps, own = even_frames(even, 24.0)
    assert (fps, own.tolist()) == (24.0, list(range(50)))
    rounded = np.round(np.arange(50) * 1001 / 30, 0) / 1000  # 29.97 a second, in milliseconds
    assert even_frames(rounded, 30000 / 1001)[1].tolist() == list(range(50))
    fps, own = even_frames(even, 0.0)  # a header that states no rate
    assert fps == pytest.approx(24) and own.tolist() == list(range(50))
    fps, own = even_frames(np.array([0, 1, 2, 3, 3.001, 3.002]), 1.0)
    assert own.tolist() == [0, 1, 2, 3]


def test_another_rate_takes_the_nearest_frames() -> None:
    source = ArrayFrames(np.stack([np.full((4, 4, 3), i, np.uint8) for i in range(31)]))
    slow = AtRate(source, 30.0, 16.0)
    shown = slow.read(0, slow.num_frames)[:, 0, 0, 0]
    assert len(shown) == 17
    assert np.abs(shown / 30 - np.arange(17) / 16).max() <= 0.5 / 30 + 1e-9
    np.testing.assert_array_equal(slow.read(5, 9), slow.read(0, 17)[5:9])
