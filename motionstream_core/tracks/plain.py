"""Plain ground in a picture, and how far it reaches: sky, water, a wall.

It is what hangs together once the picture's texture is smoothed away (mean shift, Comaniciu and Meer 2002, of OpenCV).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

NEAR = 0.5
"""How far smoothing looks about; in reaches."""
ALIKE = 30
"""Differences of colour, of 255, that are texture."""
STEP = 6
"""Difference between smoothed neighbours, of 255, above which ground ends."""
LEAST = 0.12
"""A smaller part of the picture is a thing."""


class Plain:
    """The plain parts of a picture (3 h w) in [0, 1]. reach: px, how far a point speaks for its surroundings."""

    def __init__(self, picture: Tensor, reach: float) -> None:
        self.picture, self.reach = picture, reach

    @cached_property
    def _smooth(self) -> NDArray[np.uint8]:
        import cv2

        pixels = (self.picture.movedim(0, 2) * 255 + 0.5).byte().numpy()
        return cv2.pyrMeanShiftFiltering(pixels, NEAR * self.reach, ALIKE, maxLevel=0)  # type: ignore[return-value]

    def ground_at(self, marked: Tensor) -> Tensor | None:
        """Which pixels (h w) are plain ground that hangs together with marked ones (h w); None: they are of things."""
        import cv2

        reached = np.zeros((marked.shape[0] + 2, marked.shape[1] + 2), np.uint8)
        flags = 4 | cv2.FLOODFILL_MASK_ONLY | 1 << 8
        for y, x in torch.nonzero(marked).tolist():
            if not reached[y + 1, x + 1]:
                cv2.floodFill(self._smooth, reached, (x, y), 0, (STEP,) * 3, (STEP,) * 3, flags)
        ground = torch.from_numpy(reached[1:-1, 1:-1] > 0)
        return ground if ground.float().mean() >= LEAST else None

    def beside(self, points: Tensor, near: Tensor) -> Tensor:
        """Which of points (m 2) stand on ground, most of which lies beyond what is near (h w) to them all (m)."""
        height, width = near.shape
        found = torch.zeros(len(points), dtype=torch.bool)
        inside = ((points >= 0) & (points < points.new_tensor([width, height]))).all(1)
        todo = set(torch.nonzero(inside)[:, 0].tolist())
        while todo:
            x, y = points[todo.pop()].long().tolist()
            at = torch.zeros_like(near)
            at[y, x] = True
            ground = self.ground_at(at)
            if ground is None:
                continue
            column, row = points.long().clamp(min=0).unbind(1)
            there = inside & ground[row.clamp(max=height - 1), column.clamp(max=width - 1)]
            if (ground & near).sum() < ground.sum() / 2:
                found |= there
            todo -= set(torch.nonzero(there)[:, 0].tolist())
        return found
