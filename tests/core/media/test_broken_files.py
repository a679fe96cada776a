"""Files that are no video, or no whole one: each is named with its fault, and nothing hangs or follows a link."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from motionstream_core.media.faults import MediaError
from motionstream_core.media.frames import WINDOW_FRAMES, forwards
from motionstream_core.media.video import VideoFrames, video_info
from tests.core.media.video_files import write_video


def noise(count: int = 40, size: tuple[int, int] = (48, 64)) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, *size, 3), dtype=np.uint8))


def cut(path: Path, share: float = 0.5) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def fault_of(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        VideoFrames(path)
    assert str(caught.value) == f"{path} {caught.value.fault}"
    return caught.value.fault


def test_what_was_cut_off(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mp4", noise())
    assert VideoFrames(whole).num_frames == 40
    assert "or only the beginning of one" in fault_of(cut(whole))
    assert "cut off: its index names" in fault_of(cut(write_video(tmp_path / "fast.mp4", noise(), faststart=True)))
    assert "cut off: its index names" in fault_of(
        cut(write_video(tmp_path / "first.mp4", noise(2), faststart=True), 0.6)  # in the midst of the first frame
    )
    assert "cut off: its header states 2.5 s, and it ends after 1" in fault_of(
        cut(write_video(tmp_path / "a.mkv", noise()))
    )


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    assert "no video that can be read" in fault_of(tmp_path / "text.mp4")
    (tmp_path / "empty.mp4").write_bytes(b"")
    assert fault_of(tmp_path / "empty.mp4") == "is empty: 0 bytes"
    assert "is no file, but a folder" in fault_of(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"gone\.mp4: there is no such file"):
        VideoFrames(tmp_path / "gone.mp4")
    Image.new("RGB", (8, 8)).save(tmp_path / "still.webp")
    assert "WebP animations are to be converted to mp4 first" in fault_of(tmp_path / "still.webp")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "is no file, but a folder, pipe or device" in fault_of(tmp_path / "pipe.mp4")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert fault_of(tmp_path / "sound.wav") == "has no video in it, only sound"


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile other.mp4\n",
    ],
)
def test_no_list_leads_to_other_files(tmp_path: Path, text: str) -> None:
    write_video(tmp_path / "other.mp4", noise(3))
    (tmp_path / "list.mp4").write_text(text)
    assert "no video that can be read" in fault_of(tmp_path / "list.mp4")


def test_what_breaks_in_the_middle(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", noise(), faststart=True)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : -400] = bytes(len(content) - 400 - len(content) // 3)
    path.write_bytes(content)
    video = VideoFrames(path)
    assert video.read(0, 2).shape == (2, 48, 64, 3)
    with pytest.raises(MediaError, match=r"a\.mp4 (is broken|breaks off)"):
        video.read(0, video.num_frames)


def test_a_header_alone_tells_the_same_faults(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="or only the beginning"):
        video_info(cut(write_video(tmp_path / "a.mp4", noise(8))))


def coded(side: int, count: int) -> list[bytes]:
    """H.264 pictures of side x side px, each of which is whole."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width = codec.height = side
    codec.pix_fmt, codec.framerate, codec.time_base = "yuv420p", Fraction(16), Fraction(1, 16)
    codec.options, codec.gop_size, codec.max_b_frames = {"crf": "4"}, 1, 0
    frames = [av.VideoFrame.from_ndarray(np.full((side, side, 3), 90, np.uint8), format="rgb24") for _ in range(count)]
    return [bytes(packet) for frame in [*frames, None] for packet in codec.encode(frame)]


def test_a_video_that_changes_its_size_is_refused_where_it_does(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "both.ts"), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 48, 48, "yuv420p"
        for number, content in enumerate(coded(48, 40) + coded(64, 40)):
            packet = av.Packet(content)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 16), stream
            container.mux(packet)
    video = VideoFrames(tmp_path / "both.ts")
    frames = forwards(video)
    assert [next(frames).shape for _ in range(WINDOW_FRAMES)] == [(48, 48, 3)] * WINDOW_FRAMES
    with pytest.raises(MediaError, match=r"both\.ts changes its size from 48 x 48 to 64 x 64 px by frame 63"):
        list(frames)
