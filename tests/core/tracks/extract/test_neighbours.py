"""Where hidden points are by their companions, against motions that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from motionstream_core.tracks.extract.neighbours import Companions
from motionstream_core.tracks.extract.tracker import grid_queries

POINTS = grid_queries(120, 160, 12, 16)[:, 1:].astype(np.float32)
HIDDEN = np.flatnonzero((np.abs(POINTS - (80, 60)) < (21, 21)).all(1))  # a block in the middle


def turned(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    about = points - (80, 60)
    x, y = cos * about[:, 0] - sin * about[:, 1], sin * about[:, 0] + cos * about[:, 1]
    return (np.stack([x, y], -1) + np.array((80, 60)) + np.array(shift)).astype(np.float32)


def met() -> Companions:
    companions = Companions(len(POINTS))
    every = np.ones(len(POINTS), bool)
    companions.meet(np.arange(len(POINTS)), POINTS, every)
    return companions


def seen_but(hidden: np.ndarray) -> np.ndarray:
    seen = np.ones(len(POINTS), bool)
    seen[hidden] = False
    return seen


def test_a_hidden_block_follows_turn_scale_and_shift() -> None:
    assert len(HIDDEN) >= 12
    now = turned(POINTS, 0.35, 1.15, (12, -7))
    given = now.copy()
    given[HIDDEN] = 1e4  # nobody may look at where hidden points are said to be
    fit = met().predict(HIDDEN, given, seen_but(HIDDEN))
    assert fit.sure.all()
    np.testing.assert_allclose(fit.place, now[HIDDEN], atol=0.3)
    expected = 1.15 * np.array([[np.cos(0.35), -np.sin(0.35)], [np.sin(0.35), np.cos(0.35)]])
    np.testing.assert_allclose(fit.linear, np.broadcast_to(expected, fit.linear.shape), atol=0.02)


def test_nothing_adds_up_however_long_it_is_hidden() -> None:
    companions, seen, place = met(), seen_but(HIDDEN), POINTS
    for t in range(1, 41):
        last, place = place, turned(POINTS, 0.02 * t, 1.0, (0.5 * t, 0))
        companions.compare(place - last, seen)
        companions.remember(place, seen, seen)
    fit = companions.predict(HIDDEN, np.where(seen[:, None], place, 1e4).astype(np.float32), seen)
    np.testing.assert_allclose(fit.place, place[HIDDEN], atol=0.5)


def test_companions_that_went_another_way_are_left_out() -> None:
    """Two layers: every second column moves right, the others left. Then one point of each is hidden."""
    companions = met()
    right = (np.arange(len(POINTS)) % 2 == 0)[:, None]
    step = np.where(right, (1.5, 0), (-1.5, 0)).astype(np.float32)
    every, place = np.ones(len(POINTS), bool), POINTS
    for _ in range(5):
        place = place + step
        companions.compare(step, every)
        companions.remember(place, every, every)
    hidden = np.array([88, 89])
    later = place + 6 * step
    fit = companions.predict(
        hidden, np.where(seen_but(hidden)[:, None], later, 1e4).astype(np.float32), seen_but(hidden)
    )
    assert fit.sure.all()
    np.testing.assert_allclose(fit.place, later[hidden], atol=0.2)


def test_who_has_nobody_goes_on_ever_slower() -> None:
    companions, every = met(), np.ones(len(POINTS), bool)
    step = np.tile(np.float32([2, 0]), (len(POINTS), 1))
    for _ in range(20):
        companions.compare(step, every)
    alone = np.array([0])
    assert not companions.predict(alone, POINTS, np.zeros(len(POINTS), bool)).sure.any()
    first = companions.carry_on(alone, POINTS[alone])
    second = companions.carry_on(alone, first)
    assert (first - POINTS[alone])[0] == pytest.approx([1.8, 0], abs=1e-3)
    assert (second - first)[0] == pytest.approx([1.62, 0], abs=1e-3)


def test_the_lonely_are_found() -> None:
    seen = seen_but(HIDDEN)
    assert len(met().lonely(seen)) == 0
    few = np.zeros(len(POINTS), bool)
    few[:3] = True
    assert set(met().lonely(few)) == {0, 1, 2}
