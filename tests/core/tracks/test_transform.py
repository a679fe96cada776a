"""Scaling, turning and shifting against complex numbers, and by parts of a span."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import Placement, Span, Tracks, middle_of, transform

quick = settings(max_examples=60, deadline=None)
EASINGS = ["linear", "ease_in", "ease_out", "ease_in_out"]
px = st.floats(-500, 500, width=32)
MIDDLE = torch.tensor([10.0, 20.0])


def tracks_of(*rows: list[tuple[float, float]]) -> Tracks:
    """Tracks of one row of points per frame, all visible."""
    points = torch.tensor(rows, dtype=torch.float32)
    return Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), 100, 200)


def eased(easing: str, p: float) -> float:
    return {"linear": p, "ease_in": p * p, "ease_out": p * (2 - p), "ease_in_out": 3 * p * p - 2 * p**3}[easing]


@quick
@given(px, px, st.floats(0.1, 3), st.floats(-720, 720), px, px, st.sampled_from(EASINGS))
def test_equals_the_plane_of_complex_numbers(
    x: float, y: float, scale: float, degrees: float, shift_x: float, shift_y: float, easing: str
) -> None:
    """x + iy with y downwards: multiplying by exp(i a) turns clockwise on the screen. Span from frame 1 to 5 of 7."""
    moved = transform(
        tracks_of(*[[(x, y)]] * 7), Placement(scale, scale, degrees, shift_x, shift_y), MIDDLE, Span(1, 5, easing)
    )
    for frame in range(7):
        share = eased(easing, min(max((frame - 1) / 4, 0.0), 1.0))
        about = complex(10, 20)
        factor = (1 + (scale - 1) * share) * cmath.exp(1j * math.radians(degrees * share))
        expected = about + factor * (complex(x, y) - about) + share * complex(shift_x, shift_y)
        assert moved.points[frame, 0].tolist() == pytest.approx([expected.real, expected.imag], rel=1e-5, abs=1e-3)


def test_what_each_value_does_to_a_corner() -> None:
    tracks = tracks_of([(30.0, 20.0)])

    def moved(**values: float) -> list[float]:
        return [round(value, 4) for value in transform(tracks, Placement(**values), MIDDLE).points[0, 0].tolist()]

    assert moved(rotation_deg=90) == [10, 40]  # from the right of the middle to below it
    assert moved(scale_x=2) == [50, 20]
    assert moved(scale_x=-1) == [-10, 20]
    assert moved(scale_y=3) == [30, 20]
    assert moved(shift_x_px=-5, shift_y_px=7) == [25, 27]
    assert moved(scale_x=2, rotation_deg=90, shift_x_px=1) == [11, 60]  # scaled, then turned, then shifted


def test_a_span_without_length_is_a_jump() -> None:
    moved = transform(tracks_of(*[[(0.0, 0.0)]] * 4), Placement(shift_x_px=8), MIDDLE, Span(2, 2))
    assert moved.points[:, 0, 0].tolist() == [0, 0, 8, 8]


def test_untouched_frames_stay_to_the_last_bit_and_ids_stay() -> None:
    points = torch.rand(6, 5, 2, generator=torch.Generator().manual_seed(0)) * 100
    tracks = Tracks(points, torch.rand(6, 5) > 0.5, 100, 200, torch.tensor([5, 4, 3, 2, 1]))
    moved = transform(tracks, Placement(rotation_deg=33, shift_x_px=1), MIDDLE, Span(3, 5))
    assert torch.equal(moved.points[:4], points[:4])
    assert not torch.equal(moved.points[4], points[4])
    assert torch.equal(moved.visibility, tracks.visibility)
    assert moved.ids.tolist() == [5, 4, 3, 2, 1]


def test_an_object_turns_about_its_own_moving_middle() -> None:
    tracks = tracks_of(*[[(t * 9.0, 5.0), (t * 9.0 + 4, 5.0)] for t in range(5)])
    turned = transform(tracks, Placement(rotation_deg=180), middle_of(tracks), Span(0, 4))
    assert turned.points[:, :, 0].mean(dim=1).tolist() == pytest.approx([t * 9.0 + 2 for t in range(5)])
    assert turned.points[2].flatten().tolist() == pytest.approx([20, 3, 20, 7], abs=1e-4)  # upright half way
    assert turned.points[4].flatten().tolist() == pytest.approx([40, 5, 36, 5], abs=1e-4)


def test_the_middle_does_not_jump_where_points_hide() -> None:
    tracks = tracks_of(*[[(2.0 * t, 0.0), (2.0 * t + 10, 6.0), (900.0, 900.0)] for t in range(6)])
    seen = torch.tensor([[True, t not in (0, 2, 3), False] for t in range(6)])
    hidden = Tracks(torch.where(seen[..., None], tracks.points, math.nan), seen, 100, 200)
    # The second point rests at 12 before it is seen first, and goes straight from frame 1 to 4.
    assert middle_of(hidden)[:, 0].tolist() == pytest.approx([6, 7, 9, 11, 13, 15])
    assert middle_of(hidden)[:, 1].tolist() == pytest.approx([3] * 6)


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: Placement(scale_x=math.nan), "scale_x is nan"),
        (lambda: Span(3, 2), "start must not lie after stop"),
        (lambda: Span(0, math.nan), "start must not lie after stop"),
        (lambda: Span(0, 1, "bounce"), "easing is 'bounce'; it must be one of linear"),
        (lambda: transform(tracks_of([(0.0, 0.0)]), Placement(), torch.zeros(3)), r"about has shape \(3,\)"),
        (lambda: middle_of(Tracks.empty(2, 8, 8)), "no point is ever visible"),
    ],
)
def test_refusals(work, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        work()
