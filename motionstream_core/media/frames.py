"""Frames of a clip, read a window at a time: what is done with a video that may be longer than memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .times import Times, even_times, nearest

Frames = NDArray[np.uint8]

WINDOW_FRAMES = 32


class FrameSource(Protocol):
    """A clip of `num_frames` frames of `height` x `width` px."""

    @property
    def num_frames(self) -> int: ...

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def read(self, start: int, stop: int) -> Frames:
        """Frames [start, stop) as uint8 RGB (t h w 3); 0 <= start < stop <= num_frames."""
        ...


class TimedFrames(FrameSource, Protocol):
    """A clip whose frames have times.

    times_s: of every frame, rising from 0. fps: the even rate that suits it; where the frames themselves come evenly,
    frame k is at k / fps.
    """

    @property
    def times_s(self) -> Times: ...

    @property
    def fps(self) -> float: ...

    def at(self, numbers: NDArray[np.int64]) -> Frames:
        """Frames of rising numbers, which may come more than once, as `read` gives them."""
        ...


class ArrayFrames:
    """Frames that are in memory already: uint8 (t h w 3), or float in 0..1 (rounded as they are read), at one rate."""

    def __init__(self, frames: NDArray[Any], fps: float = 1.0) -> None:
        floating = np.issubdtype(frames.dtype, np.floating)
        if frames.ndim != 4 or frames.shape[3] != 3 or not (frames.dtype == np.uint8 or floating) or not frames.size:
            raise ValueError(f"frames are {frames.dtype} {frames.shape}; they must be uint8 or float in 0..1 (t h w 3)")
        if not fps > 0:
            raise ValueError(f"the frames' rate is {fps:g} a second; it must be above 0")
        self._frames, self._floating = frames, floating
        self.num_frames, self.height, self.width = frames.shape[:3]
        self.fps, self.times_s = fps, np.arange(len(frames)) / fps

    def read(self, start: int, stop: int) -> Frames:
        return self.at(np.arange(start, stop))

    def at(self, numbers: NDArray[np.int64]) -> Frames:
        window = self._frames[numbers]
        return (window.clip(0, 1) * 255 + 0.5).astype(np.uint8) if self._floating else window


class AtTimes:
    """A source's frames at other, rising times: each the one that is nearest in time; some may come twice."""

    def __init__(self, source: TimedFrames, wanted_s: Times) -> None:
        self._source, self._shown = source, nearest(source.times_s, wanted_s)
        self.num_frames, self.height, self.width = len(wanted_s), source.height, source.width

    def read(self, start: int, stop: int) -> Frames:
        return self._source.at(self._shown[start:stop])


def at_rate(source: TimedFrames, fps: float | None = None) -> AtTimes:
    """A source's frames at an even rate, its own where none is given."""
    return AtTimes(source, even_times(float(source.times_s[-1]), fps or source.fps))


def forwards(source: FrameSource, start: int = 0, stop: int | None = None) -> Iterator[Frames]:
    """Frames (h w 3) from `start` on, one by one."""
    end = source.num_frames if stop is None else stop
    for first in range(start, end, WINDOW_FRAMES):
        yield from source.read(first, min(first + WINDOW_FRAMES, end))


def backwards(source: FrameSource, start: int) -> Iterator[Frames]:
    """Frames (h w 3) from `start` down to 0, one by one, read in windows that run forwards."""
    for last in range(start + 1, 0, -WINDOW_FRAMES):
        yield from source.read(max(0, last - WINDOW_FRAMES), last)[::-1]
