"""Which model the jobs of a table need, told so that every machine can open it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import ModelSpec, read_spec
from ..demo.weights import BUNDLED
from ..models.fp8 import Arithmetic
from ..streaming.render.renderer import Renderer, TeacherSettings, open_renderer


@dataclass(frozen=True)
class ModelChoice:
    """Which model renders and how, the same for every job: the options of `render` and `evaluate`, as plain values.

    model: the name of a bundled one, which every machine has in a place of its own, or a path. memory_bytes: of the
    device for weights. frame_size: (height, width) px. steps, weights: of a teacher.
    """

    model: str
    vae: str | None = None
    encoders: str | None = None
    role: str | None = None
    memory_bytes: int | None = None
    frame_size: tuple[int, int] | None = None
    steps: int = 50
    weights: tuple[float, float] | None = None
    arithmetic: Arithmetic = "plain"
    compiled: bool = False

    @property
    def made_of(self) -> dict[str, Any]:
        """What a video's pixels depend on: not where the weights wait."""
        made = {name: value for name, value in asdict(self).items() if name != "memory_bytes"}
        for name in ("arithmetic", "compiled"):
            if made[name] == getattr(ModelChoice, name):  # as tables say that were begun before there was a choice
                del made[name]
        return made

    @property
    def teacher(self) -> TeacherSettings:
        """How a teacher samples."""
        text, motion = self.weights or (None, None)
        return TeacherSettings(self.steps, text, motion)

    def spec_here(self) -> ModelSpec | None:
        """What the model is, without its weights; None where its file is on other machines only.

        Raises as `read_spec` does.
        """
        path = Path(BUNDLED.get(self.model, self.model))
        return read_spec(path, role=self.role) if path.exists() else None  # pyright: ignore[reportArgumentType]

    def open(self, device: str) -> Renderer:
        """The model, to render on `device`. Raises as `open_renderer` does."""
        return open_renderer(
            BUNDLED.get(self.model, self.model),
            vae=self.vae,
            encoders=self.encoders,
            role=self.role,  # pyright: ignore[reportArgumentType]  (a plain value, checked by the command)
            device=torch.device(device),
            budget_bytes=self.memory_bytes,
            arithmetic=self.arithmetic,
            compiled=self.compiled,
        )
