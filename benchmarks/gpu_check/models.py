"""Models of the recipes' shapes with random weights, and all that they are conditioned on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, ModelSpec, build_model
from motionstream_core.models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions
from motionstream_core.tracks import Tracks
from motionstream_core.training.data import Batch, View
from motionstream_core.training.data.trajectories import Trajectories
from motionstream_core.training.recipes.wan import CLIP_WIDTH, WAN_PRESETS
from motionstream_core.training.stages.conditions import random_ids

CLIP_TOKENS = 257
TEXT_TOKENS = 120
NUM_TRACKS = 100
TINY_BACKBONE = {"dim": 48, "ffn_dim": 64, "num_heads": 2, "num_layers": 2, "text_dim": 16, "text_len": 12}


def preset_spec(preset: str, tiny: bool, role: str = "student") -> ModelSpec:
    """A recipe's teacher or student; tiny: with the same inputs and rules, but narrow and for small frames."""
    spec = WAN_PRESETS[preset].student if role == "student" else WAN_PRESETS[preset].teacher
    if not tiny:
        return spec
    side = 4 * spec.vae_stride.space
    return replace(spec, backbone=replace(spec.backbone, **TINY_BACKBONE), frame_size=(side, side + side // 2))


def random_model(spec: ModelSpec, device: torch.device, dtype: torch.dtype, seed: int = 0) -> LoadedModel:
    """A model of `spec`, ready to be asked; made on the device, where it costs no time."""
    torch.manual_seed(seed)
    with torch.device(device):
        model = build_model(spec)
    return LoadedModel(model.to(dtype).eval().requires_grad_(False), spec)


def tiny_vae(spec: ModelSpec, tiny: bool) -> TinyVae:
    """The published tiny VAE's shape with random weights, its encoder without look-ahead."""
    config = replace(TAEW2_1 if spec.vae_stride.space == 8 else TAEW2_2, encoder_lookahead=False)
    if tiny:
        config = replace(config, decoder_widths=(16, 8, 8, 8), encoder_width=8)
    torch.manual_seed(1)
    return TinyVae(config).eval().requires_grad_(False)


@dataclass(frozen=True)
class Stream:
    """All that a stream is made of."""

    loaded: LoadedModel
    conditions: StreamConditions
    vae: TinyVae


def random_stream(preset: str, device: torch.device, dtype: torch.dtype, tiny: bool, num_chunks: int) -> Stream:
    """A student with random weights and tiny VAE, a picture and tracks of noise, for `num_chunks` chunks."""
    loaded = random_model(preset_spec(preset, tiny), device, dtype)
    spec, generator = loaded.spec, torch.Generator().manual_seed(2)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    backbone, (height, width) = spec.backbone, spec.frame_size
    text = drawn(1, min(TEXT_TOKENS, backbone.text_len), backbone.text_dim)
    tokens = drawn(1, CLIP_TOKENS, CLIP_WIDTH) if backbone.image_dim else None
    num_frames = spec.vae_stride.num_frames(spec.chunk_plan.chunk(num_chunks - 1).stop)
    points = torch.rand(num_frames, NUM_TRACKS, 2, generator=generator) * torch.tensor([width, height])
    tracks = Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), height, width)
    image = torch.rand(1, 3, 1, height, width, generator=generator).to(device)
    vae = tiny_vae(spec, tiny).to(device)
    context = loaded.model.prepare_context(text, tokens)
    return Stream(loaded, StreamConditions(loaded.model, spec, context, KnownTracks(tracks), image=image, vae=vae), vae)


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
