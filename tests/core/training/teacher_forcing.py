"""The chunk loop with teacher forcing, written out: a slow reference for the causal stage's single pass."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from motionstream_core.checkpoints import ModelSpec
from motionstream_core.diffusion.flow import clean_from_velocity
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.models.conditioning import Conditions, assemble
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.streaming.rollout import RolledChunk, pinned_input
from motionstream_core.training.stages.student import chunk_conditions


def teacher_forced(
    model: TrackWan, spec: ModelSpec, whole: Conditions, noisy: Tensor, clean: Tensor, level: int
) -> Iterator[RolledChunk]:
    """Every chunk predicted once from noisy latents (b c f h w) at the step list's `level`, then the clean one kept."""
    batch_size, _, num_frames, height, width = clean.shape
    sigma = float(student_sigmas(spec.step_list, spec.shift)[level])
    cache = model.make_cache(
        *(batch_size, height, width),
        sink_frames=spec.sink_frames,
        window_frames=spec.window_frames,
        chunk_frames=spec.chunk_plan.chunk_frames,
        rope_rule=spec.rope_rule,
    )
    conditions = chunk_conditions(whole)
    for chunk in spec.chunk_plan.chunks(num_frames):
        own, part = conditions(chunk), slice(chunk.start, chunk.stop)
        first = own.clean_first
        if first is not None and chunk.num_frames == 1:
            yield RolledChunk(chunk, first)
        else:
            latents, timestep = pinned_input(noisy[:, :, part], sigma, first)
            velocity = model(assemble(spec.layout, latents, own), timestep, own.context, cache)
            predicted = clean_from_velocity(latents, velocity, sigma)
            yield RolledChunk(chunk, predicted if first is None else torch.cat([first, predicted[:, :, 1:]], dim=2))
        with torch.no_grad(), cache.keeping():
            model(assemble(spec.layout, clean[:, :, part], own), torch.zeros(batch_size), own.context, cache)
