"""The loss of stage causal: regression on the teacher's trajectories, all chunks of a clip in one pass.

Every chunk starts from the teacher's noisy latents at one of the student's levels and sees the teacher's own clean past
through a sparse causal mask. One model is trained over masks of many sinks and windows (arXiv 2511.01266, section 3.2);
the pass itself is `models.sparse_causal`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...diffusion.flow import clean_from_velocity
from ...diffusion.schedule import student_sigmas, to_timestep
from ...models.conditioning import Conditions, assemble
from ...models.sparse_causal import SparseCausal
from ...models.track_wan import TrackWan
from ..data.trajectories import TrajectorySource
from .conditions import Conditioned, conditions_of
from .losses import TRACK_GAIN, track_weight

CausalLoss = Callable[[TrackWan, int, int, int], Tensor]
"""(model, train_step, micro_index, micro_size) -> mean loss of that micro-batch"""


@dataclass(frozen=True)
class CausalMasks:
    """Which sparse causal masks are trained on; all micro-batches of a step share one, so that ranks keep in step.

    sink_frames, window_frames: ranges in latent frames, both ends included.
    own_share: of the steps, that are trained on the spec's own sink and window.
    chunk_levels: every chunk of a clip has a level of its own; False: one level for the whole clip.
    past: what chunks see of those before them. "clean": the trajectory's end, as the chunk loop's cache holds it.
        "noisy": those chunks at their own levels, in one pass, which is CausVid's protocol (arXiv 2412.07772).
    through_past: gradients flow through the past's keys and values as well, so that what the clean pass leaves in the
        cache is learned too; False is the chunk loop's own gradient, for two thirds of the work.
    """

    sink_frames: tuple[int, int] = (0, 3)
    window_frames: tuple[int, int] = (1, 9)
    own_share: float = 0.5
    chunk_levels: bool = True
    through_past: bool = True
    past: Literal["clean", "noisy"] = "clean"

    def __post_init__(self) -> None:
        for name in ("sink_frames", "window_frames"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name} is drawn from {low} to {high}; it must be 0 <= low <= high")
        if self.sink_frames[0] + self.window_frames[0] < 1:
            raise ValueError(
                "sink_frames and window_frames may not both start at 0: a chunk would see nothing before it"
            )
        if self.past not in ("clean", "noisy"):
            raise ValueError(f"past is {self.past!r}; known are 'clean' and 'noisy'")
        if not 0 <= self.own_share <= 1:
            raise ValueError(f"own_share is {self.own_share}; it must lie in [0, 1]")

    def draw(self, spec: ModelSpec, rng: np.random.Generator) -> tuple[int, int]:
        """(sink_frames, window_frames) of one step."""
        own = rng.random() < self.own_share
        sink, window = (int(rng.integers(low, high + 1)) for low, high in (self.sink_frames, self.window_frames))
        return (spec.sink_frames, spec.window_frames) if own else (sink, window)


def causal_loss(
    trajectories: TrajectorySource,
    spec: ModelSpec,
    masks: CausalMasks,
    seed: int,
    device: torch.device,
    track_gain: float = TRACK_GAIN,
) -> CausalLoss:
    """Weighted mean squared error of all chunks against the trajectories' ends; track_gain: see `losses.track_weight`.

    The mask depends on (seed, train_step), all else on (seed, train_step, micro_index).
    """
    sigmas = student_sigmas(spec.step_list, spec.shift)[:-1].to(device)

    def loss(model: TrackWan, train_step: int, micro_index: int, micro_size: int) -> Tensor:
        sink, window = masks.draw(spec, np.random.default_rng((seed, train_step)))
        rng = np.random.default_rng((seed, train_step, micro_index))
        taken = trajectories.draw(micro_size, rng).to(device)
        levels = frame_levels(spec, micro_size, taken.clean.shape[2], masks.chunk_levels, rng).to(device)
        conditioned = Conditioned.on_everything(micro_size).to(device)
        whole = conditions_of(model, taken.batch, taken.ids, spec, conditioned)
        noisy = at_levels(taken.levels, levels)
        past = sparse_causal(model, spec, taken.clean.shape, sink, window, masks.past == "noisy")
        predicted = predict_clean(model, spec, whole, noisy, sigmas[levels], taken.clean, past, masks.through_past)
        weight = track_weight(taken.batch, spec, track_gain)
        if spec.pin_first_latent:  # it is known, not generated
            weight = weight * (torch.arange(weight.shape[2], device=device) > 0)[:, None, None]
        error = (predicted.float() - taken.clean).square().mean(1, keepdim=True)
        return (error * weight).sum() / weight.sum()

    return loss


def frame_levels(
    spec: ModelSpec, batch_size: int, num_latent_frames: int, per_chunk: bool, rng: np.random.Generator
) -> Tensor:
    """Index into the spec's step list for every frame (b f): one for each chunk, or one for each clip."""
    chunks = list(spec.chunk_plan.chunks(num_latent_frames))
    drawn = rng.integers(len(spec.step_list), size=(batch_size, len(chunks) if per_chunk else 1))
    lengths = [chunk.num_frames for chunk in chunks] if per_chunk else num_latent_frames
    return torch.from_numpy(drawn.repeat(lengths, axis=1))


def at_levels(levels: Tensor, index: Tensor) -> Tensor:
    """Latents (b c f h w) out of levels (b k c f h w), for each frame the level that index (b f) names."""
    clips = torch.arange(index.shape[0], device=index.device)[:, None]
    frames = torch.arange(index.shape[1], device=index.device)
    return levels[clips, index, :, frames].movedim(2, 1)


def sparse_causal(
    model: TrackWan, spec: ModelSpec, shape: torch.Size, sink: int, window: int, own_past: bool = False
) -> SparseCausal:
    """The mask of `spec`'s chunks with another sink and window, for latents of shape (b c f h w)."""
    config = model.config
    return SparseCausal(
        plan=spec.chunk_plan,
        num_latent_frames=shape[2],
        height=shape[3] // config.patch[1],
        width=shape[4] // config.patch[2],
        head_dim=config.head_dim,
        sink_frames=sink,
        window_frames=window,
        rope_rule=spec.rope_rule,
        device=model.patch_embedding.weight.device,
        rope_theta=config.rope_theta,
        attention=model.attention,
        own_past=own_past,
    )


def predict_clean(
    model: TrackWan,
    spec: ModelSpec,
    whole: Conditions,
    noisy: Tensor,
    sigma: Tensor,
    clean: Tensor,
    past: SparseCausal,
    through_past: bool,
) -> Tensor:
    """Clean latents (b c f h w) that every chunk predicts from its own noisy latents and the clean past.

    noisy: at sigma (b f); clean: what the past shows. A pinned first latent comes back as it was given.
    """
    timestep, first = to_timestep(sigma.float()), whole.clean_first
    if first is not None:
        noisy = torch.cat([first, noisy[:, :, 1:]], dim=2)
        timestep = torch.cat([torch.zeros_like(timestep[:, :1]), timestep[:, 1:]], dim=1)
    seen = 0 if past.own_past else past.num_past_frames
    clean_input = assemble(spec.layout, clean, whole)[:, :, :seen]
    noisy_input, clean_timestep = assemble(spec.layout, noisy, whole), timestep.new_zeros(timestep.shape[0], seen)
    if through_past and seen:
        both, timesteps = torch.cat([clean_input, noisy_input], dim=2), torch.cat([clean_timestep, timestep], dim=1)
        velocity = model(both, timesteps, whole.context, past)[:, :, seen:]
    else:
        if seen:
            with torch.no_grad(), past.keeping():
                model(clean_input, clean_timestep, whole.context, past, keys_only=True)
        velocity = model(noisy_input, timestep, whole.context, past)
    predicted = clean_from_velocity(noisy, velocity.to(noisy.dtype), sigma)
    return predicted if first is None else torch.cat([first, predicted[:, :, 1:]], dim=2)
