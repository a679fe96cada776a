"""The teacher's trajectories on disk: written batch by batch by the stage ode, mapped and not read by the stage causal.

4000 trajectories of Wan 2.1 with their conditions are some 100 GB, so what a micro-batch takes is all that is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from ...checkpoints.load import write_safetensors
from .batches import Batch, collate, pad_text

OPEN_SHARDS = 64
# Conditions that a batch may hold, one row a clip.
PER_CLIP = ("text", "image_tokens", "image")


@dataclass(frozen=True)
class Trajectories:
    """levels (n k c f h w): noisy latents at the student's k sigmas; clean (n c f h w); and what they were told."""

    levels: Tensor
    clean: Tensor
    batch: Batch
    ids: Tensor

    def __len__(self) -> int:
        return len(self.clean)

    def draw(self, count: int, rng: np.random.Generator) -> Trajectories:
        """`count` of them, all different where there are so many."""
        return self.take(random_rows(len(self), count, rng))

    def take(self, index: Tensor) -> Trajectories:
        """Those at `index` (m), in fp32."""
        own = {name: value[index].float() for name in PER_CLIP if (value := getattr(self.batch, name)) is not None}
        batch = replace(
            self.batch,
            latents=self.clean[index].float(),
            points=self.batch.points[index].float(),
            visibility=self.batch.visibility[index],
            captions=[self.batch.captions[i] for i in index.tolist()],
            **own,
        )
        return Trajectories(self.levels[index].float(), batch.latents, batch, self.ids[index])

    def to(self, device: torch.device) -> Trajectories:
        """The same trajectories on `device`."""
        return Trajectories(self.levels.to(device), self.clean.to(device), self.batch.to(device), self.ids.to(device))


class TrajectorySource(Protocol):
    """What the stage causal regresses on: in memory, on disk, or made of true clips (`regression.TruePaths`)."""

    def draw(self, count: int, rng: np.random.Generator) -> Trajectories:
        """`count` trajectories, drawn by `rng`, in fp32."""
        ...


def random_rows(num_rows: int, count: int, rng: np.random.Generator) -> Tensor:
    """`count` indices below `num_rows`, all different where there are so many."""
    return torch.from_numpy(rng.choice(num_rows, count, replace=count > num_rows))


def save_trajectories(path: Path, made: Trajectories) -> None:
    """Write a batch of trajectories; the file appears whole or not at all."""
    batch = made.batch
    tensors = {
        "levels": made.levels.half(),
        "clean": made.clean.half(),
        "points": batch.points.float(),
        "visibility": batch.visibility,
        "ids": made.ids,
    }
    for name in (*PER_CLIP, "empty_text"):
        value = getattr(batch, name)
        if value is not None:
            tensors[name] = value.bfloat16()
    write_safetensors(path, tensors, {"captions": json.dumps(batch.captions)})


class StoredTrajectories:
    """All trajectories of a folder. Raises FileNotFoundError when there are none."""

    def __init__(self, folder: Path) -> None:
        self._places: list[tuple[Path, int]] = []
        self._captions: list[str] = []
        for path in sorted(folder.glob("ode_*.safetensors")):
            with safe_open(str(path), framework="pt") as file:
                captions = json.loads(file.metadata()["captions"])
            self._places += [(path, row) for row in range(len(captions))]
            self._captions += captions
        if not self._places:
            raise FileNotFoundError(f"no trajectories in {folder}; run the stage 'ode' first")
        self._open = lru_cache(OPEN_SHARDS)(lambda path: safe_open(str(path), framework="pt"))

    def __len__(self) -> int:
        return len(self._places)

    def draw(self, count: int, rng: np.random.Generator) -> Trajectories:
        """`count` of them, all different where there are so many."""
        return self.take(random_rows(len(self), count, rng))

    def take(self, index: Tensor) -> Trajectories:
        """Those at `index` (m), in fp32; fewer tracks or words than the most are padded."""
        rows = [self._row(int(i)) for i in index]
        shown = collate(
            [
                (r["clean"], r["points"], r["visibility"], self._captions[int(i)])
                for r, i in zip(rows, index, strict=True)
            ]
        )
        batch = replace(shown, **_conditions(rows))
        width = batch.points.shape[2]
        ids = torch.stack([F.pad(r["ids"], (0, width - len(r["ids"]))) for r in rows])
        return Trajectories(torch.stack([r["levels"] for r in rows]), batch.latents, batch, ids)

    def _row(self, index: int) -> dict[str, Tensor]:
        path, row = self._places[index]
        file: Any = self._open(path)
        found = {}
        for name in file.keys():  # noqa: SIM118
            value = file.get_tensor(name) if name == "empty_text" else file.get_slice(name)[row]
            found[name] = value.float() if value.is_floating_point() else value
        return found


def _conditions(rows: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """What a batch holds beside latents and tracks."""
    found = {name: torch.stack([r[name] for r in rows]) for name in ("image_tokens", "image") if name in rows[0]}
    if "text" in rows[0]:
        padded = pad_text([*(r["text"] for r in rows), rows[0]["empty_text"]])
        found["text"], found["empty_text"] = padded[:-1], padded[-1]
    return found
