"""GGUF files."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor


def read_gguf(path: Path, shapes_only: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Raises ValueError: not read yet."""
    raise ValueError(
        "this is a GGUF file, whose quantised weights are not read here; take the same model as safetensors in fp8 "
        "or fp16"
    )
