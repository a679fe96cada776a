"""Published weights of Wan transformers, from one file or many, under any of the known names."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from .components import transformer_of
from .files import naming
from .key_maps import to_original, without_unused
from .read import read_stored


def read_wan_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights under original names, in the file's dtype, on the CPU.

    path: as in `read.read_stored`. Raises FileNotFoundError for what is not there, WeightsError for files that are no
    Wan transformer.
    """
    with naming(path):
        return without_unused(to_original(transformer_of(read_stored(path)).tensors))
