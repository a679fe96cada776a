"""Narrow twins of the Wan presets with made-up clips and weights: the whole recipe in miniature."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from motionstream_core.checkpoints import ModelSpec
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.models.wan import WanConfig, WanModel
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import MicroBatches
from motionstream_core.training.recipes.wan import WanPreset

CELLS, NUM_CLIPS, NUM_POINTS = 4, 5, 6


def latent_frames(spec: ModelSpec) -> int:
    """Two or three chunks."""
    return spec.chunk_plan.first_chunk_frames + (3 if spec.chunk_plan.first_chunk_frames == 3 else 6)


def narrow(preset: WanPreset) -> WanPreset:
    """The preset with a network of almost no width, few steps and small clips."""
    wide, view = preset.teacher, View(latent_frames(preset.teacher), CELLS)
    backbone = WanConfig(
        dim=32,
        ffn_dim=48,
        num_heads=2,
        num_layers=2,
        in_channels=wide.backbone.in_channels,
        out_channels=wide.backbone.out_channels,
        freq_dim=16,
        text_dim=12,
        text_len=7,
        image_dim=None if wide.backbone.image_dim is None else 20,
    )
    side = CELLS * wide.vae_stride.space
    teacher = replace(wide, backbone=backbone, frame_size=(side, side))
    phases = tuple(
        replace(
            training,
            phases=tuple(replace(p, num_steps=2, batch_size=2, view=view) for p in training.phases),
            log_every=1,
        )
        for training in preset.teacher_phases
    )
    return replace(
        preset,
        teacher=teacher,
        teacher_phases=phases,
        ode=replace(preset.ode, num_trajectories=2, num_steps=2, view=view),
        causal=replace(
            preset.causal,
            num_steps=2,
            batch_size=2,
            masks=replace(preset.causal.masks, window_frames=(1, 3), through_past=False),
            log_every=1,
        ),
        distill=replace(
            preset.distill, num_steps=2, batches=MicroBatches(2, 1), critic_steps=2, view=view, log_every=1
        ),
        tracks=replace(preset.tracks, least=2, most=NUM_POINTS),
        probe_clips=2,
        probe_steps=2,
    )


def write_clips(folder: Path, spec: ModelSpec) -> None:
    """A shard as the stage prepare writes it."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    frames = spec.vae_stride.num_frames(latent_frames(spec))
    shape = (spec.backbone.out_channels, latent_frames(spec), CELLS, CELLS)
    tensors = {"empty_text": torch.randn(2, 12, generator=generator).bfloat16()}
    for row in range(NUM_CLIPS):
        held = {
            "latents": torch.randn(shape, generator=generator).half(),
            "start": torch.rand(NUM_POINTS, 2, generator=generator) * CELLS * spec.vae_stride.space,
            "offset": torch.zeros(frames, NUM_POINTS, 2).half(),
            "visibility": torch.ones(frames, NUM_POINTS, dtype=torch.bool),
            "text": torch.randn(3 + row, 12, generator=generator).bfloat16(),
        }
        if spec.image_rule == "grey_clip":
            held["image"] = torch.randn(shape, generator=generator).half()
        if spec.backbone.image_dim is not None:
            held["image_tokens"] = torch.randn(5, 20, generator=generator).bfloat16()
        tensors |= {f"{row:05d}.{key}": value for key, value in held.items()}
    about = {
        "version": 1,
        "clips": [{"caption": f"clip {row}", "video": "v", "start_s": 0.0} for row in range(NUM_CLIPS)],
        "frame_size": list(spec.frame_size),
        "fps": spec.fps,
        "stride": [spec.vae_stride.time, spec.vae_stride.space],
        "encoders": "made up",
    }
    save_file(tensors, str(folder / "video_00000.safetensors"), {"about": json.dumps(about)})


def write_base(path: Path, preset: WanPreset) -> None:
    """Weights as published: the same network with fewer input channels, under original names."""
    torch.manual_seed(3)
    config = replace(preset.teacher.backbone, in_channels=preset.base_layout.num_channels)
    save_file(WanModel(config).state_dict(), str(path))


def decoder_for(preset: WanPreset) -> TinyVae:
    """A tiny VAE of almost no width for the preset's latents."""
    channels = preset.teacher.backbone.out_channels
    narrowed = TinyVaeConfig(channels, decoder_widths=(8, 8, 8, 8), encoder_width=8)
    return TinyVae(replace(narrowed, patch_size=preset.teacher.vae_stride.space // 8))
