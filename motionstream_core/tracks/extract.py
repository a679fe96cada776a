"""Tracks out of a video: the face of every point tracker, and the one that needs no weights (OpenCV).

`tracks/cotracker.py` holds the adapter to CoTracker3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from .grid import point_grid
from .patches import Floats, Looks, Picture, levelled, similarity
from .tracks import Tracks

Frames = NDArray[np.uint8]
Queries = NDArray[np.floating]

NEIGHBOURS = 24
SUPPORT_GRID = 16
ANCHOR_STEPS, FIND_STEPS = 3, 4
SURE = 0.9  # similarity from which no other place is tried
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

    def track(self, frames: Frames, queries: Queries) -> Tracks:
        """Tracks of the points `queries` (n 3) = (frame, x, y), x and y in px, over all of frames uint8 (t h w 3).

        Track i is query i, from the query's frame towards both ends of the clip; ids are those of `Tracks`. Pixel j
        covers [j, j + 1). Raises ValueError for malformed frames or queries (`check_input`).
        """
        ...


def grid_queries(height: int, width: int, rows: int = 50, columns: int = 50, frame: int = 0) -> Queries:
    """Queries (rows * columns 3) in `frame`: the centres of an even division of the picture, row by row."""
    points = point_grid(height, width, rows, columns).points[0].numpy()
    return np.concatenate([np.full((len(points), 1), frame, np.float32), points], axis=1)


def check_input(frames: Frames, queries: Queries) -> Queries:
    """The queries as float32; raises ValueError, naming the first fault, for what no tracker can follow."""
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}; they must be uint8 (t h w 3)")
    if queries.ndim != 2 or queries.shape[1] != 3:
        raise ValueError(f"queries have shape {queries.shape}; they must be (n 3) = (frame, x px, y px)")
    num_frames, height, width = frames.shape[:3]
    limit = np.array([num_frames, width, height])
    inside = ((queries >= 0) & (queries < limit)).all(1) & (queries[:, 0] % 1 == 0)
    if not inside.all():
        index = int(np.flatnonzero(~inside)[0])
        raise ValueError(
            f"query {index} is {queries[index].tolist()}; it must be (frame, x, y) with a whole frame below "
            f"{num_frames}, x in [0, {width}) and y in [0, {height}) px"
        )
    return queries.astype(np.float32)


@dataclass(frozen=True)
class OpenCvTracker:
    """Pyramidal Lucas-Kanade with a round-trip check; hidden points are predicted, and come back by their looks.

    A point follows the flow while the way back ends within `round_trip_px` of where it came from. Where it does not,
    or where the point no longer looks like itself, the median motion of those who were its neighbours in its query's
    frame is tried instead, and whichever place looks more like the point is taken. The point is visible where that is
    like enough: `keep` after it was visible, `regain` after it was not (`patches.similarity` to looks that are
    renewed at the rate `renewal`). An invisible point moves with its neighbours and keeps its looks and its identity.

    window_px: side of the flow's window; num_levels: of its pyramid above the full size. reach_px: how far from the
    neighbours' prediction a point is looked for; anchor_px: how far the flow is corrected towards the point's looks,
    which stops slow drift. blur_px, floor: of `patches.levelled`.
    """

    window_px: int = 13
    num_levels: int = 4
    round_trip_px: float = 1.0
    keep: float = 0.6
    regain: float = 0.7
    renewal: float = 0.05
    reach_px: float = 3.0
    anchor_px: float = 1.0
    blur_px: float = 8.0
    floor: float = 4.0

    @property
    def name(self) -> str:
        return repr(self)

    @property
    def in_workers(self) -> bool:
        return True

    def track(self, frames: Frames, queries: Queries) -> Tracks:
        """See `Tracker.track`. Raises ImportError where OpenCV is missing."""
        try:
            import cv2  # noqa: F401
        except ImportError as error:
            raise ImportError("the default point tracker needs OpenCV; pip install opencv-python-headless") from error
        queries = check_input(frames, queries)
        points, visible = self._one_way(frames, queries)
        if (queries[:, 0] > 0).any():
            flipped = queries.copy()
            flipped[:, 0] = len(frames) - 1 - flipped[:, 0]
            back_points, back_visible = self._one_way(frames[::-1], flipped)
            before = np.arange(len(frames))[:, None] < queries[None, :, 0]
            points = np.where(before[..., None], back_points[::-1], points)
            visible = np.where(before, back_visible[::-1], visible)
        return Tracks(torch.from_numpy(points), torch.from_numpy(visible), *frames.shape[1:3])

    def _one_way(self, frames: Frames, queries: Queries) -> tuple[Floats, NDArray[np.bool_]]:
        """Points (t n 2) and visibility (t n) from each query's frame on; what lies before means nothing."""
        num_queries = len(queries)
        if 0 < num_queries < SPARSE:
            height, width = frames.shape[1:3]
            start = int(queries[:, 0].min())
            queries = np.concatenate([queries, grid_queries(height, width, SUPPORT_GRID, SUPPORT_GRID, start)])
        points = np.zeros((len(frames), len(queries), 2), np.float32)
        visible = np.zeros((len(frames), len(queries)), bool)
        walk = _Walk(self, queries)
        for t, frame in enumerate(frames):
            walk.to(frame, t)
            points[t], visible[t] = walk.place, walk.visible
        return points[:, :num_queries], visible[:, :num_queries]


class _Walk:
    """Every point of one pass at the frame that the pass has come to."""

    def __init__(self, tracker: OpenCvTracker, queries: Queries) -> None:
        self.tracker, self.queries = tracker, queries
        self.place = queries[:, 1:].astype(np.float32).copy()
        self.started = np.zeros(len(queries), bool)
        self.visible = np.zeros(len(queries), bool)
        self.looks = Looks.none(len(queries))
        self.neighbours = np.repeat(np.arange(len(queries))[:, None], NEIGHBOURS, axis=1)
        self._last_color = self.looks.color.copy()
        self._levelled: Any = None

    def to(self, frame: Frames, t: int) -> None:
        """Go on to frame t, and take in the points whose query it is."""
        picture = Picture(frame)
        flat = levelled(picture.grey, self.tracker.blur_px, self.tracker.floor)
        if self._levelled is not None:
            self._advance(picture, flat)
        self._levelled = flat
        new = np.flatnonzero(self.queries[:, 0] == t)
        if len(new):
            self.looks[new] = picture.looks(self.place[new])
            self._last_color[new] = self.looks.color[new]
            self.started[new] = self.visible[new] = True
            self._meet_neighbours(new)

    def _meet_neighbours(self, new: NDArray[np.int64]) -> None:
        """The nearest visible points of `new` ones, themselves among them."""
        known = np.flatnonzero(self.visible)
        count = min(NEIGHBOURS, len(known))
        for rows in np.array_split(new, -(-len(new) // 500)):
            distance = np.linalg.norm(self.place[rows, None] - self.place[None, known], axis=-1)
            self.neighbours[rows, :count] = known[np.argpartition(distance, count - 1, axis=1)[:, :count]]

    def _advance(self, picture: Picture, flat: Any) -> None:
        """Every started point to its place in the next picture."""
        tracker = self.tracker
        place, followed = self._flow(flat)
        sure = np.flatnonzero(followed)
        place[sure] = picture.find(self.looks[sure], place[sure], tracker.anchor_px, ANCHOR_STEPS)
        seen = picture.looks(place)
        self._dim(seen, followed)
        alike = np.where(followed, similarity(self.looks, seen), -1)
        trusted = (alike >= tracker.keep)[:, None]
        predicted = self.place + self._neighbours_motion(np.where(trusted, place - self.place, np.nan))
        doubtful = np.flatnonzero(self.started & (alike < SURE))
        other = picture.find(self.looks[doubtful], predicted[doubtful], tracker.reach_px, FIND_STEPS)
        other_seen = picture.looks(other)
        other_alike = similarity(self.looks[doubtful], other_seen)
        better = other_alike > alike[doubtful]
        which = doubtful[better]
        place[which], seen[which], alike[which] = other[better], other_seen[better], other_alike[better]
        inside = ((place >= 0) & (place < picture.size)).all(1)
        threshold = np.where(self.visible, tracker.keep, tracker.regain)
        self.visible = self.started & inside & (alike >= threshold)
        moved = np.where(self.visible[:, None], place, predicted)
        self.place = np.where(self.started[:, None], moved, self.place)
        rate = (tracker.renewal * self.visible).astype(np.float32)[:, None]
        self.looks.patch += rate * (seen.patch - self.looks.patch)
        self.looks.color += rate * (seen.color - self.looks.color)
        self._last_color = seen.color

    def _dim(self, seen: Looks, followed: NDArray[np.bool_]) -> None:
        """Every point's looks as the light of this picture shows them: hidden points' looks fade with the others'."""
        now, before = seen.color[followed].sum(1), self._last_color[followed].sum(1)
        gain = np.float32(np.median((now + 1) / (before + 1))) if len(now) else np.float32(1)
        self.looks.patch *= gain
        self.looks.color *= gain

    def _flow(self, flat: Any) -> tuple[Floats, NDArray[np.bool_]]:
        """Where the visible points went (n 2), and which of them come back to where they were (n)."""
        import cv2

        tracker = self.tracker
        moved, followed = self.place.copy(), np.zeros(len(self.place), bool)
        who = np.flatnonzero(self.visible)
        if not len(who):
            return moved, followed
        options: Any = {
            "winSize": (tracker.window_px, tracker.window_px),
            "maxLevel": tracker.num_levels,
            "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
            "nextPts": None,
        }
        start = self.place[who, None] - np.float32(0.5)  # OpenCV counts from the first pixel's centre
        there, found, _ = cv2.calcOpticalFlowPyrLK(self._levelled, flat, start, **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(flat, self._levelled, there, **options)
        astray = np.linalg.norm((np.asarray(back) - start)[:, 0], axis=-1)
        followed[who] = (found[:, 0] > 0) & (returned[:, 0] > 0) & (astray < tracker.round_trip_px)
        moved[who] = np.asarray(there, np.float32)[:, 0] + np.float32(0.5)
        return moved, followed

    def _neighbours_motion(self, motion: Floats) -> Floats:
        """Median (n 2) of `motion` (n 2), nan where unknown, over each point's neighbours; of all where it has none."""
        known = ~np.isnan(motion[:, 0])
        if not known.any():
            return np.zeros_like(self.place)
        around = np.sort(motion[self.neighbours], axis=1)  # nan goes last
        count = known[self.neighbours].sum(1)
        low, high = np.maximum(count - 1, 0) // 2, count // 2
        every = np.arange(len(motion))
        middle = (around[every, low] + around[every, np.minimum(high, NEIGHBOURS - 1)]) / 2
        return np.where(count[:, None] > 0, middle, np.median(motion[known], axis=0)).astype(np.float32)
