"""How the surroundings of many points look, all at once: sample them, compare them, find them again.

Points are float32 (n 2) px, pixel j covering [j, j + 1). A look is a small grey patch and the colour around it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

SIDE = 9  # samples of a patch, a side, 1 px apart
CENTER_SIGMA = 2.5  # the point itself matters most: an occluder is judged by what it does to the centre
COLOR_SIGMA = 2.0
STRUCTURE_FLOOR = 60.0  # variance, in grey levels squared, below which a patch counts as flat
COLOR_SCALE = 90.0  # difference of colours, in grey levels, at which two patches have nothing in common
ROWS_AT_ONCE = 32_000  # of a sampling map: OpenCV's remap takes fewer than 32768 rows

_AXIS = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
_BELL = np.exp(-(_AXIS**2) / (2 * CENTER_SIGMA**2))
WEIGHTS: Floats = (np.outer(_BELL, _BELL) / np.outer(_BELL, _BELL).sum()).astype(np.float32).ravel()
_ROOTS = np.sqrt(WEIGHTS)
_SIDES = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))  # all of a patch, and its halves: which way each looks, x and y
_PART_SHIFT = 2.5  # where the colour of a half is taken, samples from the centre


def _parts() -> Floats:
    """Weights (5, SIDE * SIDE) of all of a patch and of its four halves, the centre in each."""
    parts = []
    for x, y in _SIDES:
        inside = (_AXIS[None] * x >= 0) & (_AXIS[:, None] * y >= 0)
        part = WEIGHTS * inside.ravel()
        parts.append(part / part.sum())
    return np.stack(parts).astype(np.float32)


PARTS: Floats = _parts()


@dataclass
class Looks:
    """patch: (n SIDE * SIDE) grey levels less their weighted mean, times the root of the weights; color (n 5 3), in the
    middle and in each half (`PARTS`)."""

    patch: Floats
    color: Floats

    @classmethod
    def none(cls, count: int) -> Looks:
        """All zero."""
        return cls(np.zeros((count, SIDE * SIDE), np.float32), np.zeros((count, len(_SIDES), 3), np.float32))

    def __getitem__(self, which: Any) -> Looks:
        return Looks(self.patch[which], self.color[which])

    def __setitem__(self, which: Any, looks: Looks) -> None:
        self.patch[which], self.color[which] = looks.patch, looks.color


class Picture:
    """One frame, uint8 (h w 3), made ready for sampling."""

    def __init__(self, frame: NDArray[np.uint8]) -> None:
        import cv2

        frame = np.ascontiguousarray(frame)
        self.size = (frame.shape[1], frame.shape[0])
        self.grey: Any = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        self._soft = cv2.GaussianBlur(frame, (0, 0), COLOR_SIGMA)

    def looks(self, points: Floats, linear: Floats | None = None) -> Looks:
        """What is around points (n 2); with linear (n 2 2), as it looks when turned and scaled back by that."""
        around = points[:, None] + _rotated(np.array(_SIDES, np.float32) * _PART_SHIFT, linear)
        color = _sample(self._soft, around[..., 0], around[..., 1])
        return Looks(self.patches(points, linear), color.reshape(len(points), len(_SIDES), 3))

    def patches(self, points: Floats, linear: Floats | None = None) -> Floats:
        """The grey part of `looks`."""
        grid = np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1).reshape(-1, 2)
        around = points[:, None] + _rotated(grid, linear)
        x, y = (around[..., axis].reshape(-1, SIDE) for axis in range(2))
        grey = _sample(self.grey, x, y).reshape(-1, SIDE * SIDE)
        return (grey - (grey @ WEIGHTS)[:, None]) * _ROOTS

    def find(
        self, looks: Looks, points: Floats, reach_px: float, num_steps: int, linear: Floats | None = None
    ) -> Floats:
        """Points (n 2) moved, at most `reach_px` in x and in y, to where this picture looks most like `looks`.

        Gauss-Newton on the gradients of the looks themselves (inverse compositional alignment, Baker and Matthews
        2004), translation only, blind to brightness. Without structure a point stays where it is. linear: as in
        `looks`.
        """
        if not len(points):
            return points
        gradient_x, gradient_y = _gradients(looks)
        xx, yy = _dot(gradient_x, gradient_x) + 1.0, _dot(gradient_y, gradient_y) + 1.0
        xy = _dot(gradient_x, gradient_y)
        determinant = xx * yy - xy * xy
        place = points
        for _ in range(num_steps):
            error = self.patches(place, linear) - looks.patch
            bx, by = _dot(gradient_x, error), _dot(gradient_y, error)
            step = np.stack([yy * bx - xy * by, xx * by - xy * bx], axis=-1) / determinant[:, None]
            step = np.clip(step, -2, 2)
            if linear is not None:  # from the patch's own axes to the picture's
                step = np.einsum("nij,nj->ni", linear, step)
            place = points + np.clip(place - step - points, -reach_px, reach_px)
        return place.astype(np.float32)


def similarity(first: Looks, second: Looks) -> Floats:
    """How much alike looks are, (n), at most 1: normalised cross-correlation times nearness of the colours.

    Correlation says nothing of flat patches, which therefore count as correlated with one another; colour decides.
    """
    a, b = _dot(first.patch, first.patch), _dot(second.patch, second.patch)
    correlation = (_dot(first.patch, second.patch) + STRUCTURE_FLOOR) / np.sqrt(
        (a + STRUCTURE_FLOOR) * (b + STRUCTURE_FLOOR)
    )
    return (correlation * _nearness(first.color[:, 0], second.color[:, 0])).astype(np.float32)


def best_half(first: Looks, second: Looks) -> Floats:
    """`similarity` (n) of the most similar half: a point beside an occluder's edge keeps one half of its looks."""
    a, b = first.patch / _ROOTS, second.patch / _ROOTS
    best = np.full(len(a), -1, np.float32)
    for part, weights in enumerate(PARTS[1:], start=1):
        x, y = a - (a @ weights)[:, None], b - (b @ weights)[:, None]
        xx, yy, xy = (x * x) @ weights, (y * y) @ weights, (x * y) @ weights
        correlation = (xy + STRUCTURE_FLOOR) / np.sqrt((xx + STRUCTURE_FLOOR) * (yy + STRUCTURE_FLOOR))
        best = np.maximum(best, correlation * _nearness(first.color[:, part], second.color[:, part]))
    return best


def _nearness(first: Floats, second: Floats) -> Floats:
    return np.clip(1 - np.linalg.norm(first - second, axis=-1) / COLOR_SCALE, 0, 1)


def _rotated(offsets: Floats, linear: Floats | None) -> Floats:
    """Offsets (m 2) as (1 m 2), or turned for each point, (n m 2)."""
    if linear is None:
        return offsets[None]
    x, y = offsets.T  # outer products by hand: einsum takes ten times as long
    return np.stack([linear[:, i, :1] * x + linear[:, i, 1:] * y for i in range(2)], axis=-1)


def structure(looks: Looks) -> Floats:
    """How well each look tells where it is, (n), in grey levels squared per px squared: the smaller eigenvalue of its
    gradients' products (Shi and Tomasi 1994). Near 0 on even ground and along a straight edge."""
    gradient_x, gradient_y = _gradients(looks)
    xx, yy, xy = _dot(gradient_x, gradient_x), _dot(gradient_y, gradient_y), _dot(gradient_x, gradient_y)
    return (xx + yy) / 2 - np.sqrt((xx - yy) ** 2 / 4 + xy * xy)


def _gradients(looks: Looks) -> tuple[Floats, Floats]:
    """Slopes of patches along x and y, (n SIDE * SIDE) each, times the root of the weights."""
    slopes: tuple[Floats, ...] = np.gradient((looks.patch / _ROOTS).reshape(-1, SIDE, SIDE), axis=(1, 2))
    return slopes[1].reshape(-1, SIDE**2) * _ROOTS, slopes[0].reshape(-1, SIDE**2) * _ROOTS


def levelled(grey: NDArray[np.uint8], blur_px: float, floor: float) -> NDArray[np.uint8]:
    """Grey levels (h w) less their surroundings' mean, over their spread: light that fades moves nothing.

    blur_px: how far the surroundings reach; floor: spread in grey levels below which noise is not blown up.
    """
    import cv2

    high = grey.astype(np.float32)
    high -= cv2.GaussianBlur(high, (0, 0), blur_px)
    spread = np.sqrt(cv2.GaussianBlur(high * high, (0, 0), blur_px) + floor**2)
    return np.clip(high / spread * 48 + 128, 0, 255).astype(np.uint8)


def _sample(image: Any, x: Floats, y: Floats) -> Floats:
    """Values of `image` at x, y (rows columns) px, bilinear, edges repeated."""
    import cv2

    parts = []
    for row in range(0, len(x), ROWS_AT_ONCE):
        # OpenCV counts from the first pixel's centre, points from its edge
        maps = [np.ascontiguousarray(each[row : row + ROWS_AT_ONCE] - np.float32(0.5)) for each in (x, y)]
        parts.append(cv2.remap(image, maps[0], maps[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    if not parts:
        return np.zeros((*x.shape, *image.shape[2:]), np.float32)
    return np.concatenate(parts).astype(np.float32)


def _dot(a: Floats, b: Floats) -> Floats:
    return np.einsum("nk,nk->n", a, b)
