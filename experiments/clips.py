"""Clips of the study's world as latents, each with a few stored track selections and their picture's latents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from motionstream_core.checkpoints.load import write_safetensors
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.training.data import (
    MAX_POINTS,
    NO_POINT,
    Batch,
    LatentClips,
    View,
    choose_tracks,
    clip_frames,
    collate,
)
from motionstream_core.training.data.batches import clip_at, sample_rng
from motionstream_core.world import Clip, render, sample_motion, sample_scene

from .preset import LARGE, LATENT_FRAMES, NUM_FRAMES, SIZE_PX, TRACK_DRAWS
from .rgb_tracks import draw_on_black


def draw_clip(seed: int, num_frames: int = NUM_FRAMES) -> Clip:
    """Training clip number `seed`. Two successive seeds show the same scene, from the same start, with two motions."""
    scene_rng = np.random.default_rng((17, seed // 2))
    scene = sample_scene(scene_rng, LARGE, SIZE_PX)
    start = sample_motion(scene_rng, scene, LARGE, 2, SIZE_PX)
    motion = sample_motion(np.random.default_rng((19, seed)), scene, LARGE, num_frames, SIZE_PX, start)
    return render(scene, motion, SIZE_PX)


def told_tracks(owner: np.ndarray, seed: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Selection number `draw` of clip `seed`: indices and ids of the tracks that are told."""
    rng = np.random.default_rng((23, seed, draw))
    chosen = choose_tracks(owner, rng)
    return chosen, rng.permutation(100_000)[: len(chosen)]


def write_shard(path: Path, vae: TinyVae, seeds: range) -> None:
    """Render, draw, encode and store clips; the file appears whole or not at all."""
    rows: dict[str, list[Tensor]] = {name: [] for name in ("latents", "points", "visibility", "owner", "rgb", "seed")}
    captions = []
    span = 1 + 4 * (LATENT_FRAMES - 1)
    for seed in seeds:
        clip = draw_clip(seed)
        pictures = []
        for draw in range(TRACK_DRAWS):
            chosen, ids = told_tracks(clip.owner, seed, draw)
            points, visible = clip.points[:span, chosen], clip.visibility[:span, chosen]
            told = [torch.from_numpy(each) for each in (points, visible, ids)]
            pictures.append(draw_on_black(told[0], told[1], told[2], (SIZE_PX, SIZE_PX)))
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            rows["latents"].append(vae.encode(clip_frames(clip))[0].half())
            rows["rgb"].append(vae.encode(torch.stack(pictures)).half())
        spare = MAX_POINTS - clip.points.shape[1]
        rows["points"].append(
            torch.from_numpy(np.pad(clip.points, ((0, 0), (0, spare), (0, 0))).clip(-512, 1024)).half()
        )
        rows["visibility"].append(torch.from_numpy(np.pad(clip.visibility, ((0, 0), (0, spare)))))
        owner = np.pad(clip.owner, (0, spare), constant_values=NO_POINT)
        rows["owner"].append(torch.from_numpy(owner).to(torch.int8))
        rows["seed"].append(torch.tensor(seed))
        captions.append(clip.caption)
    tensors = {name: torch.stack(values) for name, values in rows.items()}
    write_safetensors(path, tensors, {"captions": json.dumps(captions)})


def prepare_study(
    folder: Path, vae: TinyVae, num_clips: int, clips_per_shard: int = 128, report: Callable[[int], None] | None = None
) -> None:
    """Write the shards that are not there yet; `report` gets the number of clips that are."""
    for first in range(0, num_clips, clips_per_shard):
        path = folder / f"world_{first // clips_per_shard:05d}.safetensors"
        if not path.exists():
            write_shard(path, vae, range(first, min(num_clips, first + clips_per_shard)))
        if report:
            report(first + clips_per_shard)


class StudyClips(LatentClips):
    """The study's shards in memory: whole frames, one of the stored track selections a sample.

    pictures: fill the track slot with the encoded drawing of the tracks instead of leaving it to the track head.
    """

    def __init__(self, folder: Path, pictures: bool = False) -> None:
        self.pictures = pictures
        super().__init__(folder)

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        """Random clips and selections, drawn by `rng`; the same ones with and without pictures."""
        places = []
        for _ in range(batch_size):
            shard = int(rng.integers(len(self._shards)))
            places.append((shard, int(rng.integers(len(self._captions[shard]))), int(rng.integers(TRACK_DRAWS))))
        return self._batch(places, view)

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        """See `TrainingClips.epoch_batch`."""
        places = []
        for place in range(position, position + size):
            draw = int(sample_rng(place, seed).integers(TRACK_DRAWS))
            places.append((*self._locate(clip_at(place, len(self), seed)), draw))
        return self._batch(places, view)

    def _batch(self, places: list[tuple[int, int, int]], view: View) -> Batch:
        """The clips at (shard, row) with their track selection number `draw`."""
        samples, pictures = [], []
        frames = 1 + 4 * (view.latent_frames - 1)
        for shard, index, draw in places:
            tensors = self._shards[shard]
            told, _ = told_tracks(tensors["owner"][index].numpy(), int(tensors["seed"][index]), draw)
            chosen = torch.from_numpy(told)
            samples.append(
                (
                    tensors["latents"][index, :, : view.latent_frames].float(),
                    tensors["points"][index, :frames, chosen].float(),
                    tensors["visibility"][index, :frames, chosen],
                    self._captions[shard][index],
                )
            )
            if self.pictures:
                pictures.append(tensors["rgb"][index, draw, :, : view.latent_frames].float())
        batch = collate(samples)
        return replace(batch, track=torch.stack(pictures)) if self.pictures else batch
