"""When a drawn track is where: its span of frames, its easing or keyframes, what holds before and after, occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .spline import Array, Curve

EASINGS = ("linear", "ease_in", "ease_out", "ease_in_out")
HOLDS = ("hold", "hide")
FRAME_TOLERANCE = 1e-6
"""In frames. A clip re-timed to another length meets a span's border only up to rounding."""


@dataclass(frozen=True)
class Timing:
    """A track's time, in frames of the document's clip; see docs/tracks-format.md.

    start, duration: the span [start, start + duration] in which the point travels.
    easing: how it travels from the curve's start to its end, unless there are keyframes.
    keyframes: (frame after start, u on the curve), frames rising; between two it travels at constant speed.
    before, after: "hold" (visible, at rest) or "hide" (invisible) outside the span.
    hidden: spans (first frame, last frame) of the clip in which the point is invisible.
    """

    start: float
    duration: float
    easing: str = "linear"
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


def eased(elapsed: Array, easing: str) -> Array:
    """Share of the way covered at a share `elapsed` of the time, both in [0, 1].

    linear p; ease_in p^2; ease_out 1 - (1 - p)^2; ease_in_out p^2 (3 - 2p).
    """
    if easing == "ease_in":
        return elapsed**2
    if easing == "ease_out":
        return 1 - (1 - elapsed) ** 2
    if easing == "ease_in_out":
        return elapsed**2 * (3 - 2 * elapsed)
    return elapsed
