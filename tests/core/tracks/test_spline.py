"""Curves against tests/data/curves.json, whose values come from slow sums of another kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionstream_core.tracks.spline import INTERPOLATIONS, curve

DATA = json.loads((Path(__file__).parents[2] / "data" / "curves.json").read_text("utf-8"))
TOLERANCE_PX = DATA["tolerance_px"]


def case_name(case: dict[str, Any]) -> str:
    return case["name"]


@pytest.mark.parametrize("case", DATA["cases"], ids=case_name)
def test_curves_agree_with_the_reference(case: dict[str, Any]) -> None:
    drawn = curve(np.array([[*p, 0, 0, 0, 0][:6] for p in case["points"]]), case["interpolation"])
    u, share = np.array(case["u"]), np.array(case["share"])
    assert abs(drawn.length - case["length"]) < TOLERANCE_PX
    assert np.abs(drawn.at(u) - case["at"]).max() < TOLERANCE_PX
    assert np.abs(drawn.arc_at(u) - case["arc_at"]).max() < TOLERANCE_PX
    assert np.abs(drawn.at_arc(share * drawn.length) - case["at_share"]).max() < TOLERANCE_PX


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_steps_of_equal_arc_are_equally_long(interpolation: str) -> None:
    points = np.array([[0, 0], [80, 10], [90, 90], [200, 90]], dtype=float)
    drawn = curve(points, interpolation)
    steps = np.linalg.norm(np.diff(drawn.at_arc(np.linspace(0, drawn.length, 4001)), axis=0), axis=1)
    # A chord across a corner of the polyline is shorter than the way; nowhere is it longer.
    assert steps.max() <= drawn.length / 4000 + 1e-6
    assert np.median(steps) == pytest.approx(drawn.length / 4000, rel=1e-4)


def test_a_quarter_circle_has_its_length() -> None:
    """The usual four-piece circle is within 0.03 % of a true one."""
    handle = 100 * 0.5522847498
    drawn = curve(np.array([[100, 0, 0, 0, 0, handle], [0, 100, handle, 0, 0, 0]], dtype=float), "bezier")
    assert drawn.length == pytest.approx(50 * np.pi, rel=3e-4)


def test_ends_hold() -> None:
    drawn = curve(np.array([[10, 10], [20, 10]], dtype=float), "linear")
    assert drawn.at_arc(np.array([-5.0, 99.0])).tolist() == [[10, 10], [20, 10]]
    assert drawn.at(np.array([-1.0, 7.0])).tolist() == [[10, 10], [20, 10]]


def test_another_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="'cardinal'; it must be one of freehand"):
        curve(np.zeros((2, 2)), "cardinal")
