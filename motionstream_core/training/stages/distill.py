"""Stage distill: Self Forcing with distribution matching (arXiv 2511.01266, section 3.2; arXiv 2506.08009).

The student rolls a clip out through the very loop that inference uses, with sink, window and rolling cache; one random
denoise step carries the gradient, cached keys are detached. The teacher under joint guidance and the critic say which
way the clip should move (`distribution`). Between two steps of the student the critic learns several times what the
student makes now. Of the training clips only first frame, caption and tracks are read, unless `truth_weight` asks for
more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...checkpoints.spec import ModelSpec
from ...models.track_wan import TrackWan
from ...streaming.rollout import GradientPolicy
from ..data import WHOLE_CLIP, Batch, TrainingClips, View
from ..engine.averaged import Validate, Watch, averaged_model, saved, watched
from ..engine.engine import Engine, MicroBatches
from ..engine.log import Log
from ..engine.loop import LoopPlan, train_loop
from ..engine.optimizers import OptimizerSettings
from .causal_loss import CausalMasks
from .conditions import Conditioned, conditions_of, random_ids
from .distribution_matching import LevelRange, Scores, distribution_loss
from .losses import draw_flow, flow_loss, track_weight, weighted_error
from .student import HEAD, training_rollout

PAPER_BETAS = (0.0, 0.999)


@dataclass(frozen=True)
class DistillTraining:
    """Knobs of the stage; the defaults are the paper's.

    num_steps: steps of the student, each after critic_steps of the critic.
    text_weight, motion_weight: joint guidance of the real score.
    truth_weight: weight of a squared error to the clips' true latents beside distribution matching. On the procedural
        world image, tracks and caption nearly fix the clip, so it helps there; 0 for real footage.
    masks: sinks and windows of the rollouts, drawn for every pass over the batch; None is the spec's own.
    freeze_head: the track heads of student and critic stay as they are.
    """

    num_steps: int = 400
    batches: MicroBatches = field(default_factory=lambda: MicroBatches(64))
    critic_steps: int = 5
    student: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings("adamw", learning_rate=2e-6, betas=PAPER_BETAS)
    )
    critic: OptimizerSettings = field(
        default_factory=lambda: OptimizerSettings("adamw", learning_rate=4e-7, betas=PAPER_BETAS)
    )
    ema_decay: float = 0.99
    text_weight: float = 3.0
    motion_weight: float = 1.5
    levels: LevelRange = field(default_factory=LevelRange)
    view: View = WHOLE_CLIP
    truth_weight: float = 0.0
    masks: CausalMasks | None = None
    freeze_head: bool = False
    warmup_steps: int = 10
    save_every: int = 50
    log_every: int = 5
    video_every: int | None = None
    seed: int = 6

    def __post_init__(self) -> None:
        if self.critic_steps < 1:
            raise ValueError(f"critic_steps is {self.critic_steps}; the critic must learn at least once a step")

    @property
    def plan(self) -> LoopPlan:
        """How long and how often."""
        return LoopPlan(self.num_steps, self.save_every, self.log_every, video_every=self.video_every)


@dataclass(frozen=True)
class Draw:
    """All that one micro-batch draws: the clips that lend their conditions, track ids, exit step, a generator.

    memory: the spec with the sink and the window of the rollout.
    """

    batch: Batch
    ids: Tensor
    exit_step: int
    memory: ModelSpec
    noise_seed: int
    generator: torch.Generator


class Distiller:
    """The losses of both networks, from micro-batch to scalar."""

    def __init__(
        self,
        training: DistillTraining,
        student: TrackWan,
        spec: ModelSpec,
        scores: Scores,
        clips: TrainingClips,
        device: torch.device,
    ) -> None:
        self.training = training
        self.student = student
        self.spec = spec
        self.scores = scores
        self.clips = clips
        self.device = device

    def student_loss(self, train_step: int, micro: int, micro_size: int, exit_step: int | None = None) -> Tensor:
        """Distribution matching on a rollout with gradient, and the error to the true clip where it is asked for.

        exit_step: None draws it.
        """
        draw = self._draw(train_step, 0, micro, micro_size, exit_step)
        clip, num_pinned = self._roll(draw), int(self.spec.pin_first_latent)
        loss = distribution_loss(
            self.scores, clip, draw.batch, draw.ids, self.training.levels, draw.generator, num_pinned
        )
        if self.training.truth_weight:
            error = weighted_error(clip, draw.batch.latents, track_weight(draw.batch, self.spec), num_pinned)
            loss = loss + self.training.truth_weight * error
        return loss

    def critic_loss(
        self, train_step: int, critic_step: int, micro: int, micro_size: int, exit_step: int | None = None
    ) -> Tensor:
        """Flow matching of the critic on what the student makes now; critic_step counts from 1."""
        draw = self._draw(train_step, critic_step, micro, micro_size, exit_step)
        with torch.no_grad():
            clip = self._roll(draw)
        batch = draw.batch.with_latents(clip.float())
        flow = draw_flow(batch, self.scores.fake.spec, Conditioned.on_everything(micro_size), draw.generator)
        return flow_loss(self.scores.fake.model, self.scores.fake.spec, batch, replace(flow, ids=draw.ids), 0.0)

    def _draw(
        self, train_step: int, critic_step: int, micro: int, micro_size: int, exit_step: int | None = None
    ) -> Draw:
        """critic_step 0 is the student's own step."""
        key = (self.training.seed, train_step, critic_step, micro)
        rng = np.random.default_rng(key)
        batch = self.clips.batch(micro_size, self.training.view, rng).to(self.device)
        # one for all micro-batches: sharded ranks must run the same passes
        shared = np.random.default_rng(key[:3])
        drawn, memory = int(shared.integers(len(self.spec.step_list))), self.spec
        if self.training.masks is not None:
            sink, window = self.training.masks.draw(self.spec, shared)
            memory = replace(self.spec, sink_frames=sink, window_frames=window)
        seed = int(rng.integers(2**40)) % 2**32  # a word, so that old trainings go on with the same noise
        generator = torch.Generator().manual_seed(seed)
        ids = random_ids(micro_size, batch.points.shape[2], generator).to(self.device)
        return Draw(batch, ids, drawn if exit_step is None else exit_step, memory, seed, generator)

    def _roll(self, draw: Draw) -> Tensor:
        """A clip (b c f h w) of the student's own, under the draw's conditions."""
        conditioned = Conditioned.on_everything(len(draw.batch.captions)).to(self.device)
        whole = conditions_of(self.student, draw.batch, draw.ids, self.spec, conditioned)
        shape, policy = draw.batch.latents.shape, GradientPolicy(draw.exit_step)
        rolled = training_rollout(self.student, draw.memory, whole, shape, policy, draw.noise_seed)
        return torch.cat([chunk.latents for chunk in rolled], dim=2)


def train_distilled(
    engine: Engine,
    start: LoadedModel,
    teacher: LoadedModel,
    clips: TrainingClips,
    training: DistillTraining,
    folder: Path,
    log: Log,
    on_save: Watch | None = None,
    on_video: Watch | None = None,
    name: str = "student",
    validate: Validate | None = None,
) -> TrackWan | None:
    """Train, or go on training, the student that starts as `start`; the critic starts as `teacher`.

    Returns the averaged student on rank 0, None elsewhere. Checkpoints live in `folder`.
    """
    critic_model = engine.twin(teacher.model)
    student = engine.part(name, start.model.requires_grad_(True), training.student, training.ema_decay)
    critic = engine.part("critic", critic_model.requires_grad_(True), training.critic)
    for each in (student, critic):
        each.freeze(HEAD if training.freeze_head else ())
    real = LoadedModel(engine.frozen(teacher.model, compact=True), teacher.spec)
    scores = Scores(real, LoadedModel(critic_model, teacher.spec), training.text_weight, training.motion_weight)
    losses = Distiller(training, start.model, start.spec, scores, clips, engine.device)

    def step(train_step: int) -> Mapping[str, float]:
        rate = min(1.0, (train_step + 1) / max(1, training.warmup_steps))
        critic_loss = critic_norm = 0.0
        for critic_step in range(1, training.critic_steps + 1):
            done = engine.accumulate(
                critic,
                training.batches,
                lambda micro, size, critic_step=critic_step: losses.critic_loss(train_step, critic_step, micro, size),
                context=f"critic, step {train_step}.{critic_step}",
            )
            critic_loss += done["loss"] / training.critic_steps
            critic_norm += done["grad_norm"] / training.critic_steps
        done = engine.accumulate(
            student,
            training.batches,
            lambda micro, size: losses.student_loss(train_step, micro, size),
            rate,
            f"{name}, step {train_step}",
        )
        return {**done, "critic_loss": critic_loss, "critic_grad_norm": critic_norm}

    save, show = saved(engine, student, start.spec, on_save, validate), watched(engine, student, start.spec, on_video)
    train_loop(engine, name, [student, critic], step, training.plan, folder, log, save, show)
    return averaged_model(engine, student, start.spec)
