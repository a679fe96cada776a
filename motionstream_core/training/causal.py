"""Stages causal and distill: from the teacher's weights to a causal few-step student.

causal: regression on the teacher's trajectories. Every chunk starts from the teacher's noisy latents at one of the
    student's levels and sees the teacher's own clean past through the cache (teacher forcing).
distill: Self-Forcing. Every chunk starts from noise and sees the student's own past, sink and window as in inference;
    one random denoise step carries the gradient. Its target here is the clip's true latents: on the procedural world
    image, tracks and caption fix the clip nearly, so regression does what distribution matching must do elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.load import LoadedModel, build_model
from ..checkpoints.spec import ModelSpec
from ..models.track_wan import TrackWan
from ..streaming.rollout import GradientPolicy
from .conditions import Told, conditions_of, random_ids
from .data import WHOLE_CLIP, LatentClips, View
from .ema import Ema
from .log import Log
from .losses import track_weight
from .ode import Trajectories
from .optimizers import Optimizer
from .state import load_state, save_state
from .student import chunk_slice, rollout_loss, training_rollout


@dataclass(frozen=True)
class StudentTraining:
    """Knobs of one student stage."""

    num_steps: int
    batch_size: int = 8
    learning_rate: float = 3e-4
    ema_decay: float = 0.99
    view: View = WHOLE_CLIP
    save_every: int = 50
    seed: int = 4


StepLoss = Callable[[TrackWan, int], Tensor]
"""(model, train_step) -> loss"""


def causal_loss(
    trajectories: Trajectories, spec: ModelSpec, training: StudentTraining, device: torch.device
) -> StepLoss:
    """Regression on teacher trajectories at one random level a step."""

    def loss(model: TrackWan, step: int) -> Tensor:
        rng = np.random.default_rng((training.seed, step))
        index = torch.from_numpy(rng.choice(len(trajectories), training.batch_size, replace=False))
        taken = trajectories.take(index).to(device)
        batch = taken.batch
        level = int(rng.integers(len(spec.step_list)))
        whole = conditions_of(model, batch, taken.ids, spec, Told.everything(len(index)).to(device))
        policy = GradientPolicy(level, chunk_slice(taken.levels[:, level]), chunk_slice(taken.clean))
        chunks = training_rollout(model, spec, whole, taken.clean.shape, policy, step)
        return rollout_loss(chunks, taken.clean, track_weight(batch, spec))

    return loss


def distill_loss(clips: LatentClips, spec: ModelSpec, training: StudentTraining, device: torch.device) -> StepLoss:
    """Self-Forcing rollouts against the true clips."""

    def loss(model: TrackWan, step: int) -> Tensor:
        rng = np.random.default_rng((training.seed, step))
        batch = clips.batch(training.batch_size, training.view, rng).to(device)
        ids = random_ids(training.batch_size, batch.points.shape[2], torch.Generator().manual_seed(step))
        whole = conditions_of(model, batch, ids.to(device), spec, Told.everything(training.batch_size).to(device))
        policy = GradientPolicy(exit_step=int(rng.integers(len(spec.step_list))))
        chunks = training_rollout(model, spec, whole, batch.latents.shape, policy, step)
        return rollout_loss(chunks, batch.latents, track_weight(batch, spec))

    return loss


def train_student(
    name: str,
    start: LoadedModel,
    spec: ModelSpec,
    step_loss: StepLoss,
    training: StudentTraining,
    folder: Path,
    device: torch.device,
    log: Log,
    on_save: Callable[[TrackWan], None] | None = None,
) -> TrackWan:
    """Run stage `name` from the weights of `start`, or go on with it, and return the averaged model."""
    torch.manual_seed(training.seed)
    model = build_model(spec).to(device)
    model.load_state_dict(start.model.state_dict())
    ema, optimizer = Ema(model, training.ema_decay), Optimizer(model, training.learning_rate)
    averaged = build_model(spec).to(device).requires_grad_(False)
    state_path, step = folder / f"{name}.state.pt", 0
    if state := load_state(state_path):
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    started, running = time.monotonic(), None
    while step < training.num_steps:
        with torch.autocast(device.type, torch.bfloat16):
            loss = step_loss(model, step)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        left = (training.num_steps - step) / (0.3 * training.num_steps)
        optimizer.step(min(1.0, (step + 1) / 20) * max(0.05, min(1.0, left)))
        ema.update(model)
        step += 1
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 10 == 0:
            log(name, step, loss=running, seconds=time.monotonic() - started)
        if step % training.save_every == 0 or step == training.num_steps:
            save_state(
                state_path, model=model.state_dict(), ema=ema.state_dict(), optimizer=optimizer.state_dict(), step=step
            )
            averaged.load_state_dict(ema.weights)
            if on_save:
                on_save(averaged)
    averaged.load_state_dict(ema.weights)
    return averaged.eval()
