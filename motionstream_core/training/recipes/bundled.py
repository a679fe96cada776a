"""Presets of the bundled model's stages: `bundled` makes the shipped weights, `smoke` only proves that all runs."""

from __future__ import annotations

from dataclasses import dataclass

from ..data import View, WorldMix
from ..engine.engine import MicroBatches
from ..engine.optimizers import OptimizerSettings
from ..stages.causal import StudentTraining
from ..stages.causal_loss import CausalMasks
from ..stages.distill import DistillTraining
from ..stages.ode import OdeTraining
from ..stages.teacher import Phase, TeacherTraining
from ..stages.tiny_vae.settings import BUNDLED_WIDE, TinyVaeTraining


@dataclass(frozen=True)
class Preset:
    """All stages of one recipe, in their order. wide_vae: both halves made wider and trained on, once they are settled.

    num_held_out: clips on which the teacher's obedience to tracks is measured, beside the `num_clips` of the training.
    video_frames: length of validation videos, 4k + 1.
    """

    tiny_vae: TinyVaeTraining
    wide_vae: TinyVaeTraining | None
    num_clips: int
    mix: WorldMix
    teacher: TeacherTraining
    ode: OdeTraining
    causal: StudentTraining
    paths: StudentTraining
    paths_view: View
    distill: DistillTraining
    clips_per_shard: int = 128
    num_held_out: int = 16
    video_frames: int = 49


BUNDLED = Preset(
    tiny_vae=TinyVaeTraining(),
    wide_vae=BUNDLED_WIDE,
    num_clips=6144,
    mix=WorldMix(),
    teacher=TeacherTraining(
        phases=(
            Phase(500, 32, View(5, 8)),
            Phase(2150, 12, View(13, 12)),
            Phase(900, 8, View(13, 16)),
            Phase(250, 8, View(13, 16), mask_probability=0.2, freeze_head=True),
        ),
        compile=True,
        video_every=500,
    ),
    ode=OdeTraining(num_trajectories=96, num_steps=12, text_weight=1.5, motion_weight=1.5),
    causal=StudentTraining(num_steps=100),
    paths=StudentTraining(
        num_steps=750,
        batch_size=12,
        optimizer=OptimizerSettings(learning_rate=7e-4),
        ema_decay=0.98,
        masks=CausalMasks(own_share=0.7),
        decay_share=0.5,
        seed=5,
    ),
    paths_view=View(13, 12),
    distill=DistillTraining(
        num_steps=140,
        batches=MicroBatches(8),
        critic_steps=2,
        student=OptimizerSettings("muon", 2e-4, (0.0, 0.99)),
        critic=OptimizerSettings("muon", 3e-4, (0.0, 0.99)),
        ema_decay=0.98,
        text_weight=1.5,
        motion_weight=1.5,
        truth_weight=4.0,
        warmup_steps=5,
        save_every=20,
        video_every=60,
    ),
)

SMOKE = Preset(
    tiny_vae=TinyVaeTraining(num_steps=4, batch_size=2, num_frames=5, crop_px=32),
    wide_vae=TinyVaeTraining(num_steps=2, batch_size=2, num_frames=5, crop_px=32, ema_decay=0.9),
    num_clips=4,
    mix=WorldMix(),
    teacher=TeacherTraining(
        phases=(
            Phase(2, 2, View(2, 4), micro_batch_size=1),
            Phase(2, 2, View(4, 4), mask_probability=0.2, freeze_head=True, micro_batch_size=1),
        ),
        video_every=4,
    ),
    ode=OdeTraining(num_trajectories=2, batch_size=2, num_steps=3, text_weight=1.5, motion_weight=1.5, view=View(4, 4)),
    causal=StudentTraining(num_steps=2, batch_size=2, micro_batch_size=1, masks=CausalMasks((0, 1), (1, 3))),
    paths=StudentTraining(num_steps=2, batch_size=2, micro_batch_size=1, masks=CausalMasks((0, 1), (1, 3))),
    paths_view=View(4, 4),
    distill=DistillTraining(
        num_steps=2,
        batches=MicroBatches(2, 1),
        critic_steps=2,
        student=OptimizerSettings("muon", 1e-4),
        critic=OptimizerSettings("muon", 1e-4),
        view=View(4, 4),
        truth_weight=1.0,
        video_every=2,
    ),
    clips_per_shard=4,
    num_held_out=4,
    video_frames=13,
)

PRESETS = {"bundled": BUNDLED, "smoke": SMOKE}
