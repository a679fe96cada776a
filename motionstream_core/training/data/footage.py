"""One video file to clips of a fixed rate, size and length: re-sampled in time, cropped, resized as it is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]


class FootageError(ValueError):
    """A video cannot be used. reason: one of a few fixed words; detail: what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type[FootageError], tuple[str, str]]:
        return FootageError, (self.reason, self.detail)


@dataclass(frozen=True)
class Footage:
    """What of a video is read.

    frame_size: (height, width) px. fps: of the result. max_frames: no more are read. aspect_range: least and greatest
    width / height, as displayed, of a video that may be cropped to frame_size.
    """

    frame_size: tuple[int, int]
    fps: float
    max_frames: int
    aspect_range: tuple[float, float]


def read_footage(path: Path, footage: Footage) -> Frames:
    """Frames (t h w 3) of a video at footage.fps from its first frame on, each the nearest in time, t <= max_frames.

    The middle is cropped to the frame's aspect ratio, then resized. Rotation and the pixels' own aspect ratio, which
    the file may tell, are heeded. Raises FootageError ("unreadable", "aspect"), ImportError without PyAV or OpenCV.
    """
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise ImportError("reading videos needs PyAV; pip install av") from error
    if not path.is_file():
        raise FootageError("unreadable", "there is no such file")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise FootageError("unreadable", "it has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            pixel_aspect = float(stream.sample_aspect_ratio or 1)
            chosen = _at_rate(_timed(container, stream), footage)
            picked = [
                fit_frame(frame.to_ndarray(format="rgb24"), frame.rotation, pixel_aspect, footage) for frame in chosen
            ]
    except FootageError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        raise FootageError("unreadable", str(error)) from error
    if not picked:
        raise FootageError("unreadable", "it holds no frame")
    return np.stack(picked)


def _timed(container: Any, stream: Any) -> Iterator[tuple[float, Any]]:
    """(time in s from the first frame, frame); a frame without a time stamp follows the one before at the mean rate."""
    interval = 1 / float(stream.average_rate or 25)
    start, last = None, -interval
    for frame in container.decode(stream):
        if frame.pts is None:
            time = last + interval
        else:
            stamp = float(frame.pts * stream.time_base)
            start = stamp if start is None else start
            time = stamp - start
        if time > last:
            last = time
            yield time, frame


def _at_rate(frames: Iterator[tuple[float, Any]], footage: Footage) -> Iterator[Any]:
    """The frames nearest to times 0, 1 / fps, 2 / fps, ... up to half an interval after the last frame."""
    before: tuple[float, Any] | None = None
    count = 0
    for time, frame in frames:
        # a wanted time in the earlier half of the gap belongs to the frame before
        while before is not None and count < footage.max_frames and count / footage.fps < (before[0] + time) / 2:
            yield before[1]
            count += 1
        if count == footage.max_frames:
            return
        before = time, frame
    while before is not None and count < footage.max_frames and count / footage.fps < before[0] + 0.5 / footage.fps:
        yield before[1]
        count += 1


def fit_frame(pixels: Frames, rotation: float, pixel_aspect: float, footage: Footage) -> Frames:
    """Decoded pixels (h w 3) as displayed, cropped and resized.

    rotation: degrees counterclockwise by which the file asks to turn them. pixel_aspect: width / height of one pixel.
    Raises FootageError ("aspect").
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError("preparing videos needs OpenCV; pip install opencv-python-headless") from error
    turns = round(rotation / 90) % 4
    if turns:
        pixels = np.rot90(pixels, turns)
        pixel_aspect = 1 / pixel_aspect if turns % 2 else pixel_aspect
    height, width = pixels.shape[:2]
    aspect = width * pixel_aspect / height
    least, greatest = footage.aspect_range
    if not least <= aspect <= greatest:
        raise FootageError("aspect", f"{aspect:.2f}, wanted {least:.2f} to {greatest:.2f}")
    wanted = footage.frame_size[1] / footage.frame_size[0]
    cropped_width = min(width, max(1, round(height * wanted / pixel_aspect)))
    cropped_height = min(height, max(1, round(width * pixel_aspect / wanted)))
    left, top = (width - cropped_width) // 2, (height - cropped_height) // 2
    inner = np.ascontiguousarray(pixels[top : top + cropped_height, left : left + cropped_width])
    target = (footage.frame_size[1], footage.frame_size[0])
    if (cropped_width, cropped_height) == target:
        return inner
    shrinks = cropped_width > target[0]
    resized = cv2.resize(inner, target, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)
