"""What both student stages share: the rollout of a training batch through the very loop that inference uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...diffusion.schedule import student_sigmas
from ...geometry import Chunk
from ...models.conditioning import Conditions
from ...models.track_wan import TrackWan
from ...streaming.rollout import ConditionSource, GradientPolicy, Noise, RolledChunk, rollout, seeded_noise

HEAD = ("track_head.",)  # names of the track head's parameters begin so


def chunk_conditions(whole: Conditions) -> ConditionSource:
    """(chunk) -> that chunk's part of whole-clip conditions; a pinned first latent is chunk 0's."""

    def part(tensor: Tensor | None, chunk: Chunk) -> Tensor | None:
        return None if tensor is None else tensor[:, :, chunk.start : chunk.stop]

    def conditions(chunk: Chunk) -> Conditions:
        return replace(
            whole,
            mask=part(whole.mask, chunk),
            image=part(whole.image, chunk),
            track=part(whole.track, chunk),
            clean_first=whole.clean_first if chunk.index == 0 else None,
        )

    return conditions


def training_rollout(
    model: TrackWan, spec: ModelSpec, whole: Conditions, shape: torch.Size, policy: GradientPolicy, seed: int
) -> Iterator[RolledChunk]:
    """The student's chunks over clips of latent shape (b c f h w), with the policy's gradient."""
    batch_size, channels, _, height, width = shape
    weight = model.patch_embedding.weight
    noise = seeded_noise(seed, (batch_size, channels, height, width), weight.dtype, weight.device)
    return noised_rollout(model, spec, chunk_conditions(whole), shape, policy, noise)


def noised_rollout(
    model: TrackWan,
    spec: ModelSpec,
    conditions: ConditionSource,
    shape: torch.Size,
    policy: GradientPolicy,
    noise: Noise,
) -> Iterator[RolledChunk]:
    """As `training_rollout`, of conditions and noise that are told chunk by chunk.

    The cache holds what attention is given: bf16 under a bf16 autocast, though the weights are fp32.
    """
    batch_size, _, num_frames, height, width = shape
    cache = model.make_cache(
        batch_size,
        height,
        width,
        sink_frames=spec.sink_frames,
        window_frames=spec.window_frames,
        chunk_frames=spec.chunk_plan.chunk_frames,
        rope_rule=spec.rope_rule,
        dtype=_computed(model.patch_embedding.weight),
    )
    return rollout(
        model,
        spec.layout,
        conditions,
        plan=spec.chunk_plan,
        sigmas=student_sigmas(spec.step_list, spec.shift),
        cache=cache,
        noise=noise,
        num_latent_frames=num_frames,
        gradient=policy,
    )


def _computed(weight: Tensor) -> torch.dtype:
    """Of what a layer with this weight gives."""
    kind = weight.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return torch.get_autocast_dtype(kind)
    return weight.dtype


def rollout_loss(chunks: Iterator[RolledChunk], target: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean squared error of all generated chunks against clean latents (b c f h w)."""
    error, total = target.new_zeros(()), target.new_zeros(())
    for rolled in chunks:
        if not rolled.latents.requires_grad:
            continue  # a pinned first chunk is given, not generated
        span = slice(rolled.chunk.start, rolled.chunk.stop)
        part = (rolled.latents.float() - target[:, :, span]).square().mean(1, keepdim=True)
        error = error + (part * weight[:, :, span]).sum()
        total = total + weight[:, :, span].sum()
    return error / total
