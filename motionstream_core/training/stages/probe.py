"""What a model under training makes of a few fixed clips: how far it obeys their tracks, and the clips to look at.

All ranks work on it together, each on clips of its own, with the networks as they are sharded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...checkpoints.spec import ModelSpec
from ...diffusion.schedule import teacher_sigmas
from ...models.track_wan import TrackWan
from ...streaming.rollout import GradientPolicy
from ...streaming.stream import guided_velocity
from ..data import Batch, TrainingClips, View
from ..engine.engine import Engine, Part
from .conditions import Conditioned, conditions_of, random_ids, text_embeddings
from .losses import track_gap, track_weight, weighted_error
from .student import training_rollout

PROBE_SEED = 99
NOISE_SEED = 5


@dataclass(frozen=True)
class Probe:
    """clips: ones that are not trained on. num_clips: fixed ones of them, at least two, for one is shown another's
    tracks. num_steps: of the teacher's sampler.
    """

    clips: TrainingClips
    view: View
    num_clips: int = 4
    num_steps: int = 25

    def __post_init__(self) -> None:
        if self.num_clips < 2:
            raise ValueError(f"num_clips is {self.num_clips}; at least 2 are needed, each to be shown another's tracks")

    def batch(self) -> Batch:
        """The fixed clips (n ...), on the CPU."""
        return self.clips.epoch_batch(0, self.num_clips, self.view, PROBE_SEED)


@dataclass(frozen=True)
class Probed:
    """metrics: means over all clips. made: latents (1 c f h w) of this rank's clips by their numbers."""

    metrics: Mapping[str, float]
    made: Mapping[int, Tensor]


Measure = Callable[[TrackWan, Batch, Batch], tuple[Mapping[str, float], Tensor]]
"""(model, a clip, the same clip under another's tracks) -> its numbers, and its latents as the model makes them"""


@torch.no_grad()
def probe(engine: Engine, part: Part, batch: Batch, measure: Measure) -> Probed:
    """Measure the part's averages on a batch; all ranks call it."""
    count = len(batch.captions)
    others = batch.with_tracks(batch.points.roll(1, 0), batch.visibility.roll(1, 0))
    sums: dict[str, float] = {}
    made: dict[int, Tensor] = {}
    with part.averaged() as model, engine.autocast():
        for first in range(0, count, engine.num_ranks):
            # sharded ranks work together: one that has no clip left keeps the others company
            number = min(first + engine.rank, count - 1)
            clip, other = (each.clip(number).to(engine.device) for each in (batch, others))
            numbers, latents = measure(cast("TrackWan", model), clip, other)
            if first + engine.rank < count:
                made[number] = latents.float().cpu()
            for name, value in numbers.items():
                sums[name] = sums.get(name, 0.0) + value * (first + engine.rank < count)
    means = {name: engine.total(value) / count for name, value in sums.items()}
    return Probed(means, made)


def measure_teacher(spec: ModelSpec, num_steps: int) -> Measure:
    """Loss at high noise under the right tracks, none and another clip's (`losses.track_gap`); clips jointly guided."""

    def measure(model: TrackWan, clip: Batch, other: Batch) -> tuple[Mapping[str, float], Tensor]:
        return track_gap(model, spec, clip, other=other), _sample(LoadedModel(model, spec), clip, num_steps)

    return measure


def measure_student(spec: ModelSpec) -> Measure:
    """Weighted squared error of rollouts against the true clip, with the right tracks, none and another clip's."""

    def measure(model: TrackWan, clip: Batch, other: Batch) -> tuple[Mapping[str, float], Tensor]:
        weight, found, made = track_weight(clip, spec), {}, clip.latents
        for name, told in {"right": clip, "none": _untold(clip), "wrong": other}.items():
            rolled = _roll(model, spec, told)
            found[name] = weighted_error(rolled, clip.latents, weight, int(spec.pin_first_latent)).item()
            made = rolled if name == "right" else made
        return found, made

    return measure


def _untold(clip: Batch) -> Batch:
    return clip.with_tracks(clip.points, torch.zeros_like(clip.visibility))


def _roll(model: TrackWan, spec: ModelSpec, clip: Batch) -> Tensor:
    """A clip (1 c f h w) as inference makes it."""
    everything = Conditioned.on_everything(1).to(clip.latents.device)
    whole = conditions_of(model, clip, _ids(clip), spec, everything)
    policy = GradientPolicy(len(spec.step_list) - 1)
    rolled = training_rollout(model, spec, whole, clip.latents.shape, policy, NOISE_SEED)
    return torch.cat([chunk.latents for chunk in rolled], dim=2)


def _sample(loaded: LoadedModel, clip: Batch, num_steps: int) -> Tensor:
    """A clip (1 c f h w) of the teacher, under the spec's joint guidance."""
    model, spec = loaded.model, loaded.spec
    everything = Conditioned.on_everything(1).to(clip.latents.device)
    conditions = conditions_of(model, clip, _ids(clip), spec, everything)
    negative = model.prepare_context(text_embeddings(model, clip, ~everything.text), clip.image_tokens)
    velocity = guided_velocity(loaded, conditions, negative, spec.text_weight, spec.motion_weight)
    latents = torch.randn(clip.latents.shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    latents = latents.to(clip.latents.device)
    for here, there in pairwise(teacher_sigmas(num_steps, spec.shift).tolist()):
        latents = latents + (there - here) * velocity(latents, here)
    if spec.pin_first_latent:
        latents[:, :, :1] = clip.latents[:, :, :1]
    return latents


def _ids(clip: Batch) -> Tensor:
    ids = random_ids(1, clip.points.shape[2], torch.Generator().manual_seed(NOISE_SEED))
    return ids.to(clip.latents.device)
