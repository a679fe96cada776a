"""How results are stored: one JSON file per experiment, with all that is needed to read and to repeat it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from motionstream_core.files import write_text

HARDWARE = "one CPU core, bf16"
DIGITS = 5  # significant ones; the rest is noise


def made_with(weights: Path) -> dict[str, str]:
    """Hardware, PyTorch, and the beginnings of the SHA-256 of the bundled weights that everything starts from."""
    names = ("teacher", "student", "tiny_vae")
    hashes = [hashlib.sha256((weights / f"{name}.safetensors").read_bytes()).hexdigest()[:8] for name in names]
    version = torch.__version__.split("+")[0]
    return {"hardware": HARDWARE, "torch": version, "weights_sha256": " ".join(hashes)}


def store(
    folder: Path,
    experiment: str,
    rows: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
    maker: Mapping[str, str],
) -> Path:
    """Write `folder`/`experiment`.json whole; every row is a flat mapping, numbers are rounded."""
    value = {
        "experiment": experiment,
        "command": f"python -m experiments {experiment}",
        "made_with": dict(maker),
        "settings": dict(settings),
        "rows": [_rounded(row) for row in rows],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{experiment}.json"
    write_text(path, json.dumps(value, indent=1) + "\n")
    return path


def read(folder: Path, experiment: str) -> dict[str, Any] | None:
    """What `store` wrote, or None where that experiment has not been run."""
    path = folder / f"{experiment}.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def _rounded(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # nothing could be measured, or a perfect copy's PSNR: no number either way
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
