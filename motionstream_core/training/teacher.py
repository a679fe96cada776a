"""Stage teacher: flow matching of the bidirectional model, with text and motion dropout for joint guidance.

It grows by phases: small windows of short clips first, where finding a point again is learned fast, then whole clips.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.load import build_model
from ..checkpoints.spec import ModelSpec
from ..models.track_wan import TrackWan
from .conditions import Told, mid_frame_mask
from .data import Batch, LatentClips, View
from .ema import Ema
from .log import Log
from .losses import draw_flow, flow_loss, track_gap
from .optimizers import Optimizer
from .state import load_state, save_state


@dataclass(frozen=True)
class Phase:
    """`num_steps` steps on one view of the clips.

    mask_probability: of each mid-clip chunk, that its tracks are hidden; freeze_head: the track head stays as it is
    (the paper's second phase has both).
    """

    num_steps: int
    batch_size: int
    view: View
    mask_probability: float = 0.0
    freeze_head: bool = False


@dataclass(frozen=True)
class TeacherTraining:
    """Knobs of the stage; the last `decay_share` of all steps lowers the learning rate to 5 %."""

    phases: tuple[Phase, ...]
    learning_rate: float = 1e-3
    text_dropout: float = 0.1
    motion_dropout: float = 0.1
    ema_decay: float = 0.998
    decay_share: float = 0.3
    compile: bool = False
    save_every: int = 250
    seed: int = 2

    @property
    def num_steps(self) -> int:
        return sum(phase.num_steps for phase in self.phases)

    def phase_at(self, step: int) -> int:
        """Index of the phase that holds `step`."""
        for index, phase in enumerate(self.phases):
            if step < phase.num_steps:
                return index
            step -= phase.num_steps
        return len(self.phases) - 1

    def rate(self, step: int) -> float:
        """Learning rate at `step` as a share of the full one: warm-up, plateau, linear decay."""
        left = (self.num_steps - step) / max(1.0, self.decay_share * self.num_steps)
        return min(1.0, (step + 1) / 100) * max(0.05, min(1.0, left))


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
    return flow_loss(model, spec, batch, draw_flow(batch, spec, Told(text, motion, frames), generator))


def train_teacher(
    spec: ModelSpec,
    training: TeacherTraining,
    clips: LatentClips,
    folder: Path,
    device: torch.device,
    log: Log,
    on_save: Callable[[TrackWan], None] | None = None,
) -> TrackWan:
    """Train, or go on training, and return the averaged model. State lives in `folder`."""
    torch.manual_seed(training.seed)
    model = build_model(spec).to(device)
    # velocity starts at zero: the first steps then learn the data's mean and not to undo the random head
    nn.init.zeros_(model.head.head.weight)
    nn.init.zeros_(model.head.head.bias)
    assert model.track_head is not None
    model.track_head.initialise()
    ema = Ema(model, training.ema_decay)
    optimizer = Optimizer(model, training.learning_rate)
    state_path, step = folder / "teacher.state.pt", 0
    if state := load_state(state_path):
        model.load_state_dict(state["model"])
        ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    averaged = build_model(spec).to(device).requires_grad_(False)
    if training.compile:
        model.compile()
    started, running = time.monotonic(), None
    while step < training.num_steps:
        phase = training.phases[training.phase_at(step)]
        model.track_head.requires_grad_(not phase.freeze_head)
        # both generators start anew at every step: a run that was interrupted goes on as if it had not been
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
        batch = clips.batch(phase.batch_size, phase.view, np.random.default_rng((training.seed, step))).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            loss = teacher_loss(model, spec, batch, training, phase, generator)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(training.rate(step))
        ema.update(model)
        step += 1
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            log("teacher", step, loss=running, clips=len(clips), seconds=time.monotonic() - started)
            clips.refresh()
        if step % training.save_every == 0 or step == training.num_steps:
            averaged.load_state_dict(ema.weights)
            with torch.autocast(device.type, torch.bfloat16):
                probe = clips.batch(16, phase.view, np.random.default_rng(99)).to(device)
                gap = track_gap(averaged, spec, probe)
            log("teacher-gap", step, **gap)
            save_state(
                state_path,
                model=model.state_dict(),
                ema=ema.state_dict(),
                optimizer=optimizer.state_dict(),
                step=step,
            )
            if on_save:
                on_save(averaged)
    averaged.load_state_dict(ema.weights)
    return averaged.eval()
