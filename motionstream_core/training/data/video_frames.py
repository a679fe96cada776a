"""Frames of video files at given times, through PyAV, and which files of a folder can be used at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v")
NAMED_AT_MOST = 20


@dataclass(frozen=True)
class VideoInfo:
    """A video as its header tells it. last_s: time of its last frame, the first being at 0."""

    path: Path
    width: int
    height: int
    fps: float
    last_s: float


@dataclass(frozen=True)
class VideoScan:
    """The videos of a folder that can be used, and the others with the reason why not."""

    videos: tuple[VideoInfo, ...]
    skipped: tuple[tuple[Path, str], ...]

    def report(self) -> str:
        """One line, then one for each of the first videos that were skipped."""
        lines = [f"{len(self.videos)} videos, {len(self.skipped)} skipped"]
        lines += [f"  {path}: {reason}" for path, reason in self.skipped[:NAMED_AT_MOST]]
        more = len(self.skipped) - NAMED_AT_MOST
        return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


def scan_videos(source: Path | Iterable[Path], min_size_px: int, min_duration_s: float) -> VideoScan:
    """Look at the headers of all videos below a folder, or of a list of files, in the order of their names.

    Videos smaller than `min_size_px` on a side, shorter than `min_duration_s` (first frame to last) or unreadable are
    skipped. Raises FileNotFoundError where there is none at all, ValueError where all are skipped, ImportError
    without PyAV.
    """
    if isinstance(source, Path):
        paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    else:
        paths = sorted(source)
    if not paths:
        raise FileNotFoundError(f"no videos in {source}; known are {', '.join(SUFFIXES)}")
    videos: list[VideoInfo] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        try:
            video = video_info(path)
        except (OSError, ValueError) as error:
            skipped.append((path, f"cannot be read: {error}"))
            continue
        if min(video.width, video.height) < min_size_px:
            skipped.append((path, f"{video.width} x {video.height} px, needs {min_size_px} on each side"))
        elif video.last_s < min_duration_s - 1e-6:
            skipped.append((path, f"{video.last_s:.2f} s from first to last frame, needs {min_duration_s:.2f}"))
        else:
            videos.append(video)
    scan = VideoScan(tuple(videos), tuple(skipped))
    if not videos:
        raise ValueError(f"no video in {source} can be used: {scan.report()}")
    return scan


def hold_out(videos: Sequence[VideoInfo], share: float = 0.02) -> tuple[tuple[VideoInfo, ...], tuple[VideoInfo, ...]]:
    """(videos to train on, videos to judge by): every (1 / share)-th is held out, at least one.

    Raises ValueError for fewer than two videos.
    """
    if len(videos) < 2:
        raise ValueError(f"got {len(videos)} video; at least 2 are needed, one of them to judge by")
    held = set(range(0, len(videos), max(2, round(1 / share))))
    return (
        tuple(video for index, video in enumerate(videos) if index not in held),
        tuple(video for index, video in enumerate(videos) if index in held),
    )


def video_info(path: Path) -> VideoInfo:
    """What the header says. Raises OSError or ValueError for what is no video."""
    with _open(path) as container:
        stream = _video_stream(container, path)
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if fps <= 0:
            raise ValueError("its header gives no frame rate")
        last_s = _last_time(container, stream)
        if last_s is None:
            raise ValueError("its frames carry no times")
        return VideoInfo(path, stream.width, stream.height, fps, last_s)


def read_frames(video: VideoInfo, times_s: NDArray[np.floating[Any]]) -> NDArray[np.uint8]:
    """Frames (t h w 3), those nearest to ascending times in s.

    Raises OSError or ValueError where the file is broken or ends before the last of them.
    """
    frames: list[NDArray[np.uint8]] = []
    before: tuple[float, Any] | None = None

    def take_until(limit_s: float) -> None:
        """The frame before, for every wanted time up to the limit."""
        count = int(np.searchsorted(times_s, limit_s + 1e-9, side="right")) - len(frames)
        if before is not None and count > 0:
            frames.extend([before[1].to_ndarray(format="rgb24")] * count)

    with _open(video.path) as container:
        stream = _video_stream(container, video.path)
        stream.thread_type = "AUTO"
        start = stream.start_time or 0
        container.seek(start + int(float(times_s[0]) / stream.time_base), stream=stream, backward=True)
        for frame in container.decode(stream):
            if frame.pts is None:
                continue
            time_s = float((frame.pts - start) * stream.time_base)
            if before is not None:
                take_until((before[0] + time_s) / 2)  # what lies in the earlier half of the gap
            if len(frames) == len(times_s):
                return np.stack(frames)
            before = time_s, frame
    if before is not None:
        take_until(before[0] + 0.5 / video.fps + 1e-6)
    if len(frames) == len(times_s):
        return np.stack(frames)
    raise ValueError(f"it ends after {len(frames)} of the {len(times_s)} frames up to {times_s[-1]:.2f} s")


def _last_time(container: Any, stream: Any) -> float | None:
    """Time in s of the last frame, the first being at 0: the packets behind the last keyframe tell, none is decoded."""
    start, end = stream.start_time or 0, stream.duration
    if end is None and container.duration is not None:
        end = int(container.duration / 1e6 / stream.time_base)
    if end is not None:
        container.seek(start + end, stream=stream, backward=True)
    times = [packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None]
    return float((max(times) - start) * stream.time_base) if times else None


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """The container; what FFmpeg complains of comes out as ValueError."""
    try:
        import av
        from av.error import FFmpegError
    except ImportError as error:
        raise ImportError("reading videos needs PyAV; pip install av") from error
    try:
        with av.open(str(path)) as container:
            yield container
    except FFmpegError as error:
        raise ValueError(str(error)) from error


def _video_stream(container: Any, path: Path) -> Any:
    if not container.streams.video:
        raise ValueError(f"{path} has no video stream")
    return container.streams.video[0]
