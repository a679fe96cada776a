"""Stage teacher: flow matching of the bidirectional model, with text and motion dropout for joint guidance.

It grows by phases: small windows of short clips first, where finding a point again is learned fast, then whole clips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints.load import build_model
from ...checkpoints.spec import ModelSpec
from ...models.track_wan import TrackWan
from ..data import Batch, TrainingClips, View
from ..engine.averaged import Validate, Watch, averaged_model, saved, watched
from ..engine.engine import Engine, MicroBatches, Part
from ..engine.log import Log
from ..engine.loop import LoopPlan, train_loop
from ..engine.optimizers import OptimizerSettings
from .conditions import Conditioned, mid_frame_mask
from .losses import TRACK_GAIN, draw_flow, flow_loss, track_gap
from .probe import PROBE_SEED
from .student import HEAD


@dataclass(frozen=True)
class Phase:
    """`num_steps` steps on one view of the clips.

    batch_size: over all ranks, cut into micro-batches (`engine.MicroBatches`).
    mask_probability: of each mid-clip chunk, that its tracks are hidden; freeze_head: the track head stays as it is
    (the paper's second phase has both).
    """

    num_steps: int
    batch_size: int
    view: View
    mask_probability: float = 0.0
    freeze_head: bool = False
    micro_batch_size: int | None = None

    @property
    def batches(self) -> MicroBatches:
        """How a step's batch is cut."""
        return MicroBatches(self.batch_size, self.micro_batch_size)


@dataclass(frozen=True)
class TeacherTraining:
    """Knobs of the stage; the last `decay_share` of all steps lowers the learning rate to 5 %.

    track_gain: how much more cells around track points weigh (`losses.track_weight`); 0 is the paper's.
    """

    phases: tuple[Phase, ...]
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    text_dropout: float = 0.1
    motion_dropout: float = 0.1
    track_gain: float = TRACK_GAIN
    ema_decay: float = 0.998
    decay_share: float = 0.3
    warmup_steps: int = 100
    compile: bool = False
    save_every: int = 250
    log_every: int = 50
    video_every: int | None = None
    seed: int = 2

    @property
    def num_steps(self) -> int:
        return sum(phase.num_steps for phase in self.phases)

    @property
    def plan(self) -> LoopPlan:
        """How long and how often."""
        return LoopPlan(self.num_steps, self.save_every, self.log_every, video_every=self.video_every)

    def phase_at(self, step: int) -> int:
        """Index of the phase that holds `step`."""
        for index, phase in enumerate(self.phases):
            if step < phase.num_steps:
                return index
            step -= phase.num_steps
        return len(self.phases) - 1

    def samples_before(self, step: int) -> int:
        """How many samples were seen before `step`: where it stands in the order of the clips."""
        seen = 0
        for phase in self.phases:
            seen += min(step, phase.num_steps) * phase.batch_size
            step -= min(step, phase.num_steps)
        return seen

    def rate(self, step: int) -> float:
        """Learning rate at `step` as a share of the full one: warm-up, plateau, linear decay."""
        left = (self.num_steps - step) / max(1.0, self.decay_share * self.num_steps)
        return min(1.0, (step + 1) / self.warmup_steps) * max(0.05, min(1.0, left))


def new_teacher(spec: ModelSpec, seed: int) -> TrackWan:
    """A teacher to train from nothing."""
    torch.manual_seed(seed)
    model = build_model(spec)
    # velocity starts at zero: the first steps then learn the data's mean and not to undo the random head
    nn.init.zeros_(model.head.head.weight)
    nn.init.zeros_(model.head.head.bias)
    if model.track_head is not None:
        model.track_head.initialise()
    return model


def teacher_loss(
    model: TrackWan, spec: ModelSpec, batch: Batch, training: TeacherTraining, phase: Phase, generator: torch.Generator
) -> Tensor:
    """Flow loss of a batch, some conditions dropped, some chunks' tracks hidden."""
    count = len(batch.captions)
    text = torch.rand(count, generator=generator) >= training.text_dropout
    motion = torch.rand(count, generator=generator) >= training.motion_dropout
    frames = None
    if phase.mask_probability:
        num_frames = batch.latents.shape[2]
        frames = mid_frame_mask(count, num_frames, spec.chunk_plan, phase.mask_probability, generator)
    draw = draw_flow(batch, spec, Conditioned(text, motion, frames), generator)
    return flow_loss(model, spec, batch, draw, training.track_gain)


def micro_generator(seed: int, step: int, micro: int) -> torch.Generator:
    """The generator of one micro-batch: a run that was interrupted goes on as if it had not been."""
    words = np.random.SeedSequence((seed, step, micro)).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 32 | int(words[1]))


def train_teacher(
    engine: Engine,
    model: TrackWan,
    spec: ModelSpec,
    training: TeacherTraining,
    clips: TrainingClips,
    folder: Path,
    log: Log,
    on_save: Watch | None = None,
    on_video: Watch | None = None,
    name: str = "teacher",
    validate: Validate | None = None,
    held_out: TrainingClips | None = None,
) -> TrackWan | None:
    """Train `model` (`new_teacher`, or weights to start from), or go on with it; checkpoints live in `folder`.

    Clips come in the order of their epochs (`TrainingClips.epoch_batch`), so a run that goes on in mid-epoch sees those
    that it has not seen.

    held_out: clips to measure obedience to tracks by at every save, None for none; validate: in place of that.
    Returns the averaged model on rank 0, None elsewhere.
    """
    part = engine.part("teacher", model.train(), training.optimizer, training.ema_decay)

    def step(train_step: int) -> Mapping[str, float]:
        phase = training.phases[training.phase_at(train_step)]
        part.freeze(HEAD if phase.freeze_head else ())

        def loss(micro: int, size: int) -> Tensor:
            position = training.samples_before(train_step) + micro * size
            batch = clips.epoch_batch(position, size, phase.view, training.seed).to(engine.device)
            generator = micro_generator(training.seed, train_step, micro)
            return teacher_loss(model, spec, batch, training, phase, generator)

        return engine.accumulate(part, phase.batches, loss, training.rate(train_step), f"{name}, step {train_step}")

    def measured(part: Part, train_step: int) -> None:
        averaged = averaged_model(engine, part, spec)
        if averaged is not None and held_out is not None:
            phase = training.phases[training.phase_at(train_step - 1)]
            probe = held_out.epoch_batch(0, len(held_out), phase.view, PROBE_SEED).to(engine.device)
            with engine.autocast():
                log(f"{name}-gap", train_step, **track_gap(averaged.to(engine.device), spec, probe))

    save = saved(engine, part, spec, on_save, validate or (measured if held_out is not None else None))
    shown = watched(engine, part, spec, on_video)
    train_loop(engine, name, [part], step, training.plan, folder, log, save, shown)
    return averaged_model(engine, part, spec)
