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
TIME_TOLERANCE_S = 1e-6
EVEN_WITHIN = 0.25
"""Frames come evenly where none lies further from its place than this part of the time between two."""
MOST_FPS = 120.0


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
    """Frames of a video file at one rate, decoded when they are asked for; memory is the window's.

    Where the file's own frames come at uneven times (phones, screen recordings), frame k is the one that is shown
    nearest to time k / fps, by the file's time stamps, and some come twice; `shown` tells which. Where they come
    evenly, they are the file's own, one by one.

    source: a path, or a binary file open for reading that can seek. start_s, duration_s: the part that is read, in
    seconds from the first frame on; a duration of 0 means up to the end. Raises ImportError without PyAV, OSError or
    ValueError for what is no video, ValueError for one whose frames carry no times and for a part without a frame.
    """

    def __init__(self, source: str | Path | BinaryIO, start_s: float = 0.0, duration_s: float = 0.0) -> None:
        self._source = source
        with self._open() as container:
            stream = _stream_of(container)
            # Frames are known by their times. Reading the packets decodes nothing.
            # What an edit list cuts off is stored, but not shown.
            found = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
            self._times = sorted(time for time in found if time is not None)
            if not found or None in found or len(set(found)) != len(found):
                raise ValueError("the video's frames carry no distinct times; convert it to mp4 first")
            times_s = np.array([float((time - self._times[0]) * stream.time_base) for time in self._times])
            stop_s = start_s + duration_s if duration_s > 0 else np.inf
            kept = np.flatnonzero((times_s >= start_s - TIME_TOLERANCE_S) & (times_s < stop_s - TIME_TOLERANCE_S))
            if not len(kept):
                raise ValueError(f"no frame from {start_s:g} s to {stop_s:g} s; the video lasts {times_s[-1]:g} s")
            self._times = self._times[kept[0] : kept[-1] + 1]
            self.fps, self.shown = even_frames(times_s[kept], float(stream.average_rate or stream.guessed_rate or 0))
            self.times_s = times_s[kept] - times_s[kept[0]]
        self.num_frames = len(self.shown)
        self.height, self.width = self.read(0, 1).shape[1:3]

    @property
    def is_even(self) -> bool:
        """Whether the file's own frames come evenly, so that they are taken one by one."""
        return len(self.shown) == len(self.times_s) and bool((np.diff(self.shown) == 1).all())

    def read(self, start: int, stop: int) -> Frames:
        own, places = np.unique(self.shown[start:stop], return_inverse=True)
        frames = self._read_own(own.tolist())
        return frames if len(own) == stop - start else frames[places]

    def _read_own(self, numbers: list[int]) -> Frames:
        """The file's own frames of rising numbers."""
        wanted, start, stop = [self._times[number] for number in numbers], numbers[0], numbers[-1] + 1
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


class AtRate:
    """The frames of a source of `source_fps` at another rate, each the nearest in time."""

    def __init__(self, source: FrameSource, source_fps: float, fps: float) -> None:
        if not (source_fps > 0 and fps > 0):
            raise ValueError(f"both rates must be above 0, got {source_fps:g} of the source and {fps:g}")
        self._source = source
        count = int((source.num_frames - 1) / source_fps * fps + TIME_TOLERANCE_S) + 1
        places = np.arange(count) * (source_fps / fps)
        self._shown = np.minimum(np.floor(places + 0.5).astype(np.int64), source.num_frames - 1)
        self.num_frames, self.height, self.width = count, source.height, source.width

    def read(self, start: int, stop: int) -> Frames:
        shown = self._shown[start:stop]
        return self._source.read(int(shown[0]), int(shown[-1]) + 1)[shown - shown[0]]


def even_frames(times_s: NDArray[np.floating[Any]], stated_fps: float) -> tuple[float, NDArray[np.int64]]:
    """(fps, for each frame of a clip at that rate the index of the frame nearest in time) of rising times in s.

    Frames that come evenly stand for themselves, at `stated_fps` if they fit it. Otherwise the rate is that of the
    usual time between two frames (about their median), at most 120 a second.
    """
    since = times_s - times_s[0]
    if len(since) == 1:
        return stated_fps, np.zeros(1, np.int64)
    own = np.arange(len(since))
    for fps in (stated_fps, (len(since) - 1) / since[-1]):
        if fps > 0 and (np.abs(since * fps - own) <= EVEN_WITHIN).all():
            return float(fps), own
    gaps = np.diff(since)
    usual = gaps[np.abs(gaps - np.median(gaps)) <= EVEN_WITHIN * np.median(gaps)]
    fps = min(1 / float(usual.mean()), MOST_FPS)  # the mean of the usual ones, since some files round to milliseconds
    wanted = np.arange(round(since[-1] * fps) + 1) / fps
    middles = (since[1:] + since[:-1]) / 2
    return fps, np.searchsorted(middles, wanted, side="left")


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
