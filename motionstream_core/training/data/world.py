"""Training data of the bundled model: clips of the procedural world as latents, with their tracks and captions.

Clips are rendered and encoded once, into shards; what is drawn anew for every training sample is which part of a clip
it shows and which of its tracks are told.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from ...checkpoints.load import write_safetensors
from ...models.vae.tiny_vae import TinyVae
from ...world import LEVELS, Clip, render, sample_motion, sample_scene
from .batches import Batch, View, clip_at, collate, sample_rng

MAX_POINTS = 127  # three sprites of nine points and the grid of a hundred
NO_POINT = -2


@dataclass(frozen=True)
class WorldMix:
    """Which clips are drawn: share of each level of `world.LEVELS`, length in frames, side in px."""

    level_weights: tuple[float, float, float] = (0.7, 0.2, 0.1)
    num_frames: int = 49
    size_px: int = 128


def draw_clip(seed: int, mix: WorldMix) -> Clip:
    """Clip number `seed`. Two successive seeds show the same scene, from the same start, with two motions."""
    scene_rng = np.random.default_rng((7, seed // 2))
    level = LEVELS[str(scene_rng.choice(list(LEVELS), p=mix.level_weights))]
    scene = sample_scene(scene_rng, level, mix.size_px)
    start = sample_motion(scene_rng, scene, level, 2, mix.size_px)
    motion_rng = np.random.default_rng((11, seed))
    return render(scene, sample_motion(motion_rng, scene, level, mix.num_frames, mix.size_px, start), mix.size_px)


def clip_frames(clip: Clip) -> Tensor:
    """Frames (1 3 t h w) in [0, 1]."""
    return torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255


def write_shard(path: Path, vae: TinyVae, seeds: range, mix: WorldMix, device: torch.device) -> None:
    """Render, encode and store clips; the file appears whole or not at all."""
    latents, points, visibility, owners, captions = [], [], [], [], []
    for seed in seeds:
        clip = draw_clip(seed, mix)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            latents.append(vae.encode(clip_frames(clip).to(device))[0].half().cpu())
        spare = MAX_POINTS - clip.points.shape[1]
        points.append(np.pad(clip.points, ((0, 0), (0, spare), (0, 0))).clip(-512, 1024))
        visibility.append(np.pad(clip.visibility, ((0, 0), (0, spare))))
        owners.append(np.pad(clip.owner, (0, spare), constant_values=NO_POINT))
        captions.append(clip.caption)
    tensors = {
        "latents": torch.stack(latents),
        "points": torch.from_numpy(np.stack(points)).half(),
        "visibility": torch.from_numpy(np.stack(visibility)),
        "owner": torch.from_numpy(np.stack(owners)).to(torch.int8),
    }
    write_safetensors(path, tensors, {"captions": json.dumps(captions)})


def prepare_world(
    folder: Path,
    vae: TinyVae,
    num_clips: int,
    mix: WorldMix,
    device: torch.device,
    clips_per_shard: int = 128,
    report: Callable[[int, int], None] | None = None,
    first_clip: int = 0,
) -> None:
    """Write the shards of `num_clips` clips that are not there yet; `report` gets (shards done, shards).

    first_clip: `draw_clip`'s number of the first of them.
    """
    num_shards = -(-num_clips // clips_per_shard)
    for shard in range(num_shards):
        path = folder / f"world_{shard:05d}.safetensors"
        if not path.exists():
            first = first_clip + shard * clips_per_shard
            write_shard(path, vae, range(first, first + clips_per_shard), mix, device)
        if report:
            report(shard + 1, num_shards)


class LatentClips:
    """All shards of a folder, in memory; `refresh` takes in those that were written since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: set[str] = set()
        self._shards: list[dict[str, Tensor]] = []
        self._captions: list[list[str]] = []
        self.refresh()

    def __len__(self) -> int:
        return sum(len(captions) for captions in self._captions)

    def refresh(self) -> None:
        for path in sorted(self.folder.glob("world_*.safetensors")):
            if path.name in self._read:
                continue
            with safe_open(str(path), framework="pt") as file:
                self._captions.append(json.loads(file.metadata()["captions"]))
                self._shards.append({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            self._read.add(path.name)
        if not self._shards:
            raise FileNotFoundError(f"no training shards in {self.folder}; run the stage 'prepare' first")

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        """Random clips, windows and track selections, drawn by `rng`."""
        samples = []
        for _ in range(batch_size):
            shard = int(rng.integers(len(self._shards)))
            index = int(rng.integers(len(self._captions[shard])))
            samples.append(self._sample(shard, index, view, rng))
        return collate(samples)

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        """See `TrainingClips.epoch_batch`; the order holds as long as no shard is added."""
        samples = []
        for place in range(position, position + size):
            shard, index = self._locate(clip_at(place, len(self), seed))
            samples.append(self._sample(shard, index, view, sample_rng(place, seed)))
        return collate(samples)

    def _locate(self, clip: int) -> tuple[int, int]:
        """Shard and row of clip number `clip`."""
        for shard, captions in enumerate(self._captions):
            if clip < len(captions):
                return shard, clip
            clip -= len(captions)
        raise IndexError("there are not so many clips")

    def _sample(
        self, shard: int, index: int, view: View, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, str]:
        tensors, caption = self._shards[shard], self._captions[shard][index]
        frames = 1 + 4 * (view.latent_frames - 1)
        points = tensors["points"][index, :frames].float()
        visibility, owner = tensors["visibility"][index, :frames], tensors["owner"][index]
        row, column = object_window(points[0], owner, tensors["latents"].shape[-1], view.cells, rng)
        latents = tensors["latents"][index, :, : view.latent_frames, row:, column:]
        latents = latents[:, :, : view.cells, : view.cells].float()
        chosen = torch.from_numpy(choose_tracks(owner.numpy(), rng))
        points = points[:, chosen] - torch.tensor([column * 8.0, row * 8.0])
        return latents, points, visibility[:, chosen], caption


def object_window(points: Tensor, owner: Tensor, side: int, cells: int, rng: np.random.Generator) -> tuple[int, int]:
    """Top left cell of a window around a random object (small views of background alone teach little)."""
    spare = side - cells
    if spare == 0:
        return 0, 0
    on_object = torch.nonzero(owner >= 0)[:, 0]
    center = points[on_object[int(rng.integers(len(on_object)))]] / 8 - cells / 2
    column, row = (int(np.clip(round(float(c) + rng.uniform(-2, 2)), 0, spare)) for c in center)
    return row, column


def choose_tracks(owner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which tracks of a clip the model is told, from none to all: indices.

    One sample in ten has none; six have a few points on most objects, a third of these with still points on the
    background; three have a random share of everything.
    """
    kind = rng.random()
    if kind < 0.1:
        return np.zeros(0, np.int64)
    if kind > 0.7:
        everything = np.flatnonzero(owner != NO_POINT)
        return rng.permutation(everything)[: max(1, int(len(everything) * rng.uniform(0.15, 1.0)))]
    chosen = []
    for sprite in range(int(owner.max()) + 1):
        if rng.random() < 0.85:
            mine = np.flatnonzero(owner == sprite)[:9]
            count = int(rng.integers(1, 8))
            chosen.append(mine[:1] if count == 1 else rng.permutation(mine)[:count])
    if kind < 0.3:
        chosen.append(rng.permutation(np.flatnonzero(owner == -1))[: int(rng.integers(1, 16))])
    return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
