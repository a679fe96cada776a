"""Where the study's trainings lie, what they start from, and what was measured of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import torch

from motionstream_core.checkpoints import LoadedModel, load_model, load_tiny_vae
from motionstream_core.files import write_text
from motionstream_core.models.vae.tiny_vae import TinyVae

from .rgb_tracks import RgbTracks

Measures = dict[str, float]


@dataclass(frozen=True)
class Study:
    """folder: of the runs. weights: folder of the bundled teacher, student and tiny VAE, which all runs start from."""

    folder: Path
    weights: Path
    echo: Callable[[str], None] | None = None

    @cached_property
    def vae(self) -> TinyVae:
        """The bundled VAE."""
        return load_tiny_vae(self.weights / "tiny_vae.safetensors")

    def bundled(self, role: Literal["teacher", "student"]) -> LoadedModel:
        """The bundled model of one role, in fp32."""
        return load_model(self.weights / f"{role}.safetensors", torch.float32)

    def checkpoint(self, name: str) -> Path:
        """The weights of run `name`."""
        return self.folder / name / "model.safetensors"

    def finished(self, name: str) -> bool:
        """Whether run `name` came to its end."""
        return (self.folder / name / "done").exists()

    def load(self, name: str) -> LoadedModel:
        """A finished model, ready for sampling. Raises FileNotFoundError naming the command that trains it."""
        path = self.checkpoint(name)
        if not self.finished(name):
            raise FileNotFoundError(f"{path} is not trained; run: python -m experiments train {name}")
        loaded = load_model(path, torch.float32)
        if name.startswith("rgb"):
            assert loaded.spec.track_head is not None
            loaded.model.track_head = RgbTracks(loaded.spec.track_head, self.vae)
        return loaded

    def repetitions(self, name: str, seeds: Sequence[int]) -> list[tuple[str, int]]:
        """(run, sampling seed) of every repetition of a model.

        One for each training seed where all of them are trained, else sampling seeds of the first training.
        """
        if all(self.finished(f"{name}-{seed}") for seed in seeds):
            return [(f"{name}-{seed}", 0) for seed in seeds]
        return [(f"{name}-{seeds[0]}", sampling) for sampling in range(len(seeds))]

    def remembered(self, run: str, question: str, answer: Callable[[], Measures]) -> Measures:
        """What was measured of a run once before, or `answer()`, kept for the next time.

        It is kept under the hash of the run's weights: another training is another question.
        """
        path, key = self.folder / "measured.json", f"{_file_hash(self.checkpoint(run))} {question}"
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        if key not in known:
            known[key] = answer()
            write_text(path, json.dumps(known, indent=1))
        return known[key]


@cache
def _file_hash(path: Path) -> str:
    """Of a finished run's weights, which do not change any more."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
