"""Frames of a clip, read a window at a time: what a tracker needs of a video that may be longer than memory."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

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


class ArrayFrames:
    """Frames that are in memory already: uint8 (t h w 3), or float in 0..1 (rounded as they are read)."""

    def __init__(self, frames: NDArray[Any]) -> None:
        floating = np.issubdtype(frames.dtype, np.floating)
        if frames.ndim != 4 or frames.shape[3] != 3 or not (frames.dtype == np.uint8 or floating) or not frames.size:
            raise ValueError(f"frames are {frames.dtype} {frames.shape}; they must be uint8 or float in 0..1 (t h w 3)")
        self._frames, self._floating = frames, floating
        self.num_frames, self.height, self.width = frames.shape[:3]

    def read(self, start: int, stop: int) -> Frames:
        window = self._frames[start:stop]
        return (window.clip(0, 1) * 255 + 0.5).astype(np.uint8) if self._floating else window


class VideoFrames:
    """Frames of a video file, decoded when they are asked for; memory is the window's.

    source: a path, or a binary file open for reading that can seek. Raises ImportError without PyAV, OSError or
    ValueError for what is no video, ValueError for one whose frames carry no times.
    """

    def __init__(self, source: str | Path | BinaryIO) -> None:
        self._source = source
        with self._open() as container:
            stream = _stream_of(container)
            # Frames are known by their times. Reading the packets decodes nothing.
            # What an edit list cuts off is stored, but not shown.
            times = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
            self._times: list[int] = sorted(time for time in times if time is not None)
            if not times or None in times or len(set(times)) != len(times):
                raise ValueError("the video's frames carry no distinct times; convert it to mp4 first")
            self.fps = float(stream.average_rate or stream.guessed_rate or 0)
        self.num_frames = len(self._times)
        self.height, self.width = self.read(0, 1).shape[1:3]

    def read(self, start: int, stop: int) -> Frames:
        wanted = self._times[start:stop]
        found: dict[int, Frames] | None = None
        # Some containers seek by the times of decoding and may land behind the frame: then from further back.
        for first in dict.fromkeys((start, max(0, start - WINDOW_FRAMES), 0)):
            found = self._decoded(wanted, first)
            if found:
                break
        if not found:
            raise ValueError(f"the video breaks off: frames {start} to {stop - 1} cannot be decoded")
        # A frame that the decoder left out shows the one before it (or, at the start, after it), as players do.
        last = found[min(found)]
        return np.stack([last := found.get(index, last) for index in range(len(wanted))])

    def _decoded(self, wanted: list[int], first: int) -> dict[int, Frames] | None:
        """Frames by their place in `wanted`, decoded from frame `first` on; None where that came out behind them."""
        found: dict[int, Frames] = {}
        with self._open() as container:
            stream = _stream_of(container)
            stream.thread_type = "AUTO"
            if first:
                container.seek(self._times[first], stream=stream, backward=True)
            for number, frame in enumerate(container.decode(stream)):
                if first and not number and (frame.pts is None or frame.pts > wanted[0]):
                    return None
                index = bisect.bisect_left(wanted, frame.pts) if frame.pts is not None else len(wanted)
                if index < len(wanted) and wanted[index] == frame.pts:
                    found[index] = _upright(frame)
                if len(found) == len(wanted) or (frame.pts or 0) > wanted[-1]:
                    break
        return found

    def _open(self) -> Any:
        try:
            import av
        except ImportError as error:
            raise ImportError("reading a video needs PyAV; pip install av") from error
        if not isinstance(self._source, str | Path):
            self._source.seek(0)
            return av.open(self._source, "r")
        return av.open(str(self._source), "r")


def forwards(source: FrameSource, start: int = 0, stop: int | None = None) -> Iterator[Frames]:
    """Frames (h w 3) from `start` on, one by one."""
    end = source.num_frames if stop is None else stop
    for first in range(start, end, WINDOW_FRAMES):
        yield from source.read(first, min(first + WINDOW_FRAMES, end))


def backwards(source: FrameSource, start: int) -> Iterator[Frames]:
    """Frames (h w 3) from `start` down to 0, one by one, read in windows that run forwards."""
    for last in range(start + 1, 0, -WINDOW_FRAMES):
        yield from source.read(max(0, last - WINDOW_FRAMES), last)[::-1]


def _stream_of(container: Any) -> Any:
    if not container.streams.video:
        raise ValueError("the file has no video in it")
    return container.streams.video[0]


def _upright(frame: Any) -> Frames:
    """RGB (h w 3) the way up that the file says it is to be shown."""
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
