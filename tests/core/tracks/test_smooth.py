"""Smoothing against loops over single samples; what it must not touch; how much jitter it takes away."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import Tracks, smooth

quick = settings(max_examples=60, deadline=None)
samples = st.lists(st.tuples(st.floats(-900, 900, width=32), st.booleans()), min_size=1, max_size=16)


def track(values: list[tuple[float, bool]]) -> Tracks:
    """Two tracks: the values, nan where unseen, and a point that is always seen."""
    points = torch.tensor([[[x if seen else math.nan, -x if seen else math.nan], [x, x]] for x, seen in values])
    return Tracks(points, torch.tensor([[seen, True] for _, seen in values]), 64, 64, torch.tensor([9, 8]))


def slow(values: list[tuple[float, bool]], radius: int) -> list[float | None]:
    """One sample at a time, its run of visible frames searched for anew."""
    result: list[float | None] = []
    for i, (x, seen) in enumerate(values):
        if not seen:
            result.append(None)
            continue
        reach = 0
        while reach < radius and i - reach > 0 and i + reach < len(values) - 1:
            if not (values[i - reach - 1][1] and values[i + reach + 1][1]):
                break
            reach += 1
        weights = {k: math.exp(-0.5 * (k / (reach / 2)) ** 2) if reach else 1.0 for k in range(-reach, reach + 1)}
        result.append(sum(w * values[i + k][0] for k, w in weights.items()) / sum(weights.values()))
        assert reach or result[-1] == x
    return result


@quick
@given(samples, st.integers(0, 9))
def test_equals_the_slow_reference(values: list[tuple[float, bool]], radius: int) -> None:
    result = smooth(track(values), radius)
    for column, wanted in ((0, slow(values, radius)), (1, slow([(x, True) for x, _ in values], radius))):
        for frame, value in enumerate(wanted):
            assert value is None or result.points[frame, column, 0].item() == pytest.approx(value, rel=1e-5, abs=1e-3)
    assert result.visibility.tolist() == [[seen, True] for _, seen in values]
    assert result.ids.tolist() == [9, 8]


@quick
@given(samples, st.integers(1, 9))
def test_ends_of_every_run_stay_to_the_last_bit(values: list[tuple[float, bool]], radius: int) -> None:
    result = smooth(track(values), radius)
    for i, (x, seen) in enumerate(values):
        is_end = i in (0, len(values) - 1) or not (values[i - 1][1] and values[i + 1][1])
        if seen and is_end:
            assert result.points[i, 0].tolist() == [x, -x]


def test_a_straight_even_path_and_a_point_at_rest_stay() -> None:
    frames = torch.arange(40.0)
    points = torch.stack([torch.stack([3 * frames, 5 - frames], -1), torch.full((40, 2), 0.1)], dim=1)
    result = smooth(Tracks(points, torch.ones(40, 2, dtype=torch.bool), 64, 64), 7)
    assert torch.allclose(result.points, points, atol=1e-5)
    assert torch.equal(result.points[:, 1], points[:, 1])


def test_jitter_goes_down_as_the_weights_say() -> None:
    """Independent noise of variance 1 keeps the sum of the squared weights."""
    noise = torch.randn(400, 200, 2, generator=torch.Generator().manual_seed(0))
    result = smooth(Tracks(noise, torch.ones(400, 200, dtype=torch.bool), 64, 64), 4).points[4:-4]
    weights = torch.exp(-0.5 * (torch.arange(-4.0, 5) / 2) ** 2)
    assert result.var().item() == pytest.approx(((weights / weights.sum()) ** 2).sum().item(), rel=0.03)


def test_a_radius_below_0_is_refused() -> None:
    with pytest.raises(ValueError, match="radius_frames is -1"):
        smooth(track([(1.0, True)]), -1)
