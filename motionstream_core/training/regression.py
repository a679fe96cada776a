"""Self Forcing rollouts against true clips: distribution matching's cheap stand-in, where conditions fix the clip.

Good for obedience and against drift, but what image, tracks and caption leave open is averaged (docs/log.md). The study
trains its small students so; the bundled model has it as a second term beside distribution matching.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..models.track_wan import TrackWan
from ..streaming.rollout import GradientPolicy
from .causal import StepLoss
from .conditions import Told, conditions_of, random_ids
from .data import TrainingClips, View
from .losses import track_weight
from .student import rollout_loss, training_rollout
from .teacher import micro_generator


def truth_loss(clips: TrainingClips, spec: ModelSpec, view: View, seed: int, device: torch.device) -> StepLoss:
    """Weighted squared error of rollouts against the clips they take their conditions from.

    The step that carries the gradient is drawn for a whole train step: sharded ranks must run the same passes.
    """

    def loss(model: TrackWan, step: int, micro: int, size: int) -> Tensor:
        exit_step = int(np.random.default_rng((seed, step)).integers(len(spec.step_list)))
        batch = clips.batch(size, view, np.random.default_rng((seed, step, micro))).to(device)
        generator = micro_generator(seed, step, micro)
        ids = random_ids(size, batch.points.shape[2], generator)
        whole = conditions_of(model, batch, ids.to(device), spec, Told.everything(size).to(device))
        noise_seed = generator.initial_seed() % 2**40
        policy = GradientPolicy(exit_step)
        chunks = training_rollout(model, spec, whole, batch.latents.shape, policy, noise_seed)
        return rollout_loss(chunks, batch.latents, track_weight(batch, spec))

    return loss
