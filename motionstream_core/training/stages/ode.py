"""Stage ode: the teacher's trajectories under joint guidance, kept at the noise levels which the student visits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...diffusion.schedule import shift_sigmas, student_sigmas
from ...streaming.stream import guided_velocity
from ..data import WHOLE_CLIP, TrainingClips, View
from ..data.trajectories import Trajectories, save_trajectories
from ..engine.engine import Engine
from .conditions import Conditioned, conditions_of, random_ids, text_embeddings


@dataclass(frozen=True)
class OdeTraining:
    """num_steps: Euler steps in [0, 1] before the shift; the student's levels are added where the list misses them."""

    num_trajectories: int = 512
    batch_size: int = 16
    num_steps: int = 15
    text_weight: float = 0.0
    motion_weight: float = 1.0
    view: View = WHOLE_CLIP
    seed: int = 3


def trajectory_sigmas(num_steps: int, step_list: tuple[int, ...], shift: float) -> Tensor:
    """(m + 1,) sigmas from 1 to 0, among them the student's levels exactly."""
    even = shift_sigmas(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64), shift).float()
    joined = torch.cat([even, student_sigmas(step_list, shift)])
    return torch.unique(joined.mul(1e6).round()).flip(0) / 1e6


@torch.no_grad()
def write_trajectories(
    engine: Engine,
    loaded: LoadedModel,
    clips: TrainingClips,
    training: OdeTraining,
    folder: Path,
    report: Callable[[int, int], None] | None = None,
) -> None:
    """Sample the batches of trajectories that are not in `folder` yet, each rank its own; all ranks call it.

    loaded: a teacher as `Engine.frozen` placed it. report: gets (shards done, shards).
    """
    folder.mkdir(parents=True, exist_ok=True)
    num_shards = -(-training.num_trajectories // training.batch_size)
    missing = [shard for shard in range(num_shards) if not _shard_path(folder, shard).exists()]
    missing = cast("list[int]", engine.from_main(missing))
    if report and not missing:
        report(num_shards, num_shards)
    for first in range(0, len(missing), engine.num_ranks):
        # sharded ranks sample together: one that has nothing left to do keeps the others company
        turn = first + engine.rank
        shard = missing[min(turn, len(missing) - 1)]
        made = _sample_batch(engine, loaded, clips, training, shard)
        if turn < len(missing):
            save_trajectories(_shard_path(folder, shard), made)
        engine.barrier()
        if report:
            report(num_shards - max(0, len(missing) - first - engine.num_ranks), num_shards)


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"ode_{shard:05d}.safetensors"


def _sample_batch(
    engine: Engine, loaded: LoadedModel, clips: TrainingClips, training: OdeTraining, shard: int
) -> Trajectories:
    """The trajectories of one shard; they depend on the shard's number alone."""
    spec = loaded.spec
    batch = clips.batch(training.batch_size, training.view, np.random.default_rng((training.seed, shard)))
    count = len(batch.captions)
    generator = torch.Generator().manual_seed(training.seed * 1_000_003 + shard)
    ids = random_ids(count, batch.points.shape[2], generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    on_device = batch.to(engine.device)
    conditioned = Conditioned.on_everything(count).to(engine.device)
    wanted = student_sigmas(spec.step_list, spec.shift)[:-1].tolist()
    with engine.autocast():
        conditions = conditions_of(loaded.model, on_device, ids.to(engine.device), spec, conditioned)
        no_text = text_embeddings(loaded.model, on_device, ~conditioned.text)
        negative = loaded.model.prepare_context(no_text, on_device.image_tokens)
        velocity = guided_velocity(loaded, conditions, negative, training.text_weight, training.motion_weight)
        latents, kept = noise.to(engine.device), []
        for here, there in pairwise(trajectory_sigmas(training.num_steps, spec.step_list, spec.shift).tolist()):
            if any(abs(here - level) < 1e-5 for level in wanted):
                kept.append(latents.half().cpu())
            latents = latents + (there - here) * velocity(latents, here)
    if spec.image_rule == "first_latent":  # the student is given it, as it is
        latents[:, :, :1] = on_device.latents[:, :, :1]
    return Trajectories(torch.stack(kept, dim=1), latents.cpu(), batch, ids)
