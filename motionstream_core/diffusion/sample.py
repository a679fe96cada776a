"""From noise to clean latents: two many-step samplers for the teacher, the re-noising loop of the few-step student.

All three walk the same list of sigmas (`schedule`). The state keeps the dtype of `noise`: pass float32 and let the
model cast for itself, because the rounding of every bf16 update stays in the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .flow import add_noise, clean_from_velocity

PredictVelocity = Callable[[Tensor, float], Tensor]
PredictClean = Callable[[Tensor, float], Tensor]
StepCallback = Callable[[int, int, Tensor], None]


def euler_sample(
    predict_velocity: PredictVelocity, noise: Tensor, sigmas: Tensor, *, callback: StepCallback | None = None
) -> Tensor:
    """Clean latents by Euler steps along the velocity; exact where the flow is straight.

    predict_velocity: (latents, sigma) -> velocity of the same shape.
    noise: latents at sigmas[0]. sigmas: (num_steps + 1,), descending strictly to 0, else ValueError.
    callback: (step_index, num_steps, clean prediction), after every prediction; may raise to interrupt.
    """
    levels = _levels(sigmas)
    latents = noise
    for step, (sigma, next_sigma) in enumerate(pairwise(levels)):
        velocity = predict_velocity(latents, sigma).to(latents.dtype)
        if callback is not None:
            callback(step, len(levels) - 1, clean_from_velocity(latents, velocity, sigma))
        latents = latents + (next_sigma - sigma) * velocity
    return latents


def unipc_sample(
    predict_velocity: PredictVelocity, noise: Tensor, sigmas: Tensor, *, callback: StepCallback | None = None
) -> Tensor:
    """Clean latents by UniPC of order 2 (arXiv 2302.04867), through diffusers; arguments as in `euler_sample`.

    One prediction per step, as Euler; the error falls with the square of the number of steps.
    Raises ImportError where diffusers is missing.
    """
    try:
        from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
    except ImportError as error:
        raise ImportError("unipc_sample needs diffusers (pip install diffusers); euler_sample does not") from error

    levels = _levels(sigmas)
    num_steps = len(levels) - 1
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0)
    scheduler.set_timesteps(num_steps, device=noise.device)
    # Our list replaces diffusers' own; the solver takes log(1 - sigma), hence the step back from 1. Steps are counted
    # from index 0, because the look-up by timestep goes wrong where two of them round to the same integer.
    scheduler.sigmas = torch.tensor(levels).clamp(max=1 - 1e-6)
    scheduler.set_begin_index(0)

    latents = noise
    for step, sigma in enumerate(levels[:-1]):
        velocity = predict_velocity(latents, sigma).to(latents.dtype)
        if callback is not None:
            callback(step, num_steps, clean_from_velocity(latents, velocity, sigma))
        latents = scheduler.step(velocity, scheduler.timesteps[step], latents, return_dict=False)[0]
    return latents


def denoise_few_step(
    predict_clean: PredictClean, noise: Tensor, sigmas: Tensor | Sequence[float], renoise: Callable[[int], Tensor]
) -> Tensor:
    """Clean latents by a few predictions with fresh noise in between (Self-Forcing, arXiv 2506.08009).

    predict_clean: (latents, sigma) -> clean latents. noise: latents at sigmas[0].
    sigmas: (num_steps + 1,), descending strictly to 0, else ValueError; numbers, or a tensor, which is read in every
    call. With the first k sigmas and 0 alone, the loop leaves with the k-th prediction, as training does.
    renoise: i -> the noise added to prediction i on the way to sigmas[i + 1]; not called after the last prediction.
    """
    levels = _levels(sigmas)[:-1]
    latents = noise
    for step, (sigma, next_sigma) in enumerate(pairwise(levels)):
        latents = add_noise(predict_clean(latents, sigma), renoise(step), next_sigma)
    return predict_clean(latents, levels[-1])


def _levels(sigmas: Tensor | Sequence[float]) -> list[float]:
    values = sigmas.tolist() if isinstance(sigmas, Tensor) else list(sigmas)
    levels = values if isinstance(values, list) and not any(isinstance(each, list) for each in values) else []
    if len(levels) < 2 or levels[-1] != 0 or any(here <= there for here, there in pairwise(levels)):
        raise ValueError(f"sigmas must be 1-D and descend strictly to 0, got {values}")
    return levels
