"""Stages causal and distill: from the teacher's weights to a causal few-step student.

causal: regression on the teacher's trajectories. Every chunk starts from the teacher's noisy latents at one of the
    student's levels and sees the teacher's own clean past through the cache (teacher forcing).
distill: Self-Forcing. Every chunk starts from noise and sees the student's own past, sink and window as in inference;
    one random denoise step carries the gradient. Its target here is the clip's true latents: on the procedural world
    image, tracks and caption fix the clip nearly, so regression does what distribution matching must do elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.load import LoadedModel, build_model
from ..checkpoints.spec import ModelSpec
from ..models.track_wan import TrackWan
from ..streaming.rollout import GradientPolicy
from .averaged import averaged_model
from .checkpoint import load_start
from .conditions import Told, conditions_of, random_ids
from .data import WHOLE_CLIP, LatentClips, View
from .engine import Engine, MicroBatches
from .log import Log
from .loop import LoopPlan, train_loop
from .losses import track_weight
from .ode import Trajectories
from .optimizers import OptimizerSettings
from .student import chunk_slice, rollout_loss, training_rollout
from .teacher import Watch, micro_generator


@dataclass(frozen=True)
class StudentTraining:
    """Knobs of one student stage; the last 30 % of the steps lower the learning rate to 5 %."""

    num_steps: int
    batch_size: int = 8
    micro_batch_size: int | None = None
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=3e-4))
    ema_decay: float = 0.99
    view: View = WHOLE_CLIP
    warmup_steps: int = 20
    save_every: int = 50
    log_every: int = 10
    video_every: int | None = None
    seed: int = 4

    @property
    def batches(self) -> MicroBatches:
        """How a step's batch is cut."""
        return MicroBatches(self.batch_size, self.micro_batch_size)

    @property
    def plan(self) -> LoopPlan:
        """How long and how often."""
        return LoopPlan(self.num_steps, self.save_every, self.log_every, video_every=self.video_every)

    def rate(self, step: int) -> float:
        """Learning rate at `step` as a share of the full one: warm-up, plateau, linear decay."""
        left = (self.num_steps - step) / (0.3 * self.num_steps)
        return min(1.0, (step + 1) / self.warmup_steps) * max(0.05, min(1.0, left))


StepLoss = Callable[[TrackWan, int, int, int], Tensor]
"""(model, train_step, micro_index, micro_size) -> loss of that micro-batch"""


def causal_loss(
    trajectories: Trajectories, spec: ModelSpec, training: StudentTraining, device: torch.device
) -> StepLoss:
    """Regression on teacher trajectories at one random level a micro-batch."""

    def loss(model: TrackWan, step: int, micro: int, size: int) -> Tensor:
        rng = np.random.default_rng((training.seed, step, micro))
        index = torch.from_numpy(rng.choice(len(trajectories), size, replace=False))
        taken = trajectories.take(index).to(device)
        batch = taken.batch
        level = int(rng.integers(len(spec.step_list)))
        whole = conditions_of(model, batch, taken.ids, spec, Told.everything(size).to(device))
        policy = GradientPolicy(level, chunk_slice(taken.levels[:, level]), chunk_slice(taken.clean))
        chunks = training_rollout(model, spec, whole, taken.clean.shape, policy, _noise_seed(training, step, micro))
        return rollout_loss(chunks, taken.clean, track_weight(batch, spec))

    return loss


def distill_loss(clips: LatentClips, spec: ModelSpec, training: StudentTraining, device: torch.device) -> StepLoss:
    """Self-Forcing rollouts against the true clips.

    The step that carries the gradient is drawn for a whole train step: sharded ranks must run the same passes.
    """

    def loss(model: TrackWan, step: int, micro: int, size: int) -> Tensor:
        exit_step = int(np.random.default_rng((training.seed, step)).integers(len(spec.step_list)))
        batch = clips.batch(size, training.view, np.random.default_rng((training.seed, step, micro))).to(device)
        ids = random_ids(size, batch.points.shape[2], micro_generator(training.seed, step, micro))
        whole = conditions_of(model, batch, ids.to(device), spec, Told.everything(size).to(device))
        policy = GradientPolicy(exit_step)
        chunks = training_rollout(model, spec, whole, batch.latents.shape, policy, _noise_seed(training, step, micro))
        return rollout_loss(chunks, batch.latents, track_weight(batch, spec))

    return loss


def _noise_seed(training: StudentTraining, step: int, micro: int) -> int:
    return micro_generator(training.seed, step, micro).initial_seed() % 2**40


def train_student(
    engine: Engine,
    name: str,
    start: LoadedModel,
    spec: ModelSpec,
    step_loss: StepLoss,
    training: StudentTraining,
    folder: Path,
    log: Log,
    on_save: Watch | None = None,
    on_video: Watch | None = None,
) -> TrackWan | None:
    """Run stage `name` from the weights of `start`, or go on with it; checkpoints live in `folder`.

    Returns the averaged model on rank 0, None elsewhere. Raises ValueError when the weights do not fit `spec`.
    """
    model = build_model(spec)
    load_start(model, start.model.state_dict(), "the stage before")
    part = engine.part(name, model, training.optimizer, training.ema_decay)

    def step(train_step: int) -> Mapping[str, float]:
        return engine.accumulate(
            part,
            training.batches,
            lambda micro, size: step_loss(model, train_step, micro, size),
            training.rate(train_step),
            f"{name}, step {train_step}",
        )

    def watched(watch: Watch | None) -> Callable[[int], None] | None:
        def call(train_step: int) -> None:
            averaged = averaged_model(engine, part, spec)
            if averaged is not None and watch is not None:
                watch(averaged.to(engine.device), train_step)

        return None if watch is None else call

    train_loop(engine, name, [part], step, training.plan, folder, log, watched(on_save), watched(on_video))
    return averaged_model(engine, part, spec)
