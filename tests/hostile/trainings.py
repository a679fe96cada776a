"""Checkpoints of trainings with a byte flipped, a file cut, lost or doubled: they are left out, never resumed."""

from __future__ import annotations

import atexit
import json
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import nn

from motionstream_core.training.engine.checkpoint import MANIFEST, Checkpoints
from motionstream_core.training.engine.engine import Compute, Engine, Part
from motionstream_core.training.engine.optimizers import OptimizerSettings

Harm = tuple[str, int]
"""What is done ("flip", "cut", "lose", "list"), and a number that chooses where."""


def harms(count: int, seed: int) -> list[Harm]:
    """As many, most of them flipped bits."""
    _saved()  # once, before processes are forked
    rng = random.Random(seed)
    return [
        (rng.choice(("flip", "flip", "flip", "flip", "cut", "lose", "list")), rng.getrandbits(40)) for _ in range(count)
    ]


def try_harm(harm: Harm) -> str | None:
    """Harm the newest of two checkpoints. Raises ValueError where the older one is resumed, with its own values."""
    kind, number = harm
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "state"
        shutil.copytree(_saved(), folder)
        newest = folder / "step_00000002"
        files = sorted(each for each in newest.iterdir() if each.name != MANIFEST)
        file = newest / MANIFEST if kind == "list" else files[number % len(files)]
        content = bytearray(file.read_bytes())
        if kind == "lose":
            file.unlink()
        elif kind == "cut":
            file.write_bytes(content[: number % len(content)])
        else:
            content[number % len(content)] ^= 1 << number % 7
            if kind == "list" and _same_list(bytes(content), file):
                return None
            file.write_bytes(content)
        part = _part()
        notes: list[str] = []
        step = Checkpoints(Engine(Compute(torch.device("cpu"))), folder, 2, notes.append).resume([part])
        if step != 1 or part.model.weight[0, 0].item() != 1.0:
            return f"step {step} was resumed"
        raise ValueError(notes[0])


def _same_list(content: bytes, file: Path) -> bool:
    """A blank of the list may be another blank."""
    try:
        return json.loads(content) == json.loads(file.read_bytes())
    except ValueError:
        return False


def _part() -> Part:
    return Engine(Compute(torch.device("cpu"))).part("net", nn.Linear(40, 30), OptimizerSettings(), None)


@cache
def _saved() -> Path:
    """A folder with two checkpoints, of which the first weight is their number."""
    place = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    folder = Path(place) / "state"
    part = _part()
    with Checkpoints(Engine(Compute(torch.device("cpu"))), folder, 2, lambda _: None) as writer:
        for step in (1, 2):
            with torch.no_grad():
                part.model.weight[0, 0] = float(step)
            writer.save(step, [part])
    return folder
