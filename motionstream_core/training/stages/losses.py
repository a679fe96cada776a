"""Losses on whole clips: flow matching, and how far the tracks are obeyed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...diffusion.flow import add_noise, velocity_target
from ...diffusion.schedule import sample_training_sigmas
from ...models.conditioning import assemble
from ...models.track_head import track_map
from ...models.track_wan import TrackWan
from ...streaming.rollout import pinned_input
from ..data import Batch
from .conditions import Conditioned, conditions_of, random_ids

TRACK_GAIN = 4.0


@dataclass(frozen=True)
class FlowDraw:
    """All that is drawn for one flow loss: sigma (b), noise (b c f h w), track ids (b n), what is conditioned on."""

    sigma: Tensor
    noise: Tensor
    ids: Tensor
    conditioned: Conditioned

    def to(self, device: torch.device) -> FlowDraw:
        """The same on `device`: it is drawn on the CPU, so that every device trains on the same numbers."""
        return FlowDraw(self.sigma.to(device), self.noise.to(device), self.ids.to(device), self.conditioned.to(device))


def draw_flow(batch: Batch, spec: ModelSpec, conditioned: Conditioned, generator: torch.Generator) -> FlowDraw:
    """Random level, noise and ids for a batch."""
    count = len(batch.captions)
    sigma = sample_training_sigmas(count, spec.shift, generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    return FlowDraw(sigma, noise, random_ids(count, batch.points.shape[2], generator), conditioned)


def flow_loss(model: TrackWan, spec: ModelSpec, batch: Batch, draw: FlowDraw, track_gain: float = TRACK_GAIN) -> Tensor:
    """Mean squared error of the velocity, cells around visible points weighted by 1 + track_gain (`track_weight`)."""
    draw = draw.to(batch.latents.device)
    conditions = conditions_of(model, batch, draw.ids, spec, draw.conditioned)
    noisy = add_noise(batch.latents, draw.noise, draw.sigma)
    noisy, timestep = pinned_input(noisy, draw.sigma, conditions.clean_first)
    velocity = model(assemble(spec.layout, noisy, conditions), timestep, conditions.context)
    weight = track_weight(batch, spec, track_gain)
    return weighted_error(velocity, velocity_target(batch.latents, draw.noise), weight, int(spec.pin_first_latent))


def weighted_error(value: Tensor, target: Tensor, weight: Tensor, num_given: int = 0) -> Tensor:
    """Mean squared error of (b c f h w) under weight (b 1 f h w); the first `num_given` frames are no part of it."""
    error = (value[:, :, num_given:].float() - target[:, :, num_given:]).square().mean(1, keepdim=True)
    weight = weight[:, :, num_given:]
    return (error * weight).sum() / weight.sum()


def track_weight(batch: Batch, spec: ModelSpec, gain: float = TRACK_GAIN) -> Tensor:
    """Weight (b 1 f h w) of every latent cell in a loss: 1, and 1 + gain in the 3 x 3 cells around a track point.

    Most of a clip is background that the first frame already shows; what the tracks say would drown in it. The weight
    depends on the conditions alone, so the optimum stays the same. gain 0 is the paper's plain mean.
    """
    latents = batch.latents
    if gain == 0 or spec.track_head is None:
        return latents.new_ones(latents.shape[0], 1, *latents.shape[2:])
    size = (latents.shape[3] * spec.vae_stride.space, latents.shape[4] * spec.vae_stride.space)
    one = torch.ones(batch.points.shape[0], batch.points.shape[2], 1, device=batch.points.device)
    present = track_map(batch.points, batch.visibility, one, size, spec.track_head)[:, :, :: spec.vae_stride.time]
    return 1 + gain * (F.max_pool3d(present, (1, 3, 3), stride=1, padding=(0, 1, 1)) > 0)


@torch.no_grad()
def track_gap(
    model: TrackWan, spec: ModelSpec, batch: Batch, seed: int = 5, other: Batch | None = None
) -> dict[str, float]:
    """Loss at high noise with the right tracks, with none, and with another clip's: obedience shows in the gap.

    other: the clips under the tracks of others; None gives each its neighbour's.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(batch.captions)
    conditioned = Conditioned.on_everything(count)
    noise = torch.randn(batch.latents.shape, generator=generator)
    ids = random_ids(count, batch.points.shape[2], generator)
    right = FlowDraw(torch.full((count,), 0.85), noise, ids, conditioned)
    none = FlowDraw(right.sigma, noise, ids, conditioned.without_motion())
    if other is None:
        other = batch.with_tracks(batch.points.roll(1, 0), batch.visibility.roll(1, 0))
    return {
        "right": flow_loss(model, spec, batch, right).item(),
        "none": flow_loss(model, spec, batch, none).item(),
        "wrong": flow_loss(model, spec, other, right).item(),
    }
