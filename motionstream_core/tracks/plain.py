"""Whether what points stand on is plain ground, and how far that reaches: sky, water, a wall.

Ground is dragged beneath the things that stand on it: it gives way up to them, and covers none. It is what hangs
together with the points once its texture is smoothed away (mean shift, Comaniciu and Meer 2002, of OpenCV).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

NEAR = 0.5
"""How far smoothing looks about; in reaches."""
ALIKE = 30
"""Differences of colour, of 255, that are texture."""
STEP = 6
"""Difference between smoothed neighbours, of 255, above which ground ends."""
LEAST = 0.12
"""A smaller part of the picture is a thing."""


def plain_about(picture: Tensor, marked: Tensor, reach: float) -> Tensor | None:
    """Which pixels (h w) of a picture (3 h w), in [0, 1], are the plain ground at the marked ones (h w); None: a thing.

    reach: px, how far a point speaks for its surroundings.
    """
    import cv2

    pixels = (picture.movedim(0, 2) * 255 + 0.5).byte().numpy()
    smooth = cv2.pyrMeanShiftFiltering(pixels, NEAR * reach, ALIKE, maxLevel=0)
    reached = np.zeros((marked.shape[0] + 2, marked.shape[1] + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | 1 << 8
    for y, x in torch.nonzero(marked).tolist():
        if not reached[y + 1, x + 1]:
            cv2.floodFill(smooth, reached, (x, y), 0, (STEP,) * 3, (STEP,) * 3, flags)
    plain = torch.from_numpy(reached[1:-1, 1:-1] > 0)
    return plain if plain.float().mean() >= LEAST else None
