"""The Wan recipes: sizes by closed form, the paper's numbers, and a narrow twin of each model through every stage."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import ModelSpec, build_model
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.models.wan import WanConfig
from motionstream_core.streaming.rollout import GradientPolicy
from motionstream_core.training.data import Batch
from motionstream_core.training.data.trajectories import StoredTrajectories, Trajectories, save_trajectories
from motionstream_core.training.recipes.wan import WAN_PRESETS
from motionstream_core.training.stages.causal_loss import causal_loss
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.distribution_matching import LevelRange
from motionstream_core.training.stages.losses import draw_flow, flow_loss, track_weight
from motionstream_core.training.stages.student import rollout_loss, training_rollout
from motionstream_core.training.stages.teacher import teacher_loss

NAMES = pytest.mark.parametrize("name", WAN_PRESETS)
COUNT, CELLS, NUM_TRACKS = 2, 4, 6


def linear(rows: int, columns: int) -> int:
    return rows * columns + rows


def num_wan_parameters(dim: int, ffn: int, layers: int, channels_in: int, channels_out: int, image: int = 0) -> int:
    """Written down from the published architecture, not from our code."""
    block = 8 * linear(dim, dim) + linear(ffn, dim) + linear(dim, ffn) + 6 * dim  # attentions, feed-forward, modulation
    block += 4 * dim + 2 * dim  # norms of queries and keys, and the affine one
    total = dim * channels_in * 4 + dim  # patches of 1 x 2 x 2
    total += linear(dim, 4096) + linear(dim, dim) + linear(dim, 256) + linear(dim, dim) + linear(6 * dim, dim)
    total += linear(channels_out * 4, dim) + 2 * dim
    if image:
        block += 2 * linear(dim, dim) + dim
        total += 2 * image + linear(image, image) + linear(dim, image) + 2 * dim
    return total + layers * block


def test_the_closed_form_counts_the_published_models() -> None:
    """Wan 2.1 1.3B text-to-video has 1,418,996,800 parameters; the other is called 5B."""
    assert num_wan_parameters(1536, 8960, 30, 16, 16) == 1_418_996_800
    assert num_wan_parameters(3072, 14336, 30, 48, 48) / 1e9 == pytest.approx(5, abs=0.001)


@pytest.mark.parametrize(
    ("name", "backbone", "head"),
    [
        ("wan2.1-1.3b", num_wan_parameters(1536, 8960, 30, 52, 16, image=1280), 4 * 64 * 16),
        ("wan2.2-5b", num_wan_parameters(3072, 14336, 30, 96, 48), 4 * 64 * 48),
    ],
)
def test_full_size_models_are_as_large_as_published(name: str, backbone: int, head: int) -> None:
    with torch.device("meta"):
        model = build_model(WAN_PRESETS[name].teacher)
    assert sum(parameter.numel() for parameter in model.parameters()) == backbone + head


@NAMES
def test_recipes_carry_the_papers_numbers(name: str) -> None:
    preset = WAN_PRESETS[name]
    real, synthetic = preset.teacher_phases
    steps = [sum(phase.num_steps for phase in training.phases) for training in (real, synthetic)]
    assert steps == [4800, 400 if name.endswith("5b") else 800]
    assert [training.optimizer.learning_rate for training in (real, synthetic)] == [1e-5, 1e-6]
    assert [training.rate(step) for training, step in ((real, 200), (real, 4799), (synthetic, 399))] == [1, 1, 1]
    assert [(phase.mask_probability, phase.freeze_head) for phase in (real.phases[0], synthetic.phases[0])] == [
        (0.0, False),
        (0.2, True),
    ]
    assert (preset.tracks.least, preset.tracks.most) == (1000, 2500)
    assert preset.student_clips == "clips-synthetic" and preset.causal.freeze_head and preset.distill.freeze_head
    assert (preset.ode.num_trajectories, preset.ode.num_steps) == (4000, 50)
    assert (preset.ode.text_weight, preset.ode.motion_weight) == (3.0, 1.5)
    assert (preset.teacher.text_weight, preset.teacher.motion_weight, preset.teacher.shift) == (3.0, 1.5, 6.0)
    assert (preset.causal.num_steps, preset.causal.batch_size) == (2000, 128)
    assert preset.causal.optimizer.learning_rate == 2e-6
    distill = preset.distill
    assert (distill.num_steps, distill.batches.batch_size, distill.critic_steps) == (400, 64, 5)
    assert (distill.student.learning_rate, distill.critic.learning_rate) == (2e-6, 4e-7)
    assert distill.student.betas == distill.critic.betas == (0.0, 0.999)
    assert (distill.text_weight, distill.motion_weight, distill.ema_decay) == (3.0, 1.5, 0.99)
    optimizers = [*(t.optimizer for t in preset.teacher_phases), preset.causal.optimizer, distill.student]
    assert {settings.kind for settings in optimizers} == {"adamw"}
    assert {phase.batch_size for t in preset.teacher_phases for phase in t.phases} == {128}
    student = preset.student
    first = student.chunk_plan.first_chunk_frames
    assert (student.chunk_plan.chunk_frames, student.sink_frames, student.window_frames) == (3, first, 3)
    assert len(student.step_list) == 3 and student.rope_rule == "sink_fixed"


def test_the_papers_presets_take_the_papers_way() -> None:
    for name in ("paper", "paper-5b"):
        preset = WAN_PRESETS[name]
        assert [training.track_gain for training in preset.teacher_phases] == [0, 0] and preset.causal.track_gain == 0
        assert preset.tracks.uniform and preset.tracks.none_probability == 0
        assert preset.distill.levels == LevelRange(0.02, 0.98, clamped=True)
        assert preset.causal.masks.past == "noisy"
        assert preset.aspect_range is not None
        least, most = preset.aspect_range
        assert all(least < width / height < most for width, height in ((16, 9), (832, 480), (1280, 704)))
        assert not any(least < width / height < most for width, height in ((4, 3), (3, 2), (21, 9), (9, 16)))
    larger = WAN_PRESETS["paper-5b"]
    assert larger.teacher.vae_stride.num_frames(larger.latent_frames) == 121
    assert larger.control_layout is not None and larger.control_layout.num_channels == 148  # Wan2.2-Fun-5B-Control


@pytest.mark.parametrize(
    ("name", "millions"), [("wan2.1-1.3b", 9.84), ("paper", 9.84), ("wan2.2-5b", 9.92), ("paper-5b", 56.7)]
)
def test_tiny_decoders_are_as_large_as_published(name: str, millions: float) -> None:
    """taehv's two, and what the paper says of its own for 5B."""
    preset = WAN_PRESETS[name]
    with torch.device("meta"):
        vae = TinyVae(preset.tiny_vae)
    count = sum(parameter.numel() for parameter in vae.decoder.parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05 if millions > 10 else 0.005)
    assert vae.config.latent_channels == preset.teacher.backbone.out_channels
    assert vae.config.stride == preset.teacher.vae_stride


@NAMES
def test_recipes_fit_their_model(name: str) -> None:
    preset, cpu = WAN_PRESETS[name], torch.device("cpu")
    rows, columns = (side // preset.teacher.vae_stride.space for side in preset.teacher.frame_size)
    phases = [phase for training in preset.teacher_phases for phase in training.phases]
    for view in (*(phase.view for phase in phases), preset.ode.view, preset.distill.view):
        assert view.cells >= max(rows, columns)  # the whole frame
        assert preset.teacher.chunk_plan.num_chunks(view.latent_frames) == (11 if name == "paper-5b" else 7)
    assert rows % 2 == columns % 2 == 0
    for ranks in (1, 8, 32):
        for batches in (phases[0].batches, preset.causal.batches, preset.distill.batches):
            assert batches.share(0, ranks)[0] == 1
    compute = preset.compute(cpu, 8)
    assert (compute.precision, compute.shard, compute.activation_checkpointing) == ("bf16", True, True)
    assert not preset.compute(cpu, 1).shard
    for kind, width in preset.base_layout.slots:
        assert preset.teacher.layout.width(kind) == width


# --- a narrow twin through every stage


def narrow(spec: ModelSpec) -> ModelSpec:
    """The same layout, head, rules and channels in a network of almost no width."""
    wide = spec.backbone
    image_dim = None if wide.image_dim is None else 20
    backbone = WanConfig(
        dim=32,
        ffn_dim=48,
        num_heads=2,
        num_layers=2,
        in_channels=wide.in_channels,
        out_channels=wide.out_channels,
        freq_dim=16,
        text_dim=12,
        text_len=7,
        image_dim=image_dim,
    )
    return replace(spec, backbone=backbone)


def batch_of(spec: ModelSpec) -> Batch:
    generator = torch.Generator().manual_seed(1)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    latent_frames = spec.chunk_plan.first_chunk_frames + 6
    frames = spec.vae_stride.num_frames(latent_frames)
    shape = (COUNT, spec.backbone.out_channels, latent_frames, CELLS, CELLS)
    points = torch.rand(COUNT, frames, NUM_TRACKS, 2, generator=generator) * CELLS * spec.vae_stride.space
    return Batch(
        latents=draw(*shape),
        points=points,
        visibility=torch.ones(COUNT, frames, NUM_TRACKS, dtype=torch.bool),
        captions=["a boat", "a hill"],
        text=draw(COUNT, 5, 12),
        empty_text=draw(5, 12),
        image_tokens=None if spec.backbone.image_dim is None else draw(COUNT, 9, 20),
        image=draw(*shape) if spec.image_rule == "grey_clip" else None,
    )


def untaught(model: TrackWan, loss: Tensor) -> list[str]:
    """Parameters that a loss leaves alone; the model's gradients are cleared."""
    assert loss.isfinite()
    loss.backward()
    names = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    model.zero_grad(set_to_none=True)
    return names


@NAMES
def test_a_narrow_twin_runs_through_every_stage(name: str, tmp_path: Path) -> None:
    preset = WAN_PRESETS[name]
    teacher, student = narrow(preset.teacher), narrow(preset.student)
    batch, generator = batch_of(teacher), torch.Generator().manual_seed(2)
    torch.manual_seed(0)
    model = build_model(teacher)
    for training in preset.teacher_phases:
        told_all = replace(training, text_dropout=0.0, motion_dropout=0.0)
        assert untaught(model, teacher_loss(model, teacher, batch, told_all, training.phases[0], generator)) == []

    ids = random_ids(COUNT, NUM_TRACKS, generator)
    levels = torch.randn(COUNT, len(student.step_list), *batch.latents.shape[1:], generator=generator)
    known = Trajectories(levels, batch.latents, batch, ids)
    for step in range(3):  # three masks of the recipe's range
        loss = causal_loss(known, student, preset.causal.masks, 5, torch.device("cpu"))(model, step, 0, COUNT)
        assert untaught(model, loss) == []

    whole = conditions_of(model, batch, ids, student, Conditioned.on_everything(COUNT))
    (tmp_path / "ode").mkdir()
    save_trajectories(tmp_path / "ode" / "ode_00000.safetensors", known)
    stored = StoredTrajectories(tmp_path / "ode").take(torch.tensor([1, 0]))
    for field in ("text", "empty_text", "image_tokens", "image"):
        told, kept = getattr(batch, field), getattr(stored.batch, field)
        assert (told is None) == (kept is None), field
        if told is not None:
            torch.testing.assert_close(kept, told if field == "empty_text" else told.flip(0), atol=0.02, rtol=0.02)

    chunks = training_rollout(model, student, whole, batch.latents.shape, GradientPolicy(1), seed=3)
    assert untaught(model, rollout_loss(chunks, batch.latents, track_weight(batch, student))) == []


@torch.no_grad()
def test_only_the_larger_model_pins_its_image() -> None:
    """Wan 2.1 is told its image beside the noise, Wan 2.2 5B in latent frame 0."""
    for name, pinned in (("wan2.1-1.3b", False), ("wan2.2-5b", True)):
        spec = narrow(WAN_PRESETS[name].student)
        batch = batch_of(spec)
        torch.manual_seed(0)
        model = build_model(spec)
        whole = conditions_of(
            model, batch, random_ids(COUNT, NUM_TRACKS, torch.Generator()), spec, Conditioned.on_everything(COUNT)
        )
        rolled = list(training_rollout(model, spec, whole, batch.latents.shape, GradientPolicy(0), seed=3))
        assert [chunk.latents.shape[2] for chunk in rolled] == [3, 3, 3]
        assert torch.equal(rolled[0].latents[:, :, 0], batch.latents[:, :, 0]) == pinned
        loss = flow_loss(
            model, spec, batch, draw_flow(batch, spec, Conditioned.on_everything(COUNT), torch.Generator())
        )
        assert np.isfinite(loss.item())
