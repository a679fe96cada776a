"""When a drawn track is where: its span of frames, its easing or keyframes, what holds before and after, occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .spline import Array, Curve

EASINGS = ("linear", "ease_in", "ease_out", "ease_in_out")
Bend = tuple[float, float, float, float]
"""x1, y1, x2, y2, each 0..1: a cubic Bezier from (0, 0) to (1, 1), the share of time across, that of the way up."""
_BEND_STEPS = 40
HOLDS = ("hold", "hide")
FRAME_TOLERANCE = 1e-6
"""In frames. A clip re-timed to another length meets a span's border only up to rounding."""


@dataclass(frozen=True)
class Timing:
    """A track's time, in frames of the document's clip; see docs/tracks-format.md.

    start, duration: the span [start, start + duration] in which the point travels.
    easing: how it travels from the curve's start to its end, unless there are keyframes; a name, or a Bend.
    keyframes: (frame after start, u on the curve), frames rising; between two it travels at constant speed.
    before, after: "hold" (visible, at rest) or "hide" (invisible) outside the span.
    hidden: spans (first frame, last frame) of the clip in which the point is invisible.
    """

    start: float
    duration: float
    easing: str | Bend = "linear"
    keyframes: tuple[tuple[float, float], ...] = ()
    before: str = "hold"
    after: str = "hold"
    hidden: tuple[tuple[float, float], ...] = ()

    def points(self, curve: Curve, frames: Array) -> Array:
        """Where the point is on `curve` at `frames` (t): (t 2) px."""
        since = frames - self.start
        if self.keyframes:
            at, u = np.array(self.keyframes, dtype=np.float64).T
            return curve.at_arc(np.interp(since, at, curve.arc_at(u)))
        return curve.at_arc(eased(progress(since, self.duration), self.easing) * curve.length)

    def share(self, curve: Curve, frames: Array) -> Array:
        """Share of the way covered at `frames` (t), 0..1: (t); of the time, where there are no keyframes and no way."""
        since = frames - self.start
        if not self.keyframes:
            return eased(progress(since, self.duration), self.easing)
        if curve.length <= 0:
            return np.zeros(len(frames))
        at, u = np.array(self.keyframes, dtype=np.float64).T
        return np.interp(since, at, curve.arc_at(u)) / curve.length

    def visibility(self, frames: Array) -> NDArray[np.bool_]:
        """Whether the point can be seen at `frames` (t): (t)."""
        seen = np.ones(len(frames), dtype=np.bool_)
        if self.before == "hide":
            seen &= frames >= self.start - FRAME_TOLERANCE
        if self.after == "hide":
            seen &= frames <= self.start + self.duration + FRAME_TOLERANCE
        for first, last in self.hidden:
            seen &= (frames < first - FRAME_TOLERANCE) | (frames > last + FRAME_TOLERANCE)
        return seen


def progress(since: Array, duration: float) -> Array:
    """Share of a span's time at frames `since` its start: 0 before it, 1 after it; no duration is a jump."""
    if duration <= 0:
        return (since >= -FRAME_TOLERANCE).astype(np.float64)
    return np.clip(since / duration, 0.0, 1.0)


def eased(elapsed: Array, easing: str | Bend) -> Array:
    """Share of the way covered at a share `elapsed` of the time, both in [0, 1].

    linear p; ease_in p^2; ease_out 1 - (1 - p)^2; ease_in_out p^2 (3 - 2p). A Bend is found by halving.
    """
    if not isinstance(easing, str):
        return _bent(elapsed, easing)
    if easing == "ease_in":
        return elapsed**2
    if easing == "ease_out":
        return 1 - (1 - elapsed) ** 2
    if easing == "ease_in_out":
        return elapsed**2 * (3 - 2 * elapsed)
    return elapsed


def _bent(elapsed: Array, bend: Bend) -> Array:
    x1, y1, x2, y2 = bend
    low, high = np.zeros_like(elapsed), np.ones_like(elapsed)
    for _ in range(_BEND_STEPS):
        middle = (low + high) / 2
        below = _along(middle, x1, x2) < elapsed
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    height = _along((low + high) / 2, y1, y2)
    return np.where((elapsed <= 0) | (elapsed >= 1), np.clip(elapsed, 0, 1), height)


def _along(t: Array, a: float, b: float) -> Array:
    """A coordinate of the cubic Bezier 0, a, b, 1 at t."""
    return t * (3 * (1 - t) * ((1 - t) * a + t * b) + t * t)
