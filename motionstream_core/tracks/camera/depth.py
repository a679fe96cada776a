"""Depth for cameras: what a depth map's values mean, their scale from sparse points, the distance at a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spline import Array

KINDS = ("near is bright", "far is bright", "metric")
"""Values mean: inverse depth from 1 (near) to 0 (far); distance from 0 (near) to 1 (far); distances as they are."""
FLAT_RATIO = 1.1
"""Neighbours whose distances differ by less lie on one surface, and depth between them is interpolated."""


@dataclass(frozen=True)
class DepthMap:
    """Distances (h w) along z, all above 0, of the pixel centres of a map that covers the whole frame."""

    distance: Array

    def __post_init__(self) -> None:
        distance = self.distance
        if distance.ndim != 2 or not distance.size:
            raise ValueError(f"the depth has shape {distance.shape}; it must be one map (height, width)")
        if not (np.isfinite(distance) & (distance > 0)).all():
            raise ValueError(
                f"the depth has distances from {np.nanmin(distance):g} to {np.nanmax(distance):g}; all must be finite "
                f"and above 0"
            )

    @classmethod
    def constant(cls, distance: float) -> DepthMap:
        """A frontal plane."""
        return cls(np.array([[distance]], dtype=np.float64))

    @classmethod
    def from_values(cls, values: Array, kind: str, near: float = 1.0, far: float = 10.0) -> DepthMap:
        """From values (h w) of a depth node, by one of KINDS.

        near is bright: 1 / z = 1 / far + v (1 / near - 1 / far), straight in inverse depth (disparity), as most depth
        nodes give it. far is bright: z = near + v (far - near). metric: z = v; near and far are not used.
        Raises ValueError unless 0 < near < far, and for values outside 0..1 where they are no distances.
        """
        _require_kind(kind)
        values = values.astype(np.float64)
        if kind == "metric":
            return cls(values)
        if not 0 < near < far:
            raise ValueError(f"near is {near:g} and far is {far:g}; they must be above 0, and near below far")
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError(
                f"the depth has values from {np.nanmin(values):g} to {np.nanmax(values):g}; {kind!r} needs 0 to 1"
            )
        if kind == "near is bright":
            return cls(1 / (1 / far + values * (1 / near - 1 / far)))
        return cls(near + values * (far - near))

    @classmethod
    def from_sparse(cls, values: Array, kind: str, sparse: Array, height: int, width: int) -> DepthMap:
        """From values (h w) whose scale is unknown, by points (k 3) x, y px of `height` x `width` and distance.

        metric: z = s v with s by least squares of z. near is bright: 1 / z = s v + t with s and t by least squares of
        1 / z, the way disparities that know neither scale nor shift are brought to a reconstruction's (the paper
        aligns to COLMAP). far is bright: z = s v + t, of z.
        Raises ValueError for too few points, and where the fit makes a distance that is not above 0.
        """
        _require_kind(kind)
        values = values.astype(np.float64)
        inside = ((sparse[:, :2] >= 0) & (sparse[:, :2] < (width, height))).all(axis=1)
        points, known = sparse[inside, :2], sparse[inside, 2]
        needed = 1 if kind == "metric" else 2
        if len(known) < needed:
            raise ValueError(f"{len(known)} sparse points lie in the frame; {kind!r} needs at least {needed}")
        rows, columns = pixels_of(points, values.shape, height, width)
        at = values[rows, columns]
        if kind == "metric":
            return cls(fitted_scale(at, known) * values)
        inverse = kind == "near is bright"
        scale, shift = fitted_line(at, 1 / known if inverse else known)
        line = scale * values + shift
        if scale <= 0 or line.min() <= 0:
            raise ValueError(
                f"the sparse points give {'1 / distance' if inverse else 'distance'} = {scale:.4g} v + {shift:.4g}, "
                f"which is not above 0 for all of the depth's values, or falls with them; is the kind {kind!r} right?"
            )
        return cls(1 / line if inverse else line)

    def at(self, points: Array, height: int, width: int) -> Array:
        """Distances (n) at points (n 2) px of the frame; a point outside takes the nearest border's.

        Interpolated straight in inverse depth, which is exact on planes; across the edge of an object (FLAT_RATIO) it
        is the nearest pixel's.
        """
        rows, columns = self.distance.shape
        x = np.clip(points[:, 0] * columns / width - 0.5, 0, columns - 1)
        y = np.clip(points[:, 1] * rows / height - 0.5, 0, rows - 1)
        left, top = np.minimum(x.astype(int), max(0, columns - 2)), np.minimum(y.astype(int), max(0, rows - 2))
        right, bottom = np.minimum(left + 1, columns - 1), np.minimum(top + 1, rows - 1)
        u, v = x - left, y - top
        corners = np.stack([self.distance[j, i] for j in (top, bottom) for i in (left, right)])
        weights = np.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v])
        flat = corners.max(axis=0) <= FLAT_RATIO * corners.min(axis=0)
        return np.where(flat, 1 / (weights / corners).sum(axis=0), corners[weights.argmax(axis=0), np.arange(len(x))])


def fitted_scale(values: Array, known: Array) -> float:
    """s that makes the sum of (s v - known)^2 least."""
    total = float(values @ values)
    if total <= 0 or float(values @ known) <= 0:
        raise ValueError("the depth is 0 at all sparse points, or falls where they rise; no scale can be found")
    return float(values @ known) / total


def fitted_line(values: Array, known: Array) -> tuple[float, float]:
    """s and t that make the sum of (s v + t - known)^2 least."""
    centred = values - values.mean()
    total = float(centred @ centred)
    if total <= 1e-12 * max(1.0, float(values @ values)):
        raise ValueError("the depth is the same at all sparse points; scale and shift need points at several depths")
    scale = float(centred @ known) / total
    return scale, float(known.mean() - scale * values.mean())


def pixels_of(
    points: Array, shape: tuple[int, ...], height: int, width: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows (n) and columns (n) of a map of `shape` in which points (n 2) px of the frame lie, or the nearest border."""
    rows, columns = shape
    x = np.clip((points[:, 0] * columns / width).astype(int), 0, columns - 1)
    return np.clip((points[:, 1] * rows / height).astype(int), 0, rows - 1), x


def _require_kind(kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"the kind of depth is {kind!r}; it must be one of {', '.join(KINDS)}")
