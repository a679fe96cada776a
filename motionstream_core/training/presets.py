"""Presets of the bundled model's stages: `bundled` makes the shipped weights, `smoke` only proves that all runs."""

from __future__ import annotations

from dataclasses import dataclass

from .causal import StudentTraining
from .data import View, WorldMix
from .ode import OdeTraining
from .optimizers import OptimizerSettings
from .teacher import Phase, TeacherTraining
from .tiny_vae import TinyVaeTraining


@dataclass(frozen=True)
class Preset:
    """All stages of one recipe, in their order. video_frames: length of validation videos, 4k + 1."""

    tiny_vae: TinyVaeTraining
    num_clips: int
    mix: WorldMix
    teacher: TeacherTraining
    ode: OdeTraining
    causal: StudentTraining
    distill: StudentTraining
    clips_per_shard: int = 128
    video_frames: int = 49


BUNDLED = Preset(
    tiny_vae=TinyVaeTraining(),
    num_clips=3456,
    mix=WorldMix(),
    teacher=TeacherTraining(
        phases=(Phase(500, 32, View(5, 8)), Phase(750, 12, View(13, 12)), Phase(500, 8, View(13, 16))),
        compile=True,
        video_every=500,
    ),
    ode=OdeTraining(num_trajectories=192, num_steps=12),
    causal=StudentTraining(num_steps=60),
    distill=StudentTraining(num_steps=480, optimizer=OptimizerSettings(learning_rate=5e-4), video_every=120, seed=5),
)

SMOKE = Preset(
    tiny_vae=TinyVaeTraining(num_steps=4, batch_size=2, num_frames=5, crop_px=32),
    num_clips=4,
    mix=WorldMix(),
    teacher=TeacherTraining(phases=(Phase(2, 2, View(2, 4)), Phase(2, 2, View(4, 4))), video_every=4),
    ode=OdeTraining(num_trajectories=2, batch_size=2, num_steps=3, view=View(4, 4)),
    causal=StudentTraining(num_steps=2, batch_size=2, view=View(4, 4)),
    distill=StudentTraining(num_steps=2, batch_size=2, view=View(4, 4), video_every=2),
    clips_per_shard=4,
    video_frames=5,
)

PRESETS = {"bundled": BUNDLED, "smoke": SMOKE}
