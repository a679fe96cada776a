"""The stages of a Wan model one after another, as the command runs them, on narrow twins and made-up clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from motionstream_core.checkpoints import ModelSpec, build_model, load_model
from motionstream_core.models.wan import WanConfig, WanModel
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import Compute, MicroBatches
from motionstream_core.training.engine.log import Log
from motionstream_core.training.recipes.wan import WAN_PRESETS, WanPreset
from motionstream_core.training.recipes.wan_stages import CLIP_FOLDERS, WAN_STAGES, Material, WanRun
from motionstream_core.training.stages.causal_loss import CausalMasks

CELLS, LATENT_FRAMES, NUM_CLIPS, NUM_POINTS = 4, 6, 3, 6
VIEW = View(LATENT_FRAMES, CELLS)
CPU = torch.device("cpu")
NAMES = pytest.mark.parametrize("name", list(WAN_PRESETS))


def narrow(preset: WanPreset) -> WanPreset:
    """The preset with a network of almost no width, few steps and small clips."""
    wide = preset.teacher
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
        replace(training, phases=tuple(replace(p, num_steps=2, batch_size=2, view=VIEW) for p in training.phases))
        for training in preset.teacher_phases
    )
    return replace(
        preset,
        teacher=teacher,
        teacher_phases=phases,
        ode=replace(preset.ode, num_trajectories=2, num_steps=2, view=VIEW),
        causal=replace(preset.causal, num_steps=2, batch_size=2, masks=CausalMasks((0, 3), (1, 3), through_past=False)),
        distill=replace(preset.distill, num_steps=1, batches=MicroBatches(2, 1), critic_steps=2, view=VIEW),
        num_tracks=(2, NUM_POINTS),
    )


def write_clips(folder: Path, spec: ModelSpec) -> None:
    """A shard as the stage prepare writes it."""
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(1)
    frames = spec.vae_stride.num_frames(LATENT_FRAMES)
    shape = (spec.backbone.out_channels, LATENT_FRAMES, CELLS, CELLS)
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


@NAMES
def test_from_clips_and_published_weights_to_a_student(name: str, tmp_path: Path) -> None:
    preset = narrow(WAN_PRESETS[name])
    for folder in CLIP_FOLDERS:
        write_clips(tmp_path / folder, preset.teacher)
    write_base(tmp_path / "base.safetensors", preset)
    said: list[str] = []
    run = WanRun(
        tmp_path,
        Compute(CPU, "fp32", activation_checkpointing=True),
        Log(tmp_path / "log", said.append),
        preset,
        Material(base=tmp_path / "base.safetensors"),
    )
    for stage in ("teacher", "ode", "causal", "distill"):
        WAN_STAGES[stage](run)
    start, teacher = build_model(preset.teacher).state_dict(), load_model(tmp_path / "teacher.safetensors")
    student = load_model(tmp_path / "student.safetensors")
    assert (teacher.spec, student.spec.role) == (preset.teacher, "student")
    assert student.spec == replace(preset.teacher, role="student")
    for loaded in (teacher, student):
        state = loaded.model.state_dict()
        assert state.keys() == start.keys() and all(value.isfinite().all() for value in state.values())
    first = load_model(tmp_path / "teacher-done.safetensors").model.state_dict()
    second = teacher.model.state_dict()
    head = [key for key in first if key.startswith("track_head.")]
    assert head and all(torch.equal(first[key], second[key]) for key in head)  # held still in the second phase
    assert any(not torch.equal(first[key], second[key]) for key in first)

    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    WAN_STAGES["teacher"](run)  # finished: nothing is done again
    assert before == {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    preset = WAN_PRESETS["wan2.1-1.3b"]
    run = WanRun(tmp_path, Compute(CPU), Log(tmp_path / "log"), preset, Material(videos=tmp_path / "none"))
    with pytest.raises(ValueError, match="needs --base"):
        WAN_STAGES["teacher"](run)
    with pytest.raises(FileNotFoundError, match=r"--videos .*none does not exist"):
        WAN_STAGES["prepare"](run)
    with pytest.raises(FileNotFoundError, match="run the stage 'prepare'"):
        WAN_STAGES["ode"](run)
