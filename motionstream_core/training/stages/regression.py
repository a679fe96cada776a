"""Regression on true clips, where image, tracks and caption nearly fix the clip: the procedural world, not footage.

`truth_loss`, on Self Forcing rollouts, is distribution matching's cheap stand-in: good for obedience and against drift,
but what the conditions leave open is averaged (docs/log.md). The study trains its small students so; the bundled model
has it as a second term beside distribution matching. `TruePaths` lets the stage causal learn from true clips too: to
follow tracks is learned late and needs more samples than a teacher can be asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...diffusion.flow import add_noise
from ...diffusion.schedule import student_sigmas
from ...models.track_wan import TrackWan
from ...streaming.rollout import GradientPolicy
from ..data import RandomClips, View
from ..data.trajectories import Trajectories
from .causal import StepLoss
from .conditions import Conditioned, conditions_of, random_ids
from .losses import track_weight
from .student import rollout_loss, training_rollout
from .teacher import micro_generator


@dataclass(frozen=True)
class TruePaths:
    """True clips as a source of trajectories: noise in a straight line to the clip, as flow matching draws it."""

    clips: RandomClips
    spec: ModelSpec
    view: View

    def draw(self, count: int, rng: np.random.Generator) -> Trajectories:
        """`count` clips, windows, track selections, ids and noises, drawn by `rng`."""
        batch = self.clips.batch(count, self.view, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        ids = random_ids(count, batch.points.shape[2], generator)
        noise = torch.randn(batch.latents.shape, generator=generator)
        sigmas = student_sigmas(self.spec.step_list, self.spec.shift)[:-1]
        levels = [add_noise(batch.latents, noise, sigma) for sigma in sigmas]
        return Trajectories(torch.stack(levels, dim=1), batch.latents, batch, ids)


def truth_loss(clips: RandomClips, spec: ModelSpec, view: View, seed: int, device: torch.device) -> StepLoss:
    """Weighted squared error of rollouts against the clips they take their conditions from.

    The step that carries the gradient is drawn for a whole train step: sharded ranks must run the same passes.
    """

    def loss(model: TrackWan, step: int, micro: int, size: int) -> Tensor:
        exit_step = int(np.random.default_rng((seed, step)).integers(len(spec.step_list)))
        batch = clips.batch(size, view, np.random.default_rng((seed, step, micro))).to(device)
        generator = micro_generator(seed, step, micro)
        ids = random_ids(size, batch.points.shape[2], generator)
        whole = conditions_of(model, batch, ids.to(device), spec, Conditioned.on_everything(size).to(device))
        noise_seed = generator.initial_seed() % 2**32
        policy = GradientPolicy(exit_step)
        chunks = training_rollout(model, spec, whole, batch.latents.shape, policy, noise_seed)
        return rollout_loss(chunks, batch.latents, track_weight(batch, spec))

    return loss
