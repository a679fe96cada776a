"""Schedules against their closed form, computed here in exact fractions."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.diffusion.schedule import (
    sample_training_sigmas,
    shift_sigmas,
    student_sigmas,
    teacher_sigmas,
    to_timestep,
)

SHIFTS = st.fractions(min_value=Fraction(1, 4), max_value=12, max_denominator=16)


def warp(u: Fraction, k: Fraction) -> float:
    """Logit form of the warp: odds u / (1 - u) times k. Another road than the library's."""
    if u == 1:
        return 1.0
    odds = k * u / (1 - u)
    return float(odds / (1 + odds))


@settings(deadline=None, max_examples=50)
@given(num_steps=st.integers(1, 60), shift=SHIFTS)
def test_teacher_sigmas_follow_the_closed_form(num_steps: int, shift: Fraction) -> None:
    sigmas = teacher_sigmas(num_steps, float(shift))
    expected = [warp(1 - Fraction(i, num_steps), shift) for i in range(num_steps + 1)]
    assert sigmas.tolist() == pytest.approx(expected, abs=1e-6)
    assert sigmas[0] == 1 and sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()


def test_the_papers_shift_puts_the_half_way_point_at_six_sevenths() -> None:
    assert shift_sigmas(0.5, 6.0) == pytest.approx(6 / 7)
    assert teacher_sigmas(50)[25].item() == pytest.approx(6 / 7)


def test_student_sigmas_of_the_default_list() -> None:
    # 6 u / (1 + 5 u) at u = 1, 0.667, 0.333, by hand
    assert student_sigmas().tolist() == pytest.approx([1.0, 4.002 / 4.335, 1.998 / 2.665, 0.0])


@settings(deadline=None, max_examples=50)
@given(steps=st.sets(st.integers(1, 1000), min_size=1, max_size=8), shift=SHIFTS)
def test_student_sigmas_warp_any_list(steps: set[int], shift: Fraction) -> None:
    step_list = sorted(steps, reverse=True)
    expected = [warp(Fraction(step, 1000), shift) for step in step_list] + [0.0]
    assert student_sigmas(step_list, float(shift)).tolist() == pytest.approx(expected, abs=1e-6)


def test_timesteps_are_thousandths() -> None:
    assert to_timestep(torch.tensor([1.0, 0.25, 0.0])).tolist() == [1000.0, 250.0, 0.0]


@pytest.mark.parametrize("step_list", [(), (0,), (1001,), (500, 500), (333, 667), (1000, 500, -1)])
def test_a_bad_step_list_is_named(step_list: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="step_list"):
        student_sigmas(step_list, 6.0)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan")])
def test_a_bad_shift_is_named(shift: float) -> None:
    for call in (lambda: teacher_sigmas(4, shift), lambda: student_sigmas((1000,), shift)):
        with pytest.raises(ValueError, match="shift"):
            call()


def test_no_steps_is_named() -> None:
    with pytest.raises(ValueError, match="num_steps"):
        teacher_sigmas(0, 6.0)


def test_training_sigmas_are_uniform_before_the_shift() -> None:
    sigmas = sample_training_sigmas(20_000, 6.0, torch.Generator().manual_seed(0))
    assert sigmas.shape == (20_000,) and sigmas.min() > 0 and sigmas.max() <= 1
    u = sigmas / (6 - 5 * sigmas)  # the inverse warp
    share = torch.histc(u, bins=10, min=0, max=1) / 20_000
    assert share.tolist() == pytest.approx([0.1] * 10, abs=0.01)


def test_training_sigmas_repeat_with_the_generator() -> None:
    draws = [sample_training_sigmas(4, 6.0, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_the_lowest_draw_is_pure_noise_not_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda count, **_: torch.zeros(count))
    assert sample_training_sigmas(2, 6.0, torch.Generator()).tolist() == [1.0, 1.0]
