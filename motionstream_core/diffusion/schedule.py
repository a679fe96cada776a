"""Which noise levels are visited: sigma in [0, 1], 1 is pure noise, 0 is clean.

Every list of sigmas in this library is a 1-D float32 tensor that descends strictly and ends at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

NUM_TRAIN_TIMESTEPS = 1000
PAPER_SHIFT = 6.0
# The paper names no list for its three steps; thirds of the range are our choice and part of a checkpoint's spec.
STUDENT_STEP_LIST = (1000, 667, 333)

FloatOrTensor = TypeVar("FloatOrTensor", float, Tensor)


def shift_sigmas(u: FloatOrTensor, shift: float) -> FloatOrTensor:
    """Warp uniform noise levels `u` towards 1: k u / (1 + (k - 1) u) with k = `shift` (arXiv 2511.01266).

    u: any shape, in [0, 1]; 0 and 1 stay where they are. shift 1 changes nothing, below 1 warps towards 0.
    Raises ValueError unless shift > 0.
    """
    if not shift > 0:
        raise ValueError(f"shift must be above 0, got {shift}")
    return shift * u / (1 + (shift - 1) * u)


def to_timestep(sigma: FloatOrTensor) -> FloatOrTensor:
    """The number in [0, 1000] that a Wan model is fed for `sigma`; nothing else in this library speaks of timesteps."""
    return sigma * NUM_TRAIN_TIMESTEPS


def teacher_sigmas(num_steps: int, shift: float = PAPER_SHIFT) -> Tensor:
    """(num_steps + 1,) sigmas from 1 to 0, evenly spaced before the shift. Raises ValueError when num_steps < 1."""
    if num_steps < 1:
        raise ValueError(f"num_steps must be at least 1, got {num_steps}")
    return shift_sigmas(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64), shift).float()


def student_sigmas(step_list: Sequence[float] = STUDENT_STEP_LIST, shift: float = PAPER_SHIFT) -> Tensor:
    """(len(step_list) + 1,) sigmas of a few-step student: the warped steps, then 0.

    step_list: timesteps before the warp, strictly descending in (0, 1000]. Raises ValueError otherwise.
    """
    if not step_list:
        raise ValueError("step_list must name at least one step, got none")
    if not all(0 < step <= NUM_TRAIN_TIMESTEPS for step in step_list):
        raise ValueError(f"step_list must lie in (0, {NUM_TRAIN_TIMESTEPS}], got {list(step_list)}")
    if any(step <= later for step, later in pairwise(step_list)):
        raise ValueError(f"step_list must descend strictly, got {list(step_list)}")
    u = torch.tensor([*step_list, 0], dtype=torch.float64) / NUM_TRAIN_TIMESTEPS
    return shift_sigmas(u, shift).float()


def sample_training_sigmas(batch_size: int, shift: float, generator: torch.Generator) -> Tensor:
    """(b,) sigmas in (0, 1], uniform before the shift, on the generator's device.

    1 is included, because every sampler starts there; 0 is not, because nothing is left to predict.
    """
    u = 1 - torch.rand(batch_size, generator=generator, device=generator.device)
    return shift_sigmas(u, shift)
