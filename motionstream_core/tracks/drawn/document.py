"""The trajectory document: what was drawn, as control points and times. docs/tracks-format.md describes every field.

The editor in the browser writes it, people write it by hand for the API; both are read here, and re-sampled to Tracks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..camera.moves import Move, plane_seen
from ..easing import Timing
from ..spline import Array, Curve, curve
from ..tracks import BLOCK_SAMPLES, NUM_IDS, TrackFormatError, Tracks, require_budget

FORMAT = "motionstream-tracks"
VERSIONS = (1, 2)
"""Version 2 adds names, colours, easing curves and regions to the tracks of version 1."""
KINDS = ("drag", "path", "anchor")


@dataclass(frozen=True)
class Canvas:
    """The clip that was drawn over: px, frames, and frames per second for playing it."""

    width: int
    height: int
    num_frames: int
    fps: float


@dataclass(frozen=True)
class Grid:
    """Copies of a track, `columns` x `rows`, `dx` and `dy` px apart, with the track itself in their middle."""

    columns: int
    rows: int
    dx: float
    dy: float

    def offsets(self) -> Array:
        """Offsets (columns * rows 2) px of the copies, row by row."""
        x = (np.arange(self.columns) - (self.columns - 1) / 2) * self.dx
        y = (np.arange(self.rows) - (self.rows - 1) / 2) * self.dy
        return np.stack(np.meshgrid(x, y), axis=-1, dtype=np.float64).reshape(-1, 2)


@dataclass(frozen=True)
class Region:
    """Points of an object that moves as one: offsets (k 2) px from the track's point, turned and scaled on its way.

    turn: degrees clockwise, and scale: a factor, both at the end of the way; at a share s of it, s turn and scale^s.
    """

    points: tuple[tuple[float, float], ...]
    turn: float = 0.0
    scale: float = 1.0

    def offsets(self, share: Array) -> Array:
        """Offsets (t k 2) px at the shares (t) of the way."""
        angle = np.radians(self.turn) * share
        across, down = np.array(self.points, dtype=np.float64).T
        cos, sin = (function(angle)[:, None] * (self.scale**share)[:, None] for function in (np.cos, np.sin))
        return np.stack([across * cos - down * sin, across * sin + down * cos], axis=-1)


@dataclass(frozen=True)
class DrawnTrack:
    """One trajectory: control points (k 2), or (k 6) for bezier, in px of the canvas, and its time.

    kind: drag (recorded live), path (drawn, with a span of its own) or anchor (one point that stays).
    name, color ("#rrggbb"): how the editor shows it. A track has a grid, or a region, or neither.
    """

    id: str
    kind: str
    interpolation: str
    points: tuple[tuple[float, ...], ...]
    timing: Timing
    grid: Grid | None = None
    group: str | None = None
    name: str | None = None
    color: str | None = None
    region: Region | None = None

    @property
    def num_copies(self) -> int:
        """Tracks that this one comes to."""
        if self.region:
            return len(self.region.points)
        return self.grid.columns * self.grid.rows if self.grid else 1


@dataclass(frozen=True)
class Document:
    """Everything drawn over one clip, and the moves of the camera, under which all of it is seen."""

    canvas: Canvas
    tracks: tuple[DrawnTrack, ...] = ()
    camera: tuple[Move, ...] = ()

    @property
    def num_points(self) -> int:
        """Tracks after every grid and region is spread out."""
        return sum(track.num_copies for track in self.tracks)

    def sample(
        self,
        num_frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        *,
        keep_time: bool = False,
    ) -> Tracks:
        """Tracks of `num_frames` frames of `height` x `width` px; None takes the canvas's own.

        Another size scales x and y, each by itself. Another length spreads the whole clip over it, first frame on
        first and last on last; with keep_time, frames keep their numbers instead, and what lies past the end is cut.
        Curves are evaluated anew, never interpolated between samples. Grids and regions are spread out in place. Then
        the camera sees every point, in px of the canvas; points that come to lie behind it are invisible.

        Raises TrackFormatError where points x frames is more than MAX_SAMPLES.
        """
        canvas = self.canvas
        num_frames, height, width = num_frames or canvas.num_frames, height or canvas.height, width or canvas.width
        require_budget(self.num_points, num_frames)
        if not self.tracks:
            return Tracks.empty(num_frames, height, width)
        frames = np.arange(num_frames, dtype=np.float64)
        if not keep_time:
            frames *= (canvas.num_frames - 1) / max(1, num_frames - 1)
        ways = [curve(np.array(track.points), track.interpolation) for track in self.tracks]
        points = np.empty((num_frames, self.num_points, 2), dtype=np.float32)
        visibility = np.empty(points.shape[:2], dtype=np.bool_)
        block = max(1, BLOCK_SAMPLES // self.num_points)  # of frames: doubles take many times the result
        for start in range(0, num_frames, block):
            part = slice(start, start + block)
            placed, visibility[part] = self._seen(ways, frames[part])
            points[part] = placed * (width / canvas.width, height / canvas.height)
        return Tracks(torch.from_numpy(points), torch.from_numpy(visibility), height, width)

    def _seen(self, ways: Sequence[Curve], frames: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Points (t n 2) in px of the canvas at `frames` (t), and whether they can be seen (t n)."""
        points, visibility = [], []
        for track, way in zip(self.tracks, ways, strict=True):
            offsets = track.grid.offsets() if track.grid else np.zeros((1, 2))
            if track.region:
                offsets = track.region.offsets(track.timing.share(way, frames))
            points.append(track.timing.points(way, frames)[:, None] + offsets)
            visibility.append(np.repeat(track.timing.visibility(frames)[:, None], track.num_copies, axis=1))
        placed, seen = np.concatenate(points, axis=1), np.concatenate(visibility, axis=1)
        if self.camera:
            placed, before_it = plane_seen(placed, self.camera, frames, self.canvas.width, self.canvas.height)
            seen &= before_it
        return placed, seen


def require_ids(document: Document) -> None:
    """Raises TrackFormatError when the document has more points than there are identities."""
    if document.num_points > NUM_IDS:
        raise TrackFormatError(
            f"tracks: the document comes to {document.num_points} points, grids and regions spread out; at most "
            f"{NUM_IDS} can be told apart. Use smaller ones"
        )
