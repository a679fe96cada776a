"""Stage causal: from the teacher's weights to a causal few-step student, by regression (`causal_loss`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ...checkpoints.load import LoadedModel, build_model
from ...checkpoints.spec import ModelSpec
from ...models.track_wan import TrackWan
from ..engine.averaged import Validate, Watch, averaged_model, saved, watched
from ..engine.checkpoint import load_start
from ..engine.engine import Engine, MicroBatches
from ..engine.log import Log
from ..engine.loop import LoopPlan, train_loop
from ..engine.optimizers import OptimizerSettings
from .causal_loss import CausalMasks
from .losses import TRACK_GAIN
from .student import HEAD


@dataclass(frozen=True)
class StudentTraining:
    """Knobs of the stage; the last `decay_share` of the steps lowers the learning rate to 5 %, 0 keeps it.

    masks: sinks and windows that are trained on. track_gain: as of `teacher.TeacherTraining`. freeze_head: the track
    head stays as it is.
    """

    num_steps: int
    batch_size: int = 8
    micro_batch_size: int | None = None
    optimizer: OptimizerSettings = field(default_factory=lambda: OptimizerSettings(learning_rate=3e-4))
    ema_decay: float = 0.99
    masks: CausalMasks = field(default_factory=CausalMasks)
    track_gain: float = TRACK_GAIN
    freeze_head: bool = False
    warmup_steps: int = 20
    decay_share: float = 0.3
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
        left = (self.num_steps - step) / max(1.0, self.decay_share * self.num_steps)
        return min(1.0, (step + 1) / self.warmup_steps) * max(0.05, min(1.0, left))


StepLoss = Callable[[TrackWan, int, int, int], Tensor]
"""(model, train_step, micro_index, micro_size) -> mean loss of that micro-batch"""


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
    validate: Validate | None = None,
) -> TrackWan | None:
    """Run stage `name` from the weights of `start`, which it takes over, or go on with it; checkpoints are in `folder`.

    Returns the averaged model on rank 0, None elsewhere. Raises ValueError when the weights do not fit `spec`.
    """
    with torch.device("meta"):
        model = build_model(spec)
    load_start(model, start.model.state_dict(), "the stage before")
    part = engine.part(name, model, training.optimizer, training.ema_decay)
    part.freeze(HEAD if training.freeze_head else ())

    def step(train_step: int) -> Mapping[str, float]:
        return engine.accumulate(
            part,
            training.batches,
            lambda micro, size: step_loss(model, train_step, micro, size),
            training.rate(train_step),
            f"{name}, step {train_step}",
        )

    save, show = saved(engine, part, spec, on_save, validate), watched(engine, part, spec, on_video)
    train_loop(engine, name, [part], step, training.plan, folder, log, save, show)
    return averaged_model(engine, part, spec)
