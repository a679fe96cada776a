"""Which video files of a folder can be trained on, by what their headers say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...media.faults import MediaError
from ...media.video import VIDEO_SUFFIXES, VideoInfo, video_info, videos_below
from .footage import hdr_told

NAMED_AT_MOST = 20


@dataclass(frozen=True)
class VideoScan:
    """The videos of a folder that can be used, and the others with the reason why not."""

    videos: tuple[VideoInfo, ...]
    skipped: tuple[tuple[Path, str], ...]

    def report(self) -> str:
        """One line, then one for each of the first videos that were skipped; the same of those in HDR."""
        hdr = [f"  {video.path}" for video in self.videos if video.hdr]
        lines = [f"{len(self.videos)} videos, {len(self.skipped)} skipped"]
        lines += _first([f"  {path}: {reason}" for path, reason in self.skipped])
        return "\n".join([*lines, hdr_told(len(hdr)), *_first(hdr)] if hdr else lines)


def _first(lines: list[str]) -> list[str]:
    more = len(lines) - NAMED_AT_MOST
    return [*lines[:NAMED_AT_MOST], f"  and {more} more"] if more > 0 else lines


def scan_videos(source: Path | Iterable[Path], min_size_px: int, min_duration_s: float) -> VideoScan:
    """Look at the headers of all videos below a folder, or of a list of files, in the order of their names.

    Videos smaller than `min_size_px` on a side, shorter than `min_duration_s` (first frame to last) or unreadable are
    skipped. Raises FileNotFoundError where there is none at all, ValueError where all are skipped, ImportError
    without PyAV.
    """
    if isinstance(source, Path):
        paths = videos_below(source)
    else:
        paths = sorted(source)
    if not paths:
        raise FileNotFoundError(f"no videos in {source}; known are {', '.join(VIDEO_SUFFIXES)}")
    videos: list[VideoInfo] = []
    skipped: list[tuple[Path, str]] = []
    for path in paths:
        try:
            video = video_info(path)
        except MediaError as error:
            skipped.append((path, error.fault))
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
