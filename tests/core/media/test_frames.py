"""Videos read a window at a time: the same frames as decoding them in one go, in either direction."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation

from motionstream_core.media.frames import (
    WINDOW_FRAMES,
    ArrayFrames,
    Frames,
    FrameSource,
    backwards,
    forwards,
)
from motionstream_core.media.video import VideoFrames

COUNT = 2 * WINDOW_FRAMES + 9


class Watched:
    """A source that notes the windows which are asked for."""

    def __init__(self, source: FrameSource) -> None:
        self.source, self.windows = source, list[tuple[int, int]]()
        self.num_frames, self.height, self.width = source.num_frames, source.height, source.width

    def read(self, start: int, stop: int) -> Frames:
        self.windows.append((start, stop))
        return self.source.read(start, stop)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames whose grey level tells their number, with B-frames and a keyframe every 30."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_film(path, "libx264", {"g": "30", "bf": "2", "crf": "1"})
    return path


def write_film(path: Path, codec: str, options: dict[str, str]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(COUNT):
            image = np.full((48, 64, 3), 10 + 3 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def in_one_go(path: Path) -> Frames:
    exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    with av.open(str(path)) as container:
        decoded = container.decode(video=0)
        return np.stack([frame.to_ndarray(format="rgb24", interpolation=exact) for frame in decoded])


def test_windows_are_the_films_own_frames(film: Path) -> None:
    video, whole = VideoFrames(film), in_one_go(film)
    assert (video.num_frames, video.height, video.width, video.fps) == (COUNT, 48, 64, 24.0)
    for start, stop in ((0, 1), (0, COUNT), (29, 31), (31, 60), (COUNT - 1, COUNT)):
        np.testing.assert_array_equal(video.read(start, stop), whole[start:stop])
    np.testing.assert_allclose(video.read(40, 41).mean(), 10 + 3 * 40, atol=2)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("film.avi", "mpeg4", {"g": "12", "bf": "2"}),
        ("film.mp4", "libx264", {"g": "12", "bf": "2", "x264-params": "open-gop=1"}),
        ("film.ts", "libx264", {"g": "12", "bf": "2"}),
    ],
)
def test_windows_where_seeking_lands_behind_the_frame(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    write_film(tmp_path / name, codec, options)
    video, whole = VideoFrames(tmp_path / name), in_one_go(tmp_path / name)
    assert video.num_frames == len(whole)
    for start in range(0, COUNT - 4, 3):
        np.testing.assert_array_equal(video.read(start, start + 4), whole[start : start + 4])


def test_what_an_edit_list_cuts_off_is_no_frame(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"  # as phones and `ffmpeg -ss ... -c copy` write: packets before time 0
    with av.open(str(film)) as whole, av.open(str(path), "w") as container:
        source = whole.streams.video[0]
        stream = container.add_stream_from_template(source)
        shift = 7 * round(1 / (24 * source.time_base))
        for packet in whole.demux(source):
            if packet.size:
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                container.mux(packet)
    video, expected = VideoFrames(path), in_one_go(path)
    assert video.num_frames == len(expected) < COUNT
    np.testing.assert_array_equal(video.read(0, video.num_frames), expected)


def test_both_directions_in_windows(film: Path) -> None:
    whole = in_one_go(film)
    for source in (Watched(VideoFrames(film)), Watched(ArrayFrames(whole))):
        np.testing.assert_array_equal(np.stack(list(forwards(source, 5))), whole[5:])
        np.testing.assert_array_equal(np.stack(list(backwards(source, 50))), whole[50::-1])
        assert max(stop - start for start, stop in source.windows) == WINDOW_FRAMES


def test_a_file_in_memory(film: Path) -> None:
    np.testing.assert_array_equal(VideoFrames(io.BytesIO(film.read_bytes())).read(3, 5), in_one_go(film)[3:5])


def test_floats_are_rounded_to_levels() -> None:
    levels = np.arange(6, dtype=np.uint8).reshape(1, 1, 2, 3) * 51
    np.testing.assert_array_equal(ArrayFrames(levels.astype(np.float32) / 255).read(0, 1), levels)
    with pytest.raises(ValueError, match="uint8 or float"):
        ArrayFrames(levels.astype(int))
