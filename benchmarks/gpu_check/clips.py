"""Training clips of noise, for one step of every stage."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.measure.models import CLIP_TOKENS, NUM_TRACKS
from motionstream_core.checkpoints import ModelSpec
from motionstream_core.training.data import Batch, View
from motionstream_core.training.data.trajectories import Trajectories
from motionstream_core.training.recipes.wan import CLIP_WIDTH
from motionstream_core.training.stages.conditions import random_ids


class OneBatch:
    """Training clips of which there is one batch."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return len(self._batch.captions)

    def batch(self, batch_size: int, view: View, rng: Any) -> Batch:
        return self._batch

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        return self._batch


def training_batch(spec: ModelSpec, num_latent_frames: int) -> Batch:
    """One clip of noise of the spec's frame size, with all conditions, on the CPU."""
    generator = torch.Generator().manual_seed(3)
    backbone, (height, width) = spec.backbone, spec.frame_size
    cells = (height // spec.vae_stride.space, width // spec.vae_stride.space)
    shape = (1, backbone.out_channels, num_latent_frames, *cells)
    num_frames = spec.vae_stride.num_frames(num_latent_frames)

    def drawn(*size: int) -> Tensor:
        return torch.randn(size, generator=generator)

    return Batch(
        latents=drawn(*shape),
        points=torch.rand(1, num_frames, NUM_TRACKS, 2, generator=generator) * torch.tensor([width, height]),
        visibility=torch.ones(1, num_frames, NUM_TRACKS, dtype=torch.bool),
        captions=[""],
        text=drawn(1, backbone.text_len, backbone.text_dim),
        empty_text=torch.zeros(backbone.text_len, backbone.text_dim),
        image_tokens=drawn(1, CLIP_TOKENS, CLIP_WIDTH) if backbone.image_dim else None,
        image=drawn(*shape) if spec.image_rule == "grey_clip" else None,
    )


def trajectories(spec: ModelSpec, batch: Batch) -> Trajectories:
    """Of a batch's one clip: noise at each of the student's levels."""
    generator = torch.Generator().manual_seed(4)
    levels = torch.randn(1, len(spec.step_list), *batch.latents.shape[1:], generator=generator)
    return Trajectories(levels, batch.latents, batch, random_ids(1, NUM_TRACKS, generator))
