"""Published weights of Wan transformers, from one file or many, under any of the known names."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .key_maps import to_original, without_unused
from .read import read_stored


def read_wan_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights under original names, in the file's dtype, on the CPU.

    path: as in `read.read_stored`. Raises FileNotFoundError for what is not there, ValueError for files that are no Wan
    transformer.
    """
    try:
        return without_unused(to_original(read_stored(path).tensors))
    except ValueError as error:
        raise ValueError(f"{path}: {error}" if str(path) not in str(error) else str(error)) from error
