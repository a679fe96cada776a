"""Clips that the stage prepare made of videos, read from their shards as they are asked for."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from .batches import Batch, View, clip_at, collate, pad_text, sample_rng
from .shards import VERSION

OPEN_SHARDS = 64


@dataclass(frozen=True)
class TrackDraw:
    """How many tracks a sample is told: none with `none_probability`, else from least to most, both included.

    uniform: every number is as likely; else every order of magnitude is (log-uniform). The paper's models see 1000 to
    2500; models that shall obey few need to see few.
    """

    least: int = 1
    most: int = 2500
    none_probability: float = 0.1
    uniform: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most or not 0 <= self.none_probability <= 1:
            raise ValueError(f"{self} is impossible; 1 <= least <= most and none_probability in [0, 1] are needed")

    def choose(self, candidates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Some of the candidates."""
        none = rng.random() < self.none_probability
        if self.uniform:
            count = int(rng.integers(self.least, self.most + 1))
        else:
            count = int(np.exp(rng.uniform(np.log(self.least), np.log(self.most + 1))))
        return rng.permutation(candidates)[: 0 if none else count]


@dataclass(frozen=True)
class _Sample:
    shown: tuple[Tensor, Tensor, Tensor, str]
    parts: dict[str, Tensor]


class VideoClips:
    """All shards of a folder: `batches.TrainingClips`. Shards are mapped into memory, never read whole.

    Raises FileNotFoundError where there are none, ValueError for shards of another version or of different encoders.
    """

    def __init__(self, folder: Path, tracks: TrackDraw | None = None) -> None:
        self.folder, self.tracks = folder, tracks or TrackDraw()
        self._places: list[tuple[Path, int]] = []
        self.captions: list[str] = []
        about: dict[str, Any] = {}
        for path in sorted(folder.glob("video_*.safetensors")):
            found = _about(path)
            if about and found["encoders"] != about["encoders"]:
                raise ValueError(f"{path} was made by other encoders ({found['encoders']}) than those before it")
            about = found
            self._places += [(path, row) for row in range(len(found["clips"]))]
            self.captions += [clip["caption"] for clip in found["clips"]]
        if not self._places:
            raise FileNotFoundError(f"no shards of videos in {folder}; run the stage 'prepare' with --videos first")
        self.frame_size: tuple[int, int] = (about["frame_size"][0], about["frame_size"][1])
        self.fps: float = about["fps"]
        self.time_stride, self.space_stride = about["stride"]
        self._open = lru_cache(OPEN_SHARDS)(_open_shard)

    def __len__(self) -> int:
        return len(self._places)

    def apart(self, count: int) -> tuple[VideoClips, VideoClips]:
        """(all other clips, `count` of them): what is trained on, and what is kept for judging, evenly over the list.

        Raises ValueError where nothing would be left to train on.
        """
        total = len(self)
        if total <= count:
            raise ValueError(
                f"{self.folder} holds {total} clips, and {count} are held out to judge the training by; "
                f"prepare at least {count + 1}"
            )
        kept = {(2 * number + 1) * total // (2 * count) for number in range(count)}
        return self._of([clip for clip in range(total) if clip not in kept]), self._of(sorted(kept))

    def _of(self, clips: Sequence[int]) -> VideoClips:
        some = copy.copy(self)
        some._places, some.captions = [self._places[c] for c in clips], [self.captions[c] for c in clips]
        return some

    def refresh(self) -> None:
        """Nothing: the order of the clips is fixed when they are opened."""

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        """Random clips, windows and track selections, drawn by `rng`."""
        return self._collate([self._sample(int(rng.integers(len(self))), view, rng) for _ in range(batch_size)])

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        """See `TrainingClips.epoch_batch`."""
        places = range(position, position + size)
        return self._collate([self._sample(clip_at(p, len(self), seed), view, sample_rng(p, seed)) for p in places])

    def _sample(self, clip: int, view: View, rng: np.random.Generator) -> _Sample:
        path, row = self._places[clip]
        file = self._open(path)
        stored = {name.partition(".")[2] for name in file.keys() if name.startswith(f"{row:05d}.")}  # noqa: SIM118
        _, num_latent_frames, height, width = file.get_slice(f"{row:05d}.latents").get_shape()
        if view.latent_frames > num_latent_frames:
            raise ValueError(
                f"the view has {view.latent_frames} latent frames, the clips in {self.folder} {num_latent_frames}; "
                "prepare longer clips or train on fewer frames"
            )
        if "image_tokens" in stored and view.cells < max(height, width):
            raise ValueError(
                f"a window of {view.cells} cells in clips of {width} x {height} does not go with their CLIP tokens, "
                f"which tell the whole picture; use a view of at least {max(height, width)} cells"
            )
        top, left = (int(rng.integers(max(0, side - view.cells) + 1)) for side in (height, width))
        rows, columns = slice(top, top + view.cells), slice(left, left + view.cells)

        def window(name: str) -> Tensor:
            return file.get_slice(f"{row:05d}.{name}")[:, : view.latent_frames, rows, columns].float()

        parts = {name: file.get_tensor(f"{row:05d}.{name}") for name in ("text", "image_tokens") if name in stored}
        if "text" in stored:
            parts["empty_text"] = file.get_tensor("empty_text")
        if "image" in stored:
            parts["image"] = window("image")
        latents = window("latents")
        points, visibility = self._tracks(file, row, view, (top, left), latents.shape[2:], rng)
        return _Sample((latents, points, visibility, self.captions[clip]), parts)

    def _tracks(
        self,
        file: Any,
        row: int,
        view: View,
        corner: tuple[int, int],
        size: Sequence[int],
        rng: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """points (t n 2) px of the window, visibility (t n) of the chosen tracks, all of which show in the window."""
        frames = 1 + self.time_stride * (view.latent_frames - 1)
        stride = self.space_stride
        offset = file.get_slice(f"{row:05d}.offset")[:frames].float()
        points = file.get_tensor(f"{row:05d}.start") + offset - torch.tensor([corner[1] * stride, corner[0] * stride])
        visibility = file.get_slice(f"{row:05d}.visibility")[:frames]
        limit = torch.tensor([size[1] * stride, size[0] * stride])
        shown = (visibility & (points >= 0).all(-1) & (points < limit).all(-1)).any(0)
        chosen = torch.from_numpy(self.tracks.choose(np.flatnonzero(shown.numpy()), rng))
        return points[:, chosen], visibility[:, chosen]

    def _collate(self, samples: list[_Sample]) -> Batch:
        batch = collate([sample.shown for sample in samples])
        parts: dict[str, list[Tensor]] = {}
        for sample in samples:
            for name, tensor in sample.parts.items():
                parts.setdefault(name, []).append(tensor)
        if "text" in parts:
            padded = pad_text([*parts["text"], parts["empty_text"][0]]).float()
            batch = replace(batch, text=padded[:-1], empty_text=padded[-1])
        if "image_tokens" in parts:
            batch = replace(batch, image_tokens=torch.stack(parts["image_tokens"]).float())
        if "image" in parts:
            batch = replace(batch, image=torch.stack(parts["image"]))
        return batch


def _open_shard(path: Path) -> Any:
    return safe_open(str(path), framework="pt")


def _about(path: Path) -> dict[str, Any]:
    with safe_open(str(path), framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("about", "{}"))
    if about.get("version") != VERSION:
        raise ValueError(f"{path} is version {about.get('version')} of the shards; this release reads {VERSION}")
    return about
