"""The chunk loop: the only one. Offline rendering, the live session, training and the benchmark all consume it.

One chunk: `num_steps` predictions from noise, each followed by fresh noise at the next level (`denoise_few_step`),
then one pass over the clean chunk at sigma 0 that writes the cache. The chunk is yielded before that pass, so that a
consumer can decode it while the next one is prepared.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..diffusion.flow import clean_from_velocity
from ..diffusion.noise import noise_generator
from ..diffusion.sample import denoise_few_step
from ..diffusion.schedule import to_timestep
from ..geometry import Chunk, ChunkPlan
from ..models.conditioning import Conditions, Forecast, InputLayout, assemble
from ..models.kv_cache import KVCache
from .network import Network
from .to_device import to_device

Noise = Callable[[Chunk, int], Tensor]
"""(chunk, step) -> noise (b c f h w) with which denoise_step `step` of that chunk starts."""

ConditionSource = Callable[[Chunk], Conditions]
"""Conditions of a chunk, asked for once, when its turn comes: this is where live steering enters."""


@dataclass(frozen=True)
class GradientPolicy:
    """How training looks into the loop: denoise step `exit_step` runs with gradient and ends every chunk.

    Alone this is Self-Forcing: the steps before run without gradient, and the context is the model's own output.
    Under torch.no_grad() nothing carries gradient: the rollout of a step that trains the critic.
    """

    exit_step: int


class StepCallback(Protocol):
    """Called after every prediction, e.g. for progress; may raise to interrupt."""

    def __call__(self, chunk: Chunk, step: int, num_steps: int) -> None: ...


@dataclass(frozen=True)
class RolledChunk:
    """A finished chunk: which one, its clean latents (b c f h w), and what was forecast of its pixels."""

    chunk: Chunk
    latents: Tensor
    forecast: Forecast | None = None


def rollout(
    model: Network,
    layout: InputLayout,
    conditions: ConditionSource,
    *,
    plan: ChunkPlan,
    sigmas: Tensor,
    cache: KVCache,
    noise: Noise,
    num_latent_frames: int | None = None,
    first_chunk: int = 0,
    given: Tensor | None = None,
    gradient: GradientPolicy | None = None,
    callback: StepCallback | None = None,
) -> Generator[RolledChunk, None, None]:
    """Generate chunk after chunk, each from the cache of those before it; without end for num_latent_frames None.

    sigmas: (num_steps + 1,), descending to 0, on the CPU. Time and memory per chunk are constant once the window is
    full. A chunk whose conditions carry `clean_first` keeps that latent in its frame 0; a chunk that is nothing else
    takes no denoise step at all. first_chunk: where a stream goes on whose earlier chunks `cache` remembers. given:
    clean latents (b c f h w) of the stream's first chunks, which are not made but remembered as if they had been.
    `cache` is reset when the generator is closed. Raises ValueError when it does not hold just the chunks before the
    first, and for given latents that fill no whole chunks.
    """
    start, levels = plan.chunk(first_chunk).start, sigmas.tolist()
    num_given = 0 if given is None else plan.num_chunks(given.shape[2])
    if cache.num_frames_seen != start:
        raise ValueError(
            f"the cache holds {cache.num_frames_seen} frames of another stream, not {start}; reset it first"
        )
    try:
        for chunk in itertools.islice(plan.chunks(num_latent_frames), first_chunk, None):
            chunk_conditions = conditions(chunk)
            if given is not None and chunk.index < num_given:
                latents = given[:, :, chunk.start : chunk.stop]
            else:
                latents = generate(model, layout, chunk_conditions, chunk, levels, cache, noise, gradient, callback)
            yield RolledChunk(chunk, latents, chunk_conditions.forecast)
            remember(model, layout, chunk_conditions, latents.detach(), cache)
    finally:
        cache.reset()


def generate(
    model: Network,
    layout: InputLayout,
    conditions: Conditions,
    chunk: Chunk,
    sigmas: list[float],
    cache: KVCache,
    noise: Noise,
    gradient: GradientPolicy | None = None,
    callback: StepCallback | None = None,
) -> Tensor:
    """The clean latents (b c f h w) of one chunk; sigmas as `rollout` has them. One graph under torch.compile."""
    first = conditions.clean_first
    if first is not None and first.shape[2] == chunk.num_frames:
        return first
    exit_step = len(sigmas) - 2 if gradient is None else gradient.exit_step
    levels = [*sigmas[: exit_step + 1], 0.0]
    step = 0

    def predict_clean(noisy: Tensor, sigma: float) -> Tensor:
        nonlocal step
        wanted = gradient is not None and step == gradient.exit_step
        with torch.set_grad_enabled(wanted and torch.is_grad_enabled()):
            velocity = _predict(model, layout, conditions, noisy, sigma, cache)
            clean = _pin(clean_from_velocity(noisy, velocity, sigma), first)
        if callback is not None:
            callback(chunk, step, exit_step + 1)
        step += 1
        return clean

    start = _pin(noise(chunk, 0), first)
    return denoise_few_step(predict_clean, start, levels, lambda i: noise(chunk, i + 1))


def _predict(
    model: Network,
    layout: InputLayout,
    conditions: Conditions,
    noisy: Tensor,
    sigma: float,
    cache: KVCache,
) -> Tensor:
    """Velocity of one chunk at one level."""
    noisy, timestep = pinned_input(noisy, sigma, conditions.clean_first)
    return model(assemble(layout, noisy, conditions), timestep, conditions.context, cache).to(noisy.dtype)


@torch.no_grad()
def remember(model: Network, layout: InputLayout, conditions: Conditions, latents: Tensor, cache: KVCache) -> None:
    """The pass over a clean chunk that writes the cache."""
    clean, timestep = pinned_input(latents, 0.0, conditions.clean_first)
    with cache.keeping():
        model(assemble(layout, clean, conditions), timestep, conditions.context, cache, keys_only=True)


def pinned_input(noisy: Tensor, sigma: float | Tensor, first: Tensor | None) -> tuple[Tensor, Tensor]:
    """Noisy latents (b c f h w) and their timesteps: (b), or (b f) where latent frame 0 is `first` at timestep 0.

    sigma: one level for all clips, or (b), one for each.
    Wan 2.2 5B is conditioned on its image in just this way (Wan-Video/Wan2.2: wan/textimage2video.py).
    """
    batch_size, num_frames = noisy.shape[0], noisy.shape[2]
    if isinstance(sigma, Tensor):
        timestep = to_timestep(sigma.float())
    else:
        timestep = noisy.new_full((batch_size,), to_timestep(sigma), dtype=torch.float32)
        if sigma == 0:
            return noisy, timestep
    if first is None:
        return noisy, timestep
    timestep = timestep[:, None].repeat(1, num_frames)
    timestep[:, 0] = 0
    return _pin(noisy, first), timestep


def _pin(latents: Tensor, first: Tensor | None) -> Tensor:
    """`latents` with frame 0 replaced by `first`."""
    if first is None:
        return latents
    return torch.cat([first.to(latents.dtype), latents[:, :, 1:]], dim=2)


def seeded_noise(seed: int, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> Noise:
    """Noise that depends on seed (64 bits), chunk and step alone, the same on every device; shape is (b c h w)."""

    def noise(chunk: Chunk, step: int) -> Tensor:
        generator = noise_generator(seed, seed * 1_000_003 + chunk.index * 1_009 + step)
        batch_size, channels, height, width = shape
        drawn = torch.randn(batch_size, channels, chunk.num_frames, height, width, generator=generator)
        return to_device(drawn, device, dtype)

    return noise
