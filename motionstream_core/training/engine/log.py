"""Training logs: one CSV file per stage that any tool can plot; TensorBoard and Weights & Biases where asked for."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...files import write_text
from .wandb_runs import WandbRun


class Log:
    """`<folder>/<stage>.csv`, header `step,<names>`; every row goes to `echo` too, as `stage,step,name=value...`.

    A step never stands below a later one: a row replaces all rows at or after its step, so that a resumed or repeated
    run leaves one line and not two. Names that come later get a column of their own, empty above.
    writes False is the log of ranks that leave this to rank 0. wandb: project of Weights & Biases. Raises ImportError
    when TensorBoard or wandb is asked for and missing.
    """

    def __init__(
        self,
        folder: Path,
        echo: Callable[[str], None] | None = None,
        tensorboard: bool = False,
        writes: bool = True,
        wandb: str | None = None,
    ) -> None:
        self.folder = folder
        self.writes = writes
        self._echo = echo if writes else None
        self._rows: dict[str, list[dict[str, str]]] = {}
        self._boards = _Boards(folder) if tensorboard and writes else None
        self._wandb = WandbRun(wandb, folder) if wandb and writes else None
        if writes:
            folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, stage: str, step: int, **values: float) -> None:
        if not self.writes:
            return
        row = {"step": str(step)} | {name: f"{value:.6g}" for name, value in values.items()}
        rows = self._read(stage)
        fits = not rows or (int(rows[-1]["step"]) < step and row.keys() <= rows[0].keys())
        if fits and rows:
            row = {name: row.get(name, "") for name in rows[0]}
            with self._path(stage).open("a", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerow(row.values())
            rows.append(row)
        else:
            self._write(stage, [*(r for r in rows if int(r["step"]) < step), row])
        if self._boards is not None:
            self._boards.add(stage, step, values)
        if self._wandb is not None:
            self._wandb.add(stage, step, values)
        if self._echo is not None:
            self._echo(f"{stage},{step}," + ",".join(f"{name}={value:.5g}" for name, value in values.items()))

    def picture(self, stage: str, step: int, path: Path) -> None:
        """Show a picture that stands in the run's folder."""
        if self._wandb is not None:
            self._wandb.picture(stage, step, path)

    def note(self, text: str) -> None:
        """Say something that is no number."""
        if self._echo is not None:
            self._echo(text)

    def rewind(self, stage: str, step: int) -> None:
        """Cut off the rows after `step` of a stage, and of what is logged beside it as `<stage>-...`."""
        if not self.writes:
            return
        for path in sorted(self.folder.glob("*.csv")):
            if path.stem == stage or path.stem.startswith(f"{stage}-"):
                rows = self._read(path.stem)
                kept = [row for row in rows if int(row["step"]) <= step]
                if len(kept) < len(rows):
                    self._write(path.stem, kept)
        if self._boards is not None:
            self._boards.rewind(stage, step)

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.csv"

    def _read(self, stage: str) -> list[dict[str, str]]:
        if stage not in self._rows:
            self._rows[stage] = []
            if self._path(stage).exists():
                with self._path(stage).open(encoding="utf-8", newline="") as file:
                    self._rows[stage] = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
        return self._rows[stage]

    def _write(self, stage: str, rows: list[dict[str, str]]) -> None:
        """Write a file anew, whole or not at all."""
        names = list(dict.fromkeys(name for row in rows for name in row)) or ["step"]
        rows = [{name: row.get(name) or "" for name in names} for row in rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self._path(stage), text.getvalue())
        self._rows[stage] = rows


class _Boards:
    """TensorBoard's event files, one folder per stage."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError("TensorBoard files need TensorBoard: pip install tensorboard") from error
        self._writer: Callable[..., Any] = SummaryWriter
        self._folder = folder
        self._open: dict[str, Any] = {}

    def rewind(self, stage: str, step: int) -> None:
        self._open[stage] = self._writer(str(self._folder / "tensorboard" / stage), purge_step=step + 1)

    def add(self, stage: str, step: int, values: dict[str, float]) -> None:
        if stage not in self._open:
            self._open[stage] = self._writer(str(self._folder / "tensorboard" / stage))
        for name, value in values.items():
            self._open[stage].add_scalar(name, value, step)
        self._open[stage].flush()
