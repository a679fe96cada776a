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


@dataclass
class Looks:
    """patch: (n SIDE * SIDE) grey levels less their weighted mean, times the root of the weights; color (n 3)."""

    patch: Floats
    color: Floats

    @classmethod
    def none(cls, count: int) -> Looks:
        """All zero."""
        return cls(np.zeros((count, SIDE * SIDE), np.float32), np.zeros((count, 3), np.float32))

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

    def looks(self, points: Floats) -> Looks:
        """What is around points."""
        color = _sample(self._soft, points[:, :1], points[:, 1:])
        return Looks(self.patches(points), color.reshape(-1, 3))

    def patches(self, points: Floats) -> Floats:
        """The grey part of `looks`."""
        x = points[:, 0, None, None] + np.broadcast_to(_AXIS, (SIDE, SIDE))
        y = points[:, 1, None, None] + np.broadcast_to(_AXIS[:, None], (SIDE, SIDE))
        grey = _sample(self.grey, x.reshape(-1, SIDE), y.reshape(-1, SIDE)).reshape(-1, SIDE * SIDE)
        return (grey - (grey @ WEIGHTS)[:, None]) * _ROOTS

    def find(self, looks: Looks, points: Floats, reach_px: float, num_steps: int) -> Floats:
        """Points (n 2) moved, at most `reach_px` in x and in y, to where this picture looks most like `looks`.

        Gauss-Newton on the gradients of the looks themselves (inverse compositional alignment, Baker and Matthews
        2004), translation only, blind to brightness. Without structure a point stays where it is.
        """
        if not len(points):
            return points
        slopes: tuple[Floats, ...] = np.gradient((looks.patch / _ROOTS).reshape(-1, SIDE, SIDE), axis=(1, 2))
        gradient_y, gradient_x = (slope.reshape(-1, SIDE**2) * _ROOTS for slope in slopes)
        xx, yy = _dot(gradient_x, gradient_x) + 1.0, _dot(gradient_y, gradient_y) + 1.0
        xy = _dot(gradient_x, gradient_y)
        determinant = xx * yy - xy * xy
        place = points
        for _ in range(num_steps):
            error = self.patches(place) - looks.patch
            bx, by = _dot(gradient_x, error), _dot(gradient_y, error)
            step = np.stack([yy * bx - xy * by, xx * by - xy * bx], axis=-1) / determinant[:, None]
            place = points + np.clip(place - np.clip(step, -2, 2) - points, -reach_px, reach_px)
        return place.astype(np.float32)


def similarity(first: Looks, second: Looks) -> Floats:
    """How much alike looks are, (n), at most 1: normalised cross-correlation times nearness of the colours.

    Correlation says nothing of flat patches, which therefore count as correlated with one another; colour decides.
    """
    a, b = _dot(first.patch, first.patch), _dot(second.patch, second.patch)
    correlation = (_dot(first.patch, second.patch) + STRUCTURE_FLOOR) / np.sqrt(
        (a + STRUCTURE_FLOOR) * (b + STRUCTURE_FLOOR)
    )
    nearness = 1 - np.linalg.norm(first.color - second.color, axis=-1) / COLOR_SCALE
    return (correlation * np.clip(nearness, 0, 1)).astype(np.float32)


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
