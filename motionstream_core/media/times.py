"""Two clocks: the times of a video's frames, and an even rate."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.floating[Any]]

EVEN_WITHIN = 0.25
"""Frames come evenly where none lies further from its place than this part of the time between two."""
MOST_FPS = 120.0
TOLERANCE = 1e-6
"""Of a time, in s or in frames: what lies nearer is the same."""


def steady_rate(times_s: Times, stated_fps: float) -> tuple[float, bool]:
    """(frames per second, whether the frames come evenly at that rate) of rising times in s.

    Even ones have `stated_fps` if that fits them. Otherwise the rate is that of the usual time between two frames
    (about their median), at most 120 a second.
    """
    since = times_s - times_s[0]
    if len(since) == 1:
        return stated_fps, True
    for fps in (stated_fps, (len(since) - 1) / since[-1]):
        if fps > 0 and (np.abs(since * fps - np.arange(len(since))) <= EVEN_WITHIN).all():
            return float(fps), True
    gaps = np.diff(since)
    middle = np.quantile(gaps, 0.5, method="lower")  # one of them: between two kinds of gaps there may be none
    usual = gaps[np.abs(gaps - middle) <= EVEN_WITHIN * middle]
    # the mean of the usual ones, since some files round to milliseconds
    return min(1 / float(usual.mean()), MOST_FPS), False


def even_times(last_s: float, fps: float) -> Times:
    """0, 1 / fps, 2 / fps, ... up to the time that is nearest to `last_s`."""
    return np.arange(round(last_s * fps) + 1) / fps


def nearest(times: Times, wanted: Times) -> NDArray[np.int64]:
    """For each wanted time the index of the rising `times` that is nearest to it; of two as near, the earlier."""
    return np.searchsorted((times[1:] + times[:-1]) / 2 + TOLERANCE, wanted, side="left")


def around(times: Times, wanted: Times) -> tuple[NDArray[np.int64], NDArray[np.int64], Times]:
    """(indices before, indices after, share of the way) of wanted times between rising `times`.

    The share is exactly 0 or 1 where a wanted time is one of them, and beyond their ends.
    """
    if len(times) == 1:
        index = np.zeros(len(wanted), np.int64)
        return index, index, np.zeros(len(wanted))
    after = np.clip(np.searchsorted(times, wanted, side="right"), 1, len(times) - 1)
    before = after - 1
    share = ((wanted - times[before]) / (times[after] - times[before])).clip(0, 1)
    share = np.where(share < TOLERANCE, 0.0, np.where(share > 1 - TOLERANCE, 1.0, share))
    return before, after, share
