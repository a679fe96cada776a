"""Colours of written mp4: those that went in, for a reader that takes the tags at their word and one that knows none.

The truth is ITU-R BT.709's matrix, written out here (Kr = 0.2126, Kb = 0.0722, limited range).
"""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from motionstream_core.live.recording import About, Recording
from motionstream_core.media.video import VideoFrames
from motionstream_core.media.video_file import VideoFile

COLOURS = np.array(list(itertools.product((0, 90, 180, 255), repeat=3)), np.uint8)
TAGS = {"colorspace": 1, "color_primaries": 1, "color_trc": 13, "color_range": 1}  # BT.709, sRGB's curve, limited


def flat(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(COLOURS[:, None, None], (len(COLOURS), height, width, 3)).copy()


def by_bt709(path: Path) -> np.ndarray:
    """The middle colours of all frames, unrounded, from the stored planes."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            y, u, v = (np.asarray(plane).reshape(plane.height, -1)[plane.height // 2, 8] for plane in frame.planes)
            light, blue, red = (int(y) - 16) / 219, (int(u) - 128) / 224, (int(v) - 128) / 224
            r, b = light + 2 * (1 - 0.2126) * red, light + 2 * (1 - 0.0722) * blue
            found.append([255 * r, 255 * (light - 0.2126 * r - 0.0722 * b) / 0.7152, 255 * b])
    return np.array(found)


def tags(path: Path) -> dict[str, int]:
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        return {name: int(getattr(context, name)) for name in TAGS}


@pytest.mark.parametrize(("height", "width"), [(32, 48), (720, 1280)])
def test_flat_colours_come_back(tmp_path: Path, height: int, width: int) -> None:
    colours = flat(height, width) if height < 100 else flat(height, width)[::9]
    with VideoFile(tmp_path / "a.mp4", 16) as file:
        for image in colours:
            file.push(torch.from_numpy(image[None]).float() / 255)
    error = np.abs(by_bt709(tmp_path / "a.mp4") - colours[:, 0, 0])
    assert error.max() < 2  # half a level of each plane
    video = VideoFrames(tmp_path / "a.mp4")
    assert np.abs(video.read(0, video.num_frames).astype(int) - colours).max() <= 2
    assert tags(tmp_path / "a.mp4") == TAGS


def test_a_live_recording_has_the_same_colours(tmp_path: Path) -> None:
    about = About("m", "", 48, 32, 16.0, 0, 4, 1, 2)
    recording = Recording(tmp_path, "live", about, None)
    recording.push(0, flat(32, 48), [])
    video = recording.finish().video
    assert video is not None
    assert np.abs(by_bt709(video) - COLOURS).max() < 2
    assert tags(video) == TAGS


@pytest.mark.parametrize("pixels", ["yuv420p", "yuvj420p"])
def test_full_and_limited_range_are_told_apart(tmp_path: Path, pixels: str) -> None:
    """A file of another writer, whose tags say BT.709 in either range."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=16, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, pixels
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2 if pixels == "yuvj420p" else 1
        for image in flat(32, 48):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            made = frame.reformat(
                format=pixels, dst_colorspace=1, dst_color_range="JPEG" if pixels == "yuvj420p" else "MPEG"
            )
            container.mux(stream.encode(made))
        container.mux(stream.encode())
    video = VideoFrames(tmp_path / "a.mp4")
    assert np.abs(video.read(0, video.num_frames).astype(int) - flat(32, 48)).max() <= 3
