"""Guidance against Eq. 2 of arXiv 2511.01266, written out here term by term."""

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.diffusion.guidance import (
    GuidanceCoefficients,
    Pass,
    active_passes,
    combine,
    guidance_coefficients,
    joint_guidance,
)

WEIGHTS = st.floats(0, 12, allow_subnormal=False)


def velocity(text: bool, motion: bool) -> Tensor:
    """A toy teacher whose four conditional velocities have nothing in common."""
    seed = 1 + 2 * text + motion
    return torch.randn(1, 2, 3, 4, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


TOY = {
    Pass.JOINT: velocity(True, True),
    Pass.MOTION_ONLY: velocity(False, True),
    Pass.TEXT_ONLY: velocity(True, False),
}


class Teacher:
    """Answers from the toy and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Pass, ...]] = []

    def __call__(self, passes: tuple[Pass, ...]) -> list[Tensor]:
        self.calls.append(passes)
        return [TOY[which] for which in passes]


def equation_2(w_t: float, w_m: float) -> Tensor:
    a = w_t / (w_t + w_m)
    v_base = a * velocity(False, True) + (1 - a) * velocity(True, False)
    text = velocity(True, True) - velocity(False, True)
    motion = velocity(True, True) - velocity(True, False)
    return v_base + w_t * text + w_m * motion


@settings(deadline=None, max_examples=50)
@given(w_t=WEIGHTS, w_m=WEIGHTS)
@example(3.0, 1.5)
@example(1.0, 0.0)
@example(0.25, 0.75)
@example(0.0, 4.0)
def test_guided_velocity_is_equation_2(w_t: float, w_m: float) -> None:
    assume(w_t + w_m > 1e-6)
    for batched in (True, False):
        guided = joint_guidance(Teacher(), w_t, w_m, batched=batched)
        assert guided.dtype == torch.float32
        torch.testing.assert_close(guided.double(), equation_2(w_t, w_m), rtol=1e-5, atol=2e-5)


@settings(deadline=None, max_examples=50)
@given(w_t=WEIGHTS, w_m=WEIGHTS)
@example(0.0, 0.0)
def test_coefficients_sum_to_one(w_t: float, w_m: float) -> None:
    c = guidance_coefficients(w_t, w_m)
    assert c.joint + c.motion_only + c.text_only == pytest.approx(1)


def test_coefficients_at_the_papers_weights() -> None:
    # a = 2/3: joint 3 + 1.5, motion only 2/3 - 3, text only 1/3 - 1.5
    c = guidance_coefficients(3.0, 1.5)
    assert (c.joint, c.motion_only, c.text_only) == pytest.approx((4.5, -7 / 3, -7 / 6))


@pytest.mark.parametrize(
    ("w_t", "w_m", "passes"),
    [
        (3.0, 1.5, (Pass.JOINT, Pass.MOTION_ONLY, Pass.TEXT_ONLY)),
        (3.0, 0.0, (Pass.JOINT, Pass.MOTION_ONLY)),
        (0.0, 1.5, (Pass.JOINT, Pass.TEXT_ONLY)),
        (1.0, 0.0, (Pass.JOINT,)),
        (0.25, 0.75, (Pass.JOINT,)),
        (0.0, 0.0, (Pass.JOINT,)),
    ],
)
def test_passes_without_weight_are_never_computed(w_t: float, w_m: float, passes: tuple[Pass, ...]) -> None:
    assert active_passes(guidance_coefficients(w_t, w_m)) == passes
    at_once, one_by_one = Teacher(), Teacher()
    joint_guidance(at_once, w_t, w_m)
    joint_guidance(one_by_one, w_t, w_m, batched=False)
    assert at_once.calls == [passes]
    assert one_by_one.calls == [(which,) for which in passes]


def test_both_weights_zero_means_no_guidance() -> None:
    torch.testing.assert_close(joint_guidance(Teacher(), 0.0, 0.0), velocity(True, True).float())


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_bad_weight_is_named(bad: float) -> None:
    with pytest.raises(ValueError, match="text_weight"):
        guidance_coefficients(bad, 1.0)
    with pytest.raises(ValueError, match="motion_weight"):
        guidance_coefficients(1.0, bad)


def test_half_precision_predictions_are_combined_in_float32() -> None:
    coefficients = GuidanceCoefficients(joint=4.5, motion_only=-7 / 3, text_only=-7 / 6)
    halves = {which: v.to(torch.bfloat16) for which, v in TOY.items()}
    guided = combine(coefficients, halves)
    exact = sum(coefficients.of(which) * halves[which].double() for which in Pass)
    assert guided.dtype == torch.float32
    torch.testing.assert_close(guided.double(), exact, rtol=1e-5, atol=1e-5)


def test_a_predictor_that_answers_too_little_is_caught() -> None:
    with pytest.raises(ValueError):
        joint_guidance(lambda passes: [TOY[Pass.JOINT]], 3.0, 1.5)
