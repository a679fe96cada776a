"""Published weights of Wan transformers, from one safetensors file or many, under any of the known names."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from .key_maps import to_original

INDEX_SUFFIX = ".safetensors.index.json"


def read_wan_weights(path: str | Path) -> dict[str, Tensor]:
    """Weights under original names, in the file's dtype, on the CPU.

    path: a safetensors file, the index of a sharded one, or the folder of either (a diffusers folder's `transformer`
    is found). Raises FileNotFoundError for what is not there, ValueError for files that are no Wan transformer.
    """
    path = Path(path)
    weights: dict[str, Tensor] = {}
    for file in _files(path):
        weights |= _read(file)
    try:
        return to_original(weights)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _files(path: Path) -> list[Path]:
    """The safetensors files that make up the weights at `path`."""
    if path.is_dir():
        return _files_of_folder(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    return _files_of_index(path) if path.name.endswith(INDEX_SUFFIX) else [path]


def _files_of_folder(folder: Path) -> list[Path]:
    if (folder / "transformer").is_dir():
        return _files_of_folder(folder / "transformer")
    indices, files = sorted(folder.glob(f"*{INDEX_SUFFIX}")), sorted(folder.glob("*.safetensors"))
    if len(indices) == 1:
        return _files_of_index(indices[0])
    if not indices and len(files) == 1:
        return files
    found = ", ".join(file.name for file in [*indices, *files]) or "none"
    raise FileNotFoundError(
        f"{folder} holds no single safetensors file and no single index ({found}); name the file that is meant"
    )


def _files_of_index(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of sharded weights: {error!r}") from error
    for name in names:
        if Path(name).name != name:
            raise ValueError(f"{index} names {name!r}, which is not a file beside it")
        if not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index} names {name}, which is not there; download all parts")
    return [index.parent / name for name in names]


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
