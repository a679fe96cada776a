"""Resumable training: all that a stage needs to go on where it was stopped, in one file written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(path: Path, **parts: Any) -> None:
    """Write state dicts, counters and generators to `path`; an interrupted write leaves the former file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    torch.save(parts, partial)
    os.replace(partial, path)


def load_state(path: Path) -> Mapping[str, Any] | None:
    """What `save_state` wrote, on the CPU, or None where nothing was saved yet."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)
