"""What a model was told in a live stream, from its events: as Tracks, and as a document for the editor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..streaming.events import Event
from ..streaming.live_tracks import FIRST_STILL, HAND_IDS, LiveTracks
from ..tracks import Tracks
from ..tracks.drawn.document import Grid


@dataclass(frozen=True)
class Life:
    """One track from when it was taken in hand until it was let go: points (t 2) px from frame `start` on."""

    start: int
    points: np.ndarray
    grid: Grid | None = None


@dataclass(frozen=True)
class ToldTracks:
    """tracks: all points, as many columns as were seen at once. lives: one for each hand, and each path sent off."""

    tracks: Tracks
    lives: tuple[Life, ...]

    @classmethod
    def of(
        cls, events: Sequence[Event], chunks: Sequence[int], height: int, width: int, first_frames: int
    ) -> ToldTracks:
        """events in order; chunks: the frames of each; first_frames: of a chunk that begins a stream."""
        walk = _Walk(height, width, first_frames)
        waiting = list(events)
        for index, num_frames in enumerate(chunks):
            while waiting and waiting[0].chunk <= index:
                walk.apply(waiting.pop(0))
            walk.chunk(num_frames)
        return cls(*walk.end())


class _Walk:
    """Goes through a stream's chunks again without a model."""

    def __init__(self, height: int, width: int, first_frames: int) -> None:
        self._size, self._first_frames = (height, width), first_frames
        self._tracks = LiveTracks(height, width)
        self._frame = self._asked = 0
        self._drop = 0
        self._known: set[int] = set()
        self._open: dict[int, tuple[int, list[np.ndarray]]] = {}
        self._closed: list[tuple[int, int, np.ndarray]] = []

    def apply(self, event: Event) -> None:
        self._tracks.apply(event.kind, event.payload, self._frame)
        if event.kind == "known" and self._tracks.known is not None:
            self._known = set(self._tracks.known.ids.tolist())
        if event.kind == "reanchor" and self._frame:
            self._tracks.offset, self._asked, self._drop = self._frame - 1, 0, 1
            if self._first_frames == 1:
                self._tracks.at_frames(0, 1)
                self._asked, self._drop = 1, 0

    def chunk(self, num_frames: int) -> None:
        """The next chunk's frames."""
        stop = self._asked + num_frames + self._drop
        told = self._tracks.at_frames(self._asked, stop)
        told = told.slice(self._drop, told.num_frames)
        self._asked, self._drop = stop, 0
        seen = set()
        for column, track_id in enumerate(told.ids.tolist()):
            visible = told.visibility[:, column].numpy()
            if not visible.any():
                continue
            seen.add(track_id)
            first = int(visible.argmax())
            last = len(visible) - int(visible[::-1].argmax())
            points = told.points[first:last, column].numpy()
            if track_id in self._open and first == 0:
                self._open[track_id][1].append(points)
            else:
                self._close(track_id)
                self._open[track_id] = (self._frame + first, [points])
        for track_id in list(self._open):
            if track_id not in seen:
                self._close(track_id)
        self._frame += num_frames

    def end(self) -> tuple[Tracks, tuple[Life, ...]]:
        for track_id in list(self._open):
            self._close(track_id)
        closed = sorted(self._closed, key=lambda each: each[0])
        columns: list[tuple[int, list[tuple[int, np.ndarray]]]] = []  # a column is used again once it is free
        for start, _, points in closed:
            for index, (free_from, held) in enumerate(columns):
                if free_from <= start:
                    columns[index] = (start + len(points), [*held, (start, points)])
                    break
            else:
                columns.append((start + len(points), [(start, points)]))
        count = max(1, self._frame)
        points = torch.zeros(count, len(columns), 2)
        visibility = torch.zeros(count, len(columns), dtype=torch.bool)
        for column, (_, held) in enumerate(columns):
            for start, way in held:
                points[start : start + len(way), column] = torch.from_numpy(way)
                visibility[start : start + len(way), column] = True
        return Tracks(points, visibility, *self._size), tuple(self._lives(closed))

    def _close(self, track_id: int) -> None:
        if track_id in self._open:
            start, parts = self._open.pop(track_id)
            self._closed.append((start, track_id, np.concatenate(parts)))

    def _lives(self, closed: list[tuple[int, int, np.ndarray]]) -> list[Life]:
        """The points of a hand's grid began and ended together: one life, its middle. Given tracks stand alone."""
        groups: dict[tuple[int, int, int], list[np.ndarray]] = {}
        for start, track_id, points in closed:
            hand = track_id % HAND_IDS
            if track_id in self._known:
                hand = HAND_IDS + track_id
            elif hand >= FIRST_STILL:
                continue  # no hand's
            groups.setdefault((start, len(points), hand), []).append(points)
        lives = []
        for (start, *_), members in groups.items():
            middle = np.mean(members, axis=0)
            grid = _grid_of(np.stack([each[0] for each in members]) - middle[0])
            rigid = all(np.abs(each - middle - (each[0] - middle[0])).max() < 0.01 for each in members)
            if grid is not None and rigid:
                lives.append(Life(start, middle, grid if len(members) > 1 else None))
            else:
                lives += [Life(start, each) for each in members]
        return lives


def _grid_of(offsets: np.ndarray) -> Grid | None:
    """The grid that has these offsets (n 2), in any order; None where there is none."""
    xs, ys = (np.unique(np.round(offsets[:, axis], 2)) for axis in (0, 1))
    if len(xs) * len(ys) != len(offsets):
        return None
    steps = [np.diff(each) for each in (xs, ys)]
    if any(len(step) and np.ptp(step) > 0.05 for step in steps):
        return None
    dx, dy = (float(step.mean()) if len(step) else 0.0 for step in steps)
    return Grid(len(xs), len(ys), dx, dy)


def as_document(told: ToldTracks, fps: float) -> str:
    """The editor's document: a drag for each life, hidden before and after it."""
    tracks = []
    for number, life in enumerate(told.lives, 1):
        keep = _corners(life.points)
        points = np.round(life.points[keep].astype(np.float64), 3).tolist()
        track: dict[str, Any] = {"id": f"t{number}", "kind": "drag", "interpolation": "linear", "points": points}
        track |= {"start": life.start, "duration": len(life.points) - 1, "before": "hide", "after": "hide"}
        if len(keep) > 1:
            track["keyframes"] = [[int(frame), index] for index, frame in enumerate(keep)]
        if life.grid is not None:
            grid = life.grid
            track["grid"] = {"columns": grid.columns, "rows": grid.rows, "dx": grid.dx or 1.0, "dy": grid.dy or 1.0}
        tracks.append(track)
    canvas = {
        "width": told.tracks.width,
        "height": told.tracks.height,
        "num_frames": told.tracks.num_frames,
        "fps": fps,
    }
    return json.dumps({"format": "motionstream-tracks", "version": 1, "canvas": canvas, "tracks": tracks})


def _corners(points: np.ndarray) -> np.ndarray:
    """Frames at which a way (t 2) bends: between them it goes straight and evenly, to a hundredth of a px."""
    if len(points) == 1:
        return np.zeros(1, int)
    bends = np.abs(np.diff(points, n=2, axis=0)).max(axis=1) > 0.01
    return np.concatenate([[0], np.flatnonzero(bends) + 1, [len(points) - 1]])
