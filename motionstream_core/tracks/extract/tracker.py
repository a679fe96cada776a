"""Tracks out of a video: the face of every point tracker, and the one that needs no weights (OpenCV).

`tracks/extract/cotracker.py` holds the adapters to CoTracker3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ...media.frames import ArrayFrames, Frames, FrameSource, backwards, forwards
from ..grid import point_grid
from ..tracks import Tracks
from .flow_walk import FlowSettings, FlowWalk
from .patches import Floats

Queries = NDArray[np.floating]
Followed: TypeAlias = tuple[Floats, NDArray[np.bool_]]
"""Points float32 (t n 2) px and visibility bool (t n) of some frames in a row."""
Report: TypeAlias = Callable[[int, int], None]
"""Called with (frames followed, frames to follow in all); both directions count. What it raises ends the tracking."""

SUPPORT_GRID = 16
SPARSE = 200  # fewer points than that are too few to say where a hidden neighbour went


class Tracker(Protocol):
    """Follows points through a clip.

    name: tells trackers and their settings apart. in_workers: whether copies of it may run side by side in worker
    processes (it is picklable and holds no GPU).
    """

    @property
    def name(self) -> str: ...

    @property
    def in_workers(self) -> bool: ...

    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        """Tracks of the points `queries` (n 3) = (frame, x, y), x and y in px, over all of frames uint8 (t h w 3).

        Track i is query i, from the query's frame towards both ends of the clip; ids are those of `Tracks`. Pixel j
        covers [j, j + 1). A `FrameSource` is read a window at a time. Raises ValueError for malformed frames or
        queries (`check_input`), and whatever `report` raises.
        """
        ...


class StreamTracker(Tracker, Protocol):
    """A tracker that looks ahead a few frames at most, so that it can follow a video while it comes in."""

    def follow(self, frames: Iterable[Frames], queries: Queries) -> Iterator[Followed]:
        """Pieces that together cover `frames` (each uint8 (h w 3)), in order, each as soon as it is settled.

        queries: as in `track`; what a point is before its query's frame means nothing. Memory does not grow with the
        number of frames.
        """
        ...


def grid_queries(height: int, width: int, rows: int = 50, columns: int = 50, frame: int = 0) -> Queries:
    """Queries (rows * columns 3) in `frame`: the centres of an even division of the picture, row by row."""
    points = point_grid(height, width, rows, columns).points[0].numpy()
    return np.concatenate([np.full((len(points), 1), frame, np.float32), points], axis=1)


def mask_queries(mask: NDArray[np.bool_], rows: int = 50, columns: int = 50, frame: int = 0) -> Queries:
    """Queries (n 3) in `frame`: a grid of at most rows x columns over the mask's bounding box, where mask (h w) is.

    Raises ValueError for a mask in which no point of the grid lies.
    """
    if mask.ndim != 2:
        raise ValueError(f"mask has shape {mask.shape}; it must be (h w)")
    ys, xs = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(ys):
        raise ValueError("mask is empty; mark what shall be tracked, or leave the mask out")
    region = (float(xs[0]), float(ys[0]), float(xs[-1] + 1), float(ys[-1] + 1))
    height, width = mask.shape
    points = point_grid(height, width, rows, columns, region=region).points[0].numpy()
    points = points[mask[points[:, 1].astype(int), points[:, 0].astype(int)]]
    if not len(points):
        raise ValueError(f"no point of a {rows} x {columns} grid lies in the mask; use more rows and columns")
    return np.concatenate([np.full((len(points), 1), frame, np.float32), points], axis=1)


def check_input(frames: Frames | FrameSource, queries: Queries) -> Queries:
    """The queries as float32; raises ValueError, naming the first fault, for what no tracker can follow."""
    if isinstance(frames, np.ndarray) and (
        frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size
    ):
        raise ValueError(f"frames are {frames.dtype} {frames.shape}; they must be uint8 (t h w 3)")
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise ValueError(f"queries have shape {queries.shape}; they must be (n 3) = (frame, x px, y px)")
    source = as_source(frames)
    num_frames, height, width = source.num_frames, source.height, source.width
    limit = np.array([num_frames, width, height])
    inside = ((queries >= 0) & (queries < limit)).all(1) & (queries[:, 0] % 1 == 0)
    if not inside.all():
        index = int(np.flatnonzero(~inside)[0])
        raise ValueError(
            f"query {index} is {queries[index].tolist()}; it must be (frame, x, y) with a whole frame below "
            f"{num_frames}, x in [0, {width}) and y in [0, {height}) px"
        )
    return queries.astype(np.float32)


def as_source(frames: Frames | FrameSource) -> FrameSource:
    """Frames in memory as a `FrameSource`; a source is itself."""
    return ArrayFrames(frames) if isinstance(frames, np.ndarray) else frames


def track_both_ways(
    tracker: StreamTracker, frames: Frames | FrameSource, queries: Queries, report: Report | None = None
) -> Tracks:
    """`Tracker.track` by `StreamTracker.follow`: from the first query on to the end, from the last back to the start.

    Besides the tracks it holds a window of frames (`frames.WINDOW_FRAMES`) at a time, however long the video is.
    """
    queries, source = check_input(frames, queries), as_source(frames)
    count, size = source.num_frames, (source.height, source.width)
    if not len(queries):
        return Tracks.empty(count, *size)
    asked = queries[:, 0].astype(np.int64)
    first, last = int(asked.min()), int(asked.max())
    points = np.zeros((count, len(queries), 2), np.float32)
    visible = np.zeros((count, len(queries)), bool)
    num_steps, done = count - first + (last + 1 if last else 0), 0

    def take(pieces: Iterator[Followed], start: int, step: int) -> None:
        """Pieces of the pass that begins in frame `start` and goes on by `step` (1 or -1)."""
        nonlocal done
        at = start
        for place, seen in pieces:
            rows = at + step * np.arange(len(place))
            # a point's own frame belongs to the way forward
            mine = rows[:, None] >= asked[None] if step > 0 else rows[:, None] < asked[None]
            points[rows] = np.where(mine[..., None], place, points[rows])
            visible[rows] = np.where(mine, seen, visible[rows])
            at, done = at + step * len(rows), done + len(rows)
            if report is not None:
                report(done, num_steps)

    since_first, before_last = queries.copy(), queries.copy()
    since_first[:, 0] -= first
    before_last[:, 0] = last - queries[:, 0]
    take(tracker.follow(forwards(source, first), since_first), first, 1)
    if last:
        take(tracker.follow(backwards(source, last), before_last), last, -1)
    return Tracks(torch.from_numpy(points), torch.from_numpy(visible), *size)


@dataclass(frozen=True)
class OpenCvTracker(FlowSettings):
    """Pyramidal Lucas-Kanade with a round-trip check; hidden points are predicted, and come back by their looks.

    A point follows the flow. Where the way back ends elsewhere, or where the point no longer looks like itself, the
    median motion of those who were its neighbours in its query's frame is tried instead, and whichever place looks more
    like the point is taken. The point is visible where that is like enough. An invisible point moves with its
    neighbours and keeps its looks and its identity.
    """

    @property
    def name(self) -> str:
        return repr(self)

    @property
    def in_workers(self) -> bool:
        return True

    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        """See `Tracker.track`. Raises ImportError where OpenCV is missing."""
        return track_both_ways(self, frames, queries, report)

    def follow(self, frames: Iterable[Frames], queries: Queries) -> Iterator[Followed]:
        """See `StreamTracker.follow`: a piece is one frame, handed out as soon as that frame is there."""
        try:
            import cv2  # noqa: F401
        except ImportError as error:
            raise ImportError("the default point tracker needs OpenCV; pip install opencv-python-headless") from error
        num_queries, walk = len(queries), None
        for t, frame in enumerate(frames):
            if walk is None:
                if 0 < num_queries < SPARSE:
                    start = int(queries[:, 0].min())
                    height, width = frame.shape[:2]
                    support = grid_queries(height, width, SUPPORT_GRID, SUPPORT_GRID, start)
                    queries = np.concatenate([queries, support])
                walk = FlowWalk(self, queries)
            walk.to(frame, t)
            yield walk.place[None, :num_queries].copy(), walk.visible[None, :num_queries].copy()
