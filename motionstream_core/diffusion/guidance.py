"""Joint text and motion guidance (arXiv 2511.01266, Eq. 2).

With J = v(text, motion), M = v(no text, motion), T = v(text, no motion):

    v = v_base + w_t (J - M) + w_m (J - T),   v_base = a M + (1 - a) T,   a = w_t / (w_t + w_m)

Gathered by prediction, with s = w_t + w_m:

    v = s J + (1 - s) a M + (1 - s) (1 - a) T

so the three coefficients sum to 1, whatever the weights. At s = 1 the last two vanish and one pass is enough; with
w_m = 0 this is ordinary classifier-free guidance on the text, with w_t = 0 on the motion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor


class Pass(Enum):
    """One forward pass of the teacher, by what it is conditioned on."""

    JOINT = "text and motion"
    MOTION_ONLY = "motion, negative prompt"
    TEXT_ONLY = "text, zero track map"


@dataclass(frozen=True)
class GuidanceCoefficients:
    """Weights of the three predictions in the guided velocity; they sum to 1."""

    joint: float
    motion_only: float
    text_only: float

    def of(self, which: Pass) -> float:
        return {Pass.JOINT: self.joint, Pass.MOTION_ONLY: self.motion_only, Pass.TEXT_ONLY: self.text_only}[which]


Predictor = Callable[[tuple[Pass, ...]], list[Tensor]]


def guidance_coefficients(text_weight: float, motion_weight: float) -> GuidanceCoefficients:
    """Eq. 2 gathered by prediction; the paper's weights are text 3.0, motion 1.5.

    Both weights 0 leave `a` undefined: here it means no guidance, the plain conditional v(text, motion) in one pass.
    Raises ValueError for a weight that is negative or not finite.
    """
    for name, weight in (("text_weight", text_weight), ("motion_weight", motion_weight)):
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(f"{name} must be a finite number of at least 0, got {weight}")
    total = text_weight + motion_weight
    if total == 0:
        return GuidanceCoefficients(joint=1.0, motion_only=0.0, text_only=0.0)
    base = (1 - total) / total
    return GuidanceCoefficients(joint=total, motion_only=base * text_weight, text_only=base * motion_weight)


def active_passes(coefficients: GuidanceCoefficients) -> tuple[Pass, ...]:
    """The passes that must be computed, in the enum's order: those whose coefficient is not 0."""
    return tuple(which for which in Pass if coefficients.of(which) != 0)


def combine(coefficients: GuidanceCoefficients, predictions: Mapping[Pass, Tensor]) -> Tensor:
    """The guided velocity, in float32: coefficients beyond 4 of both signs cancel, which half precision cannot hold.

    predictions: one velocity of equal shape for every active pass.
    """
    first, *rest = active_passes(coefficients)
    guided = predictions[first].float() * coefficients.of(first)
    for which in rest:
        guided = torch.add(guided, predictions[which].float(), alpha=coefficients.of(which))
    return guided


def joint_guidance(predict: Predictor, text_weight: float, motion_weight: float, batched: bool = True) -> Tensor:
    """The guided velocity at one noise level, in float32.

    predict: takes passes and returns their velocities in the same order; it never sees a pass whose coefficient is 0.
    batched: True asks for all passes in one call, False for one per call, with the activations of one pass at a time.
    """
    coefficients = guidance_coefficients(text_weight, motion_weight)
    passes = active_passes(coefficients)
    velocities = predict(passes) if batched else [velocity for which in passes for velocity in predict((which,))]
    return combine(coefficients, dict(zip(passes, velocities, strict=True)))
