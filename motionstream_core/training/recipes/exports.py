"""The models that a stage leaves while it trains: the newest where the next stage reads it, the last ones, the best."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from ...checkpoints import ModelSpec, save_model
from ...files import new_file, write_text
from ...models.track_wan import TrackWan


@dataclass(frozen=True)
class Export:
    """A model that was kept: after how many steps, under which name, and what was measured of it."""

    step: int
    file: str
    metrics: Mapping[str, float]


class Exports:
    """`<name>.safetensors` is the newest; `exports/<name>-step-<steps>.safetensors` are the last `keep` ones.

    `exports/<name>.json` lists them with what was measured. The one whose metric `best_by` is lowest stays as well, and
    is copied to `<name>-best.safetensors`.
    """

    def __init__(self, folder: Path, name: str, spec: ModelSpec, keep: int = 3, best_by: str = "right") -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least one export must be kept")
        self.folder, self.name, self.spec, self.keep, self.best_by = folder, name, spec, keep, best_by
        self._kept = folder / "exports"
        self._list = self._kept / f"{name}.json"

    def write(self, model: TrackWan, train_step: int, metrics: Mapping[str, float]) -> None:
        """Write a model, and forget what is too old; a run that goes on from an earlier step writes over later ones."""
        self._kept.mkdir(parents=True, exist_ok=True)
        listed = self.entries()
        earlier = [each for each in listed if each.step < train_step]
        made = Export(train_step, f"{self.name}-step-{train_step:08d}.safetensors", dict(metrics))
        save_model(self._kept / made.file, model, self.spec)
        _copy(self._kept / made.file, self.folder / f"{self.name}.safetensors")
        best = self.best([*earlier, made])
        if best is not None and (best == made or earlier != listed):
            _copy(self._kept / best.file, self.folder / f"{self.name}-best.safetensors")
        kept = [*earlier, made][-self.keep :]
        if best is not None and best not in kept:
            kept.insert(0, best)
        write_text(self._list, json.dumps([asdict(each) for each in kept], indent=1))
        names = {each.file for each in kept}
        for path in self._kept.glob(f"{self.name}-step-" + "[0-9]" * 8 + ".safetensors"):
            if path.name not in names:
                path.unlink()

    def entries(self) -> list[Export]:
        """What is kept, in the order of its steps."""
        return [Export(**each) for each in json.loads(self._list.read_text("utf-8"))] if self._list.exists() else []

    def best(self, entries: list[Export] | None = None) -> Export | None:
        """The one with the lowest metric; None where it was never measured."""
        measured = [e for e in (self.entries() if entries is None else entries) if self.best_by in e.metrics]
        lowest: Callable[[Export], float] = lambda each: each.metrics[self.best_by]  # noqa: E731
        return min(measured, key=lowest, default=None)


def _copy(source: Path, target: Path) -> None:
    """The target is there whole or not at all."""
    with source.open("rb") as read, new_file(target) as written:
        shutil.copyfileobj(read, written)
