"""Weights & Biases beside the CSV files: every row, and the contact sheets of validation videos."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...files import write_text


class WandbRun:
    """One run of the project for a training's folder; a training that goes on, goes on in the same run.

    Rows are `<stage>/<name>` over `<stage>/step`. Raises ImportError where wandb is missing.
    """

    def __init__(self, project: str, folder: Path) -> None:
        try:
            wandb: Any = importlib.import_module("wandb")
        except ImportError as error:
            raise ImportError("Weights & Biases needs the package wandb: pip install wandb") from error
        self._wandb = wandb
        folder.mkdir(parents=True, exist_ok=True)
        known = folder / "wandb-run.txt"
        if not known.exists():
            write_text(known, uuid.uuid4().hex[:16])
        name = folder.resolve().parent.name  # of the run's folder: logs stand in OUT/log
        self._run = wandb.init(
            project=project, id=known.read_text("utf-8").strip(), name=name, dir=str(folder), resume="allow"
        )
        self._stages: set[str] = set()

    def add(self, stage: str, step: int, values: Mapping[str, float]) -> None:
        self._log(stage, step, {f"{stage}/{name}": value for name, value in values.items()})

    def picture(self, stage: str, step: int, path: Path) -> None:
        self._log(stage, step, {f"{stage}/videos": self._wandb.Image(str(path))})

    def _log(self, stage: str, step: int, values: Mapping[str, object]) -> None:
        if stage not in self._stages:  # stages count steps of their own, and one that goes on repeats some
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")
            self._stages.add(stage)
        self._run.log({f"{stage}/step": step, **values})
