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
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.load import build_model
from ..checkpoints.spec import ModelSpec
from ..diffusion.flow import add_noise, velocity_target
from ..diffusion.schedule import sample_training_sigmas, to_timestep
from ..models.conditioning import Conditions, assemble, first_frame_mask
from ..models.track_head import track_map
from ..models.track_wan import TrackWan
from ..tracks import NUM_IDS
from .data import Batch, LatentClips, View
from .ema import Ema
from .log import Log
from .optimizers import Optimizer
from .state import load_state, save_state


@dataclass(frozen=True)
class Phase:
    """`num_steps` steps on one view of the clips."""

    num_steps: int
    batch_size: int
    view: View


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


def conditions_of(
    model: TrackWan, batch: Batch, ids: Tensor, spec: ModelSpec, told_text: Tensor, told_motion: Tensor
) -> Conditions:
    """Conditions of whole clips; told_text, told_motion: bool (b), False where a condition is dropped."""
    assert model.text_encoder is not None and model.track_head is not None
    latents = batch.latents
    side = (latents.shape[3] * spec.vae_stride.space, latents.shape[4] * spec.vae_stride.space)
    text = model.text_encoder.encode(batch.captions) * told_text[:, None, None]
    track = model.track_head.encode(batch.points, batch.visibility, ids, side, at_start=True)
    image = torch.zeros_like(latents)
    image[:, :, :1] = latents[:, :, :1]
    mask = first_frame_mask(latents.shape[2], latents.shape[3], latents.shape[4], latents)
    return Conditions(
        context=model.prepare_context(text),
        mask=mask.expand(latents.shape[0], -1, -1, -1, -1),
        image=image,
        track=track * told_motion[:, None, None, None, None],
    )


def random_ids(batch_size: int, num_tracks: int, generator: torch.Generator) -> Tensor:
    """Ids (b n), all different within a clip."""
    return torch.stack([torch.randperm(NUM_IDS, generator=generator)[:num_tracks] for _ in range(batch_size)])


def flow_loss(
    model: TrackWan, spec: ModelSpec, batch: Batch, training: TeacherTraining, generator: torch.Generator
) -> Tensor:
    """Mean squared error of the velocity at a random level, some conditions dropped."""
    count = batch.latents.shape[0]
    sigma = sample_training_sigmas(count, spec.shift, generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    told_text = torch.rand(count, generator=generator) >= training.text_dropout
    told_motion = torch.rand(count, generator=generator) >= training.motion_dropout
    ids = random_ids(count, batch.points.shape[2], generator)
    return _flow_loss(model, spec, batch, sigma, noise, ids, told_text, told_motion)


def _flow_loss(
    model: TrackWan,
    spec: ModelSpec,
    batch: Batch,
    sigma: Tensor,
    noise: Tensor,
    ids: Tensor,
    told_text: Tensor,
    told_motion: Tensor,
) -> Tensor:
    device = batch.latents.device  # what is drawn is drawn on the CPU, the same for every device
    sigma, noise, ids = sigma.to(device), noise.to(device), ids.to(device)
    given = conditions_of(model, batch, ids, spec, told_text.to(device), told_motion.to(device))
    noisy = add_noise(batch.latents, noise, sigma)
    velocity = model(assemble(spec.layout, noisy, given), to_timestep(sigma), given.context)
    error = (velocity.float() - velocity_target(batch.latents, noise)).square().mean(1, keepdim=True)
    weight = track_weight(batch, spec)
    return (error * weight).sum() / weight.sum()


def track_weight(batch: Batch, spec: ModelSpec, gain: float = 4.0) -> Tensor:
    """Weight (b 1 f h w) of every latent cell in the loss: 1, and 1 + gain in the 3 x 3 cells around a track point.

    Most of a clip is background that the first frame already shows; what the tracks say would drown in it. The weight
    depends on the conditions alone, so the optimum stays the same.
    """
    size = (batch.latents.shape[3] * spec.vae_stride.space, batch.latents.shape[4] * spec.vae_stride.space)
    assert spec.track_head is not None
    one = torch.ones(batch.points.shape[0], batch.points.shape[2], 1, device=batch.points.device)
    present = track_map(batch.points, batch.visibility, one, size, spec.track_head)[:, :, :: spec.vae_stride.time]
    return 1 + gain * (F.max_pool3d(present, (1, 3, 3), stride=1, padding=(0, 1, 1)) > 0)


@torch.no_grad()
def track_gap(model: TrackWan, spec: ModelSpec, batch: Batch, seed: int = 5) -> dict[str, float]:
    """Loss at high noise with the right tracks, with none, and with another clip's: obedience shows in the gap."""
    generator = torch.Generator().manual_seed(seed)
    count = batch.latents.shape[0]
    sigma, noise = torch.full((count,), 0.85), torch.randn(batch.latents.shape, generator=generator)
    ids = random_ids(count, batch.points.shape[2], generator)
    told, untold = torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
    other = Batch(batch.latents, batch.points.roll(1, 0), batch.visibility.roll(1, 0), batch.captions)
    return {
        "right": _flow_loss(model, spec, batch, sigma, noise, ids, told, told).item(),
        "none": _flow_loss(model, spec, batch, sigma, noise, ids, told, untold).item(),
        "wrong": _flow_loss(model, spec, other, sigma, noise, ids, told, told).item(),
    }


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
        # both generators start anew at every step: a run that was interrupted goes on as if it had not been
        generator = torch.Generator().manual_seed(training.seed * 1_000_003 + step)
        batch = clips.batch(phase.batch_size, phase.view, np.random.default_rng((training.seed, step))).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            loss = flow_loss(model, spec, batch, training, generator)
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
