"""Which points a nearer surface hides: the depth map, splatted into the moved camera's frame, nearest first."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..spline import Array
from .depth import DepthMap, pixels_of
from .path import CameraPath

TOLERANCE = 0.05
"""A point is hidden by what is nearer than it by more than this share of its distance, its surface's slope added."""
MAX_REACH_PX = 8


class Occlusion:
    """The surface of a depth map, ready to be asked, frame by frame, what hides a point.

    Each of the map's pixels is a sample that covers, in the moved camera's frame, every pixel whose centre is closer
    than its reach in x and in y: 1 px, or half the distance between samples where the camera has come nearer (at most
    MAX_REACH_PX), so that a magnified surface has no holes. A point is hidden where the nearest sample that covers its
    pixel lies nearer than z (1 - tolerance - slope): slope is what the point's own surface may fall within that reach,
    from the smaller of the two steps to its neighbours in the map.
    """

    def __init__(self, path: CameraPath, depth: DepthMap, tolerance: float = TOLERANCE) -> None:
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance is {tolerance}; it must be from 0 to below 1")
        self._path, self._tolerance = path, tolerance
        self._distance = depth.distance.ravel()
        rows, columns = depth.distance.shape
        y, x = np.mgrid[:rows, :columns] + 0.5
        self._spacing = max(path.width / columns, path.height / rows)
        pixels = np.stack([x.ravel() * path.width / columns, y.ravel() * path.height / rows], axis=-1)
        self._world = path.unprojected(pixels, self._distance)
        self._slope = _slope(depth.distance)

    def hidden(self, points: Array, origin: Array, distance: Array, frame: int, z: Array) -> NDArray[np.bool_]:
        """Whether points (n 2) px at depth z (n) before the camera of `frame` are hidden: (n).

        origin (n 2) px and distance (n): where the points are in the picture.
        """
        path = self._path
        seen, depth = path.projected(self._world, frame)
        column, row = (np.nan_to_num(points[:, i], nan=-1.0, posinf=-1.0, neginf=-1.0) for i in (0, 1))
        inside = (column >= 0) & (column < path.width) & (row >= 0) & (row < path.height)
        pixels = row[inside].astype(np.intp), column[inside].astype(np.intp)
        wanted = np.zeros((path.height, path.width), dtype=np.bool_)
        wanted[pixels] = True
        reach = self._reach(self._distance, depth, frame)
        before = nearest_depth(seen, depth, reach, path.height, path.width, wanted)[pixels]
        samples = (self._reach(distance, z, frame) + 0.5) / self._magnified(distance, z, frame)  # steps of the map
        slope = (self._slope[pixels_of(origin, self._slope.shape, path.height, path.width)] * samples)[inside]
        result = np.zeros(len(points), dtype=np.bool_)
        result[inside] = before < z[inside] * (1 - self._tolerance - slope)
        return result

    def _magnified(self, distance: Array, z: Array, frame: int) -> Array:
        """Distance in px, in the frame, of neighbouring samples."""
        zoom = float((self._path.intrinsics[frame, :2] / self._path.picture[:2]).max())
        return self._spacing * zoom * distance / np.maximum(z, 1e-12)

    def _reach(self, distance: Array, z: Array, frame: int) -> Array:
        return np.clip(0.51 * self._magnified(distance, z, frame), 1.0, MAX_REACH_PX)


def nearest_depth(
    points: Array, z: Array, reach: Array, height: int, width: int, wanted: NDArray[np.bool_] | None = None
) -> Array:
    """Depth (h w) of the nearest sample over every pixel, inf where there is none; right only where `wanted` (h w).

    A sample at points (s 2) px with z (s) above 0 covers the pixels whose centres are closer than reach (s) px, at most
    MAX_REACH_PX, in x and in y.
    """
    edge = MAX_REACH_PX
    x, y = points[:, 0], points[:, 1]
    order = np.flatnonzero((z > 0) & (x > -edge) & (x < width + edge) & (y > -edge) & (y < height + edge))
    span = math.ceil(reach[order].max(initial=1.0))
    if wanted is not None:
        pixel_y, pixel_x = (np.floor(each[order]).astype(np.intp) + edge for each in (y, x))
        order = order[_widened(np.pad(wanted, edge), span)[pixel_y, pixel_x]]
    order = order[
        np.argsort(-z[order], kind="stable")
    ]  # of two samples of one pixel the nearer is written last, and stays
    x, y, z, reach = x[order], y[order], z[order], reach[order]
    left, top = np.floor(x - 0.5).astype(np.intp), np.floor(y - 0.5).astype(np.intp)
    steps = range(1 - span, span + 1)
    in_x = [(np.abs(left + dx + 0.5 - x) < reach) & (left + dx >= 0) & (left + dx < width) for dx in steps]
    nearest = np.full(height * width, np.inf)
    for dy in steps:
        in_y = (np.abs(top + dy + 0.5 - y) < reach) & (top + dy >= 0) & (top + dy < height)
        start = (top + dy) * width + left
        for dx, columns in zip(steps, in_x, strict=True):
            covers = np.flatnonzero(in_y & columns)
            pixel = start[covers] + dx
            nearest[pixel] = np.minimum(nearest[pixel], z[covers])
    return nearest.reshape(height, width)


def _widened(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask, and everything within `by` pixels of it in x and in y."""
    for axis in (0, 1):
        wide = mask.copy()
        for step in range(1, by + 1):
            low, high = (slice(None, -step), slice(step, None))
            for to, source in ((low, high), (high, low)):
                index = (to, slice(None)) if axis == 0 else (slice(None), to)
                other = (source, slice(None)) if axis == 0 else (slice(None), source)
                wide[index] |= mask[other]
        mask = wide
    return mask


def _slope(distance: Array) -> Array:
    """Relative step of the depth (h w) to the next sample, in x and y together, on the smoother side."""
    total = np.zeros_like(distance)
    for axis in (0, 1):
        if distance.shape[axis] > 1:
            step = np.abs(np.diff(distance, axis=axis))
            first, last = np.take(step, [0], axis=axis), np.take(step, [-1], axis=axis)
            total += (
                np.minimum(np.concatenate([first, step], axis=axis), np.concatenate([step, last], axis=axis)) / distance
            )
    return total
