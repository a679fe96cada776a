"""Curves through control points, and travel along them at constant speed.

Every interpolation becomes the same thing, a chain of cubic Bezier pieces over a parameter u in [0, k - 1] for k
control points, where u = i is control point i. Lengths of arc are integrated, not counted off polylines. The browser's
js/track_editor/curve/spline.js does the same sums; tests/data/curves.json holds both to an independent reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

INTERPOLATIONS = ("freehand", "catmull_rom", "bezier", "linear")

COINCIDENT_PX = 1e-6
_SPANS = 16  # parts of a piece that are integrated by themselves
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2  # over [0, 1]
_NEWTON_STEPS = 12


@dataclass(frozen=True, eq=False)
class Curve:
    """Cubic Bezier pieces: `pieces` (m 4 2) px, over the parameter intervals between `knots` (m + 1), which rise."""

    knots: Array
    pieces: Array

    @cached_property
    def arc(self) -> Array:
        """Length of arc in px from the start to every border of a part: (m * parts + 1), never falling."""
        at = (np.arange(_SPANS)[:, None] + _NODES) / _SPANS  # (parts nodes)
        speed = np.linalg.norm(_derivative(self.pieces[:, None, None], at[None]), axis=-1)
        return np.concatenate([[0.0], np.cumsum((speed @ _WEIGHTS).reshape(-1) / _SPANS)])

    @property
    def length(self) -> float:
        """Length of arc in px."""
        return float(self.arc[-1])

    def at(self, u: Array) -> Array:
        """Points (... 2) px at parameters u (...), which are held within the curve's ends."""
        piece, t = self._locate(u)
        return _point(self.pieces[piece], t)

    def arc_at(self, u: Array) -> Array:
        """Length of arc in px from the start to parameters u (...)."""
        piece, t = self._locate(u)
        part = np.minimum((t * _SPANS).astype(int), _SPANS - 1)
        start = part / _SPANS
        return self.arc[piece * _SPANS + part] + _arc_between(self.pieces[piece], start, t)

    def at_arc(self, arc: Array) -> Array:
        """Points (... 2) px that lie `arc` (...) px of travel from the start, held within the ends."""
        arc = np.clip(arc, 0.0, self.length)
        # each place once: a point that rests before its time, after it, or always has one in all those frames
        places, which = np.unique(arc.reshape(-1), return_inverse=True)
        return self._at_places(places)[which].reshape(*arc.shape, 2)

    def _at_places(self, arc: Array) -> Array:
        """`at_arc` of (n) within the curve."""
        part = np.clip(np.searchsorted(self.arc, arc, side="right") - 1, 0, len(self.arc) - 2)
        piece = part // _SPANS
        low = (part % _SPANS) / _SPANS
        pieces, high, rest = self.pieces[piece], low + 1 / _SPANS, arc - self.arc[part]
        whole = self.arc[part + 1] - self.arc[part]
        t = low + np.where(whole > 0, rest / np.where(whole > 0, whole, 1.0), 0.0) / _SPANS
        start = low
        # Newton's method, kept between bounds that close in: near a cusp the speed all but vanishes.
        for _ in range(_NEWTON_STEPS):
            excess = _arc_between(pieces, start, t) - rest
            low, high = np.where(excess < 0, t, low), np.where(excess < 0, high, t)
            speed = np.linalg.norm(_derivative(pieces, t), axis=-1)
            step = t - excess / np.where(speed > 0, speed, 1.0)
            t = np.where((speed > 0) & (step >= low) & (step <= high), step, (low + high) / 2)
        return _point(pieces, t)

    def _locate(self, u: Array) -> tuple[NDArray[np.int64], Array]:
        u = np.clip(u, self.knots[0], self.knots[-1])
        piece = np.clip(np.searchsorted(self.knots, u, side="right") - 1, 0, len(self.pieces) - 1)
        return piece, (u - self.knots[piece]) / (self.knots[piece + 1] - self.knots[piece])


def curve(points: Array, interpolation: str) -> Curve:
    """The curve of control points (k 2) px, or of (k 6) for bezier: x, y, and the offsets dx, dy of both handles.

    linear: straight from point to point.
    catmull_rom: through every point, centripetal (no loops, no overshoot); a missing or coincident neighbour is the
        mirror image of the other one. Source: Yuksel, Schaefer, Keyser, "Parameterization and applications of
        Catmull-Rom curves", 2011.
    bezier: through every point, leaving it along its second handle and reaching it along its first.
    freehand: the uniform quadratic B-spline with ends fixed: it begins and ends at the outer points and smooths the
        rest, passing inner point i, at u = i, at (p[i-1] + 6 p[i] + p[i+1]) / 8.

    One point makes a curve of length 0. Raises ValueError for another interpolation.
    """
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is {interpolation!r}; it must be one of {', '.join(INTERPOLATIONS)}")
    points = np.asarray(points, dtype=np.float64)
    anchors = points[:, :2]
    if len(points) == 1:
        return Curve(np.array([0.0, 1.0]), np.repeat(anchors[:, None], 4, axis=1))
    if interpolation == "freehand":
        return _b_spline(anchors)
    start, stop = anchors[:-1], anchors[1:]
    if interpolation == "linear":
        leaving, arriving = (stop - start) / 3, (start - stop) / 3
    elif interpolation == "bezier":
        handles = points[:, 2:] if points.shape[1] == 6 else np.zeros((len(points), 4))
        leaving, arriving = handles[:-1, 2:], handles[1:, :2]
    else:
        leaving, arriving = _catmull_rom_handles(anchors)
    pieces = np.stack([start, start + leaving, stop + arriving, stop], axis=1)
    return Curve(np.arange(len(points), dtype=np.float64), pieces)


def _b_spline(points: Array) -> Curve:
    """Line, parabolas, line: each parabola has an inner point as its middle control point."""
    middles = (points[:-1] + points[1:]) / 2
    start = np.concatenate([points[:1], middles])
    stop = np.concatenate([middles, points[-1:]])
    control = np.concatenate([(start[:1] + stop[:1]) / 2, points[1:-1], (start[-1:] + stop[-1:]) / 2])
    # A parabola's cubic form lifts its control point two thirds of the way from either end.
    pieces = np.stack([start, start + (control - start) * 2 / 3, stop + (control - stop) * 2 / 3, stop], axis=1)
    knots = np.concatenate([[0.0], np.arange(len(points) - 1) + 0.5, [len(points) - 1.0]])
    return Curve(knots, pieces)


def _catmull_rom_handles(points: Array) -> tuple[Array, Array]:
    """Offsets of the inner Bezier points from the start (leaving) and the stop (arriving) of every segment."""
    start, stop = points[:-1], points[1:]
    before = np.concatenate([2 * points[:1] - points[1:2], points[:-2]])
    after = np.concatenate([points[2:], 2 * points[-1:] - points[-2:-1]])
    step = _chord(start, stop)
    before = np.where((_chord(before, start) < COINCIDENT_PX)[:, None], 2 * start - stop, before)
    after = np.where((_chord(stop, after) < COINCIDENT_PX)[:, None], 2 * stop - start, after)
    coincident = step < COINCIDENT_PX
    chords = _chord(before, start), step, _chord(stop, after)
    d0, d1, d2 = (np.sqrt(np.where(coincident, 1.0, chord))[:, None] for chord in chords)
    leaving = ((start - before) / d0 - (stop - before) / (d0 + d1)) * d1 + (stop - start)
    arriving = ((after - stop) / d2 - (after - start) / (d1 + d2)) * d1 + (stop - start)
    moving = ~coincident[:, None]
    return np.where(moving, leaving / 3, 0.0), np.where(moving, -arriving / 3, 0.0)


def _chord(a: Array, b: Array) -> Array:
    return np.linalg.norm(b - a, axis=-1)


def _point(pieces: Array, t: Array) -> Array:
    t = t[..., None]
    rest = 1 - t
    a, b, c, d = (pieces[..., index, :] for index in range(4))
    return rest**3 * a + 3 * rest**2 * t * b + 3 * rest * t**2 * c + t**3 * d


def _derivative(pieces: Array, t: Array) -> Array:
    t = t[..., None]
    rest = 1 - t
    a, b, c, d = (pieces[..., index, :] for index in range(4))
    return 3 * (rest**2 * (b - a) + 2 * rest * t * (c - b) + t**2 * (d - c))


def _arc_between(pieces: Array, start: Array, stop: Array) -> Array:
    """Length of arc of pieces (... 4 2) from t = start to t = stop, (...) each, within one part."""
    width = stop - start
    at = start[..., None] + width[..., None] * _NODES
    speed = np.linalg.norm(_derivative(pieces[..., None, :, :], at), axis=-1)
    return (speed @ _WEIGHTS) * width
