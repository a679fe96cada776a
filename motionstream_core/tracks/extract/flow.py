"""Optical flow of single points from one picture to the next, with the way back as a check (OpenCV)."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .patches import Floats

FlowKind = Literal["lucas_kanade", "dis"]
HALF_PIXEL = np.float32(0.5)  # OpenCV counts from the first pixel's centre


def there_and_back(
    kind: FlowKind, before: Any, after: Any, place: Floats, window_px: int, num_levels: int
) -> tuple[Floats, Floats]:
    """Where points at `place` (n 2) px of one grey picture (h w) uint8 are in the next (n 2), and how far astray (n).

    astray: px from where the way back ends to where it began; infinite where the flow was lost. kind: "lucas_kanade"
    looks at a window of window_px around each point, in a pyramid of num_levels above the full size (Bouguet, 2001);
    "dis" takes the picture's dense inverse search flow, which is smooth over even ground (Kroeger et al., ECCV 2016).
    """
    start = place.astype(np.float32) - HALF_PIXEL
    if kind == "dis":
        there, back, lost = _dense(before, after, start)
    else:
        there, back, lost = _sparse(before, after, start, window_px, num_levels)
    astray = np.where(lost, np.float32(np.inf), np.linalg.norm(back - start, axis=-1))
    return there + HALF_PIXEL, astray.astype(np.float32)


def _sparse(
    before: Any, after: Any, start: Floats, window_px: int, num_levels: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    import cv2

    options: Any = {
        "winSize": (window_px, window_px),
        "maxLevel": num_levels,
        "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
        "nextPts": None,
    }
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start[:, None], **options)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, **options)
    lost = (found[:, 0] == 0) | (returned[:, 0] == 0)
    return np.asarray(there, np.float32)[:, 0], np.asarray(back, np.float32)[:, 0], lost


def _dense(before: Any, after: Any, start: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    import cv2

    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    forth = np.asarray(dis.calc(before, after, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return_ = np.asarray(dis.calc(after, before, None), np.float32)  # pyright: ignore[reportCallIssue, reportArgumentType]
    there = start + _at(forth, start)
    return there, there + _at(return_, there), np.zeros(len(start), bool)


def _at(flow: Floats, place: Floats) -> Floats:
    """The flow (h w 2) at places (n 2), between pixels; beyond the border, the border's."""
    import cv2

    # one row of up to 32766 points at a time, which is what remap takes
    parts = [
        cv2.remap(flow, part[None, :, 0], part[None, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
        for part in np.split(place, range(32_000, len(place), 32_000))
    ]
    return np.concatenate(parts).astype(np.float32)
