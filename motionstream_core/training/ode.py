"""Stage ode: the teacher's trajectories under joint guidance, kept at the noise levels which the student visits."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..checkpoints.load import LoadedModel
from ..diffusion.schedule import shift_sigmas, student_sigmas
from ..streaming.stream import guided_velocity
from .conditions import Told, conditions_of, random_ids, text_embeddings
from .data import WHOLE_CLIP, Batch, LatentClips, View
from .engine import Engine


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


@dataclass(frozen=True)
class Trajectories:
    """levels (n k c f h w): noisy latents at the student's k sigmas; clean (n c f h w); and what they were told."""

    levels: Tensor
    clean: Tensor
    batch: Batch
    ids: Tensor

    def __len__(self) -> int:
        return len(self.clean)

    def take(self, index: Tensor) -> Trajectories:
        batch = Batch(
            self.clean[index].float(),
            self.batch.points[index].float(),
            self.batch.visibility[index],
            [self.batch.captions[i] for i in index.tolist()],
        )
        return Trajectories(self.levels[index].float(), batch.latents, batch, self.ids[index])

    def to(self, device: torch.device) -> Trajectories:
        """The same trajectories on `device`."""
        return Trajectories(self.levels.to(device), self.clean.to(device), self.batch.to(device), self.ids.to(device))


def trajectory_sigmas(num_steps: int, step_list: tuple[int, ...], shift: float) -> Tensor:
    """(m + 1,) sigmas from 1 to 0, among them the student's levels exactly."""
    even = shift_sigmas(torch.linspace(1, 0, num_steps + 1, dtype=torch.float64), shift).float()
    joined = torch.cat([even, student_sigmas(step_list, shift)])
    return torch.unique(joined.mul(1e6).round()).flip(0) / 1e6


@torch.no_grad()
def write_trajectories(
    engine: Engine,
    loaded: LoadedModel,
    clips: LatentClips,
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
        tensors, captions = _sample_batch(engine, loaded, clips, training, shard)
        if turn < len(missing):
            path = _shard_path(folder, shard)
            partial = path.with_name(path.name + ".part")
            save_file(tensors, str(partial), {"captions": json.dumps(captions)})
            os.replace(partial, path)
        engine.barrier()
        if report:
            report(num_shards - max(0, len(missing) - first - engine.num_ranks), num_shards)


def _shard_path(folder: Path, shard: int) -> Path:
    return folder / f"ode_{shard:05d}.safetensors"


def _sample_batch(
    engine: Engine, loaded: LoadedModel, clips: LatentClips, training: OdeTraining, shard: int
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors and captions of one shard; they depend on the shard's number alone."""
    spec = loaded.spec
    batch = clips.batch(training.batch_size, training.view, np.random.default_rng((training.seed, shard)))
    count = len(batch.captions)
    generator = torch.Generator().manual_seed(training.seed * 1_000_003 + shard)
    ids = random_ids(count, batch.points.shape[2], generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    on_device = batch.to(engine.device)
    told = Told.everything(count).to(engine.device)
    wanted = student_sigmas(spec.step_list, spec.shift)[:-1].tolist()
    with engine.autocast():
        given = conditions_of(loaded.model, on_device, ids.to(engine.device), spec, told)
        untold = text_embeddings(loaded.model, on_device, ~told.text)
        negative = loaded.model.prepare_context(untold, on_device.image_tokens)
        velocity = guided_velocity(loaded, given, negative, training.text_weight, training.motion_weight)
        latents, kept = noise.to(engine.device), []
        for here, there in pairwise(trajectory_sigmas(training.num_steps, spec.step_list, spec.shift).tolist()):
            if any(abs(here - level) < 1e-5 for level in wanted):
                kept.append(latents.half().cpu())
            latents = latents + (there - here) * velocity(latents, here)
    latents[:, :, :1] = on_device.latents[:, :, :1]
    tensors = {
        "levels": torch.stack(kept, dim=1),
        "clean": latents.half().cpu(),
        "points": batch.points.half(),
        "visibility": batch.visibility.contiguous(),
        "ids": ids,
    }
    return tensors, batch.captions


def read_trajectories(folder: Path) -> Trajectories:
    """All trajectories of a folder. Raises FileNotFoundError when there are none."""
    shards, captions = [], []
    for path in sorted(folder.glob("ode_*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            captions += json.loads(file.metadata()["captions"])
            shards.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
    if not shards:
        raise FileNotFoundError(f"no trajectories in {folder}; run the stage 'ode' first")
    width = max(shard["points"].shape[2] for shard in shards)

    def padded(name: str, axis: int) -> Tensor:
        parts = []
        for shard in shards:
            tensor = shard[name]
            shape = list(tensor.shape)
            shape[axis] = width - shape[axis]
            parts.append(torch.cat([tensor, tensor.new_zeros(shape)], dim=axis))
        return torch.cat(parts)

    clean = torch.cat([shard["clean"] for shard in shards])
    batch = Batch(clean, padded("points", 2), padded("visibility", 2), captions)
    return Trajectories(torch.cat([shard["levels"] for shard in shards]), clean, batch, padded("ids", 1))
