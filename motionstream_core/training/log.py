"""Training logs: one CSV line per report, so that any tool can plot them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Log:
    """Appends `stage,step,name=value...` lines to a file and hands each one to `echo`."""

    def __init__(self, path: Path, echo: Callable[[str], None] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.echo = echo

    def __call__(self, stage: str, step: int, **values: float) -> None:
        line = f"{stage},{step}," + ",".join(f"{name}={value:.5g}" for name, value in values.items())
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if self.echo:
            self.echo(line)
