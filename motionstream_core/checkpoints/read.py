"""What lies in a file of weights, in the parts of a sharded one, or in a diffusers folder.

Tensors come as the file stores them and are not read before they are used: safetensors files and today's torch files
are mapped into memory, so a model that takes them as its parameters needs no second copy. Torch files are opened with
weights_only=True, which runs none of their code.
"""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

INDEX_SUFFIX = ".safetensors.index.json"
TORCH_SUFFIXES = (".pt", ".pth", ".ckpt")
WHERE = "docs/models.md says where published weights are found and where they belong"
# What training scripts keep their weights under, the averaged ones first (guandeh17/Self-Forcing: inference.py).
CAUSAL_PARTS = ("generator_ema", "generator")
PARTS = (*CAUSAL_PARTS, "state_dict", "model", "module")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True)
class Stored:
    """Tensors by their stored names, and what the file says beside them.

    metadata: of a safetensors file. config: the config.json beside the weights, {} without one. part: the entry of a
    torch file that the tensors were taken from, "" where they lie at its top. files: what was read.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    part: str = ""
    files: tuple[Path, ...] = ()

    @property
    def num_bytes(self) -> int:
        """Size of the tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())


def read_stored(path: str | Path, folder: str = "transformer", *, shapes_only: bool = False) -> Stored:
    """Everything at `path`.

    path: a safetensors or torch file, the index of a sharded one, or the folder of either; in a diffusers folder the
    subfolder `folder` is meant. shapes_only: tensors without their numbers (on the meta device), whatever their size.
    Raises FileNotFoundError for what is not there, ValueError for files of another kind, MemoryError for one that is
    larger than this machine can map.
    """
    path = Path(path)
    files = _files(path, folder)
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    part = ""
    for file in files:
        read = _read_torch if file.suffix in TORCH_SUFFIXES else _read_safetensors
        found = read(file, shapes_only)
        tensors |= found.tensors
        metadata |= found.metadata
        part = found.part
    return Stored(tensors, metadata, _config_beside(files[0], path), part, tuple(files))


def _config_beside(file: Path, path: Path) -> dict[str, Any]:
    """The config.json in the weights' folder, where the folder or its index was named; {} otherwise.

    A lone file that was named may lie among others that the config.json does not speak of, unless it bears diffusers'
    own file name.
    """
    config = file.parent / "config.json"
    meant = path.is_dir() or path.name.endswith(INDEX_SUFFIX) or file.name == "diffusion_pytorch_model.safetensors"
    if not meant or not config.is_file():
        return {}
    try:
        content = json.loads(config.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{config} is no JSON: {error}") from error
    return content if isinstance(content, dict) else {}


def _files(path: Path, folder: str) -> list[Path]:
    """The files that make up the weights at `path`."""
    if path.is_dir():
        return _files_of_folder(path, folder)
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}; {WHERE}")
    return _files_of_index(path) if path.name.endswith(INDEX_SUFFIX) else [path]


def read_any(source: str | Path, *, shapes_only: bool = False) -> Stored:
    """`read_stored` of a file, or of a folder: a transformer's where there is one, else a VAE's."""
    path = Path(source)
    lone_vae = path.is_dir() and not (path / "transformer").is_dir() and (path / "vae").is_dir()
    return read_stored(path, "vae" if lone_vae else "transformer", shapes_only=shapes_only)


def _files_of_folder(path: Path, folder: str) -> list[Path]:
    if (path / folder).is_dir():
        return _files_of_folder(path / folder, folder)
    indices, files = sorted(path.glob(f"*{INDEX_SUFFIX}")), sorted(path.glob("*.safetensors"))
    if len(indices) == 1:
        return _files_of_index(indices[0])
    if not indices and len(files) == 1:
        return files
    found = ", ".join(file.name for file in [*indices, *files]) or "none"
    raise FileNotFoundError(
        f"{path} holds no single safetensors file and no single index ({found}); name the file that is meant"
    )


def _files_of_index(index: Path) -> list[Path]:
    try:
        names = list(dict.fromkeys(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index} is no index of sharded weights: {error!r}") from error
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"{index} names {name!r}; it must be a file's name")
        if Path(name).name != name:
            raise ValueError(f"{index} names {name!r}, which is not a file beside it")
        if not (index.parent / name).is_file():
            raise FileNotFoundError(f"{index} names {name}, which is not there; download all parts")
    return [index.parent / name for name in names]


def _read_safetensors(path: Path, shapes_only: bool) -> Stored:
    try:
        # torch maps the file as memory of its own, which a small machine refuses; numpy looks at its header alone
        with safe_open(str(path), framework="np" if shapes_only else "pt") as file:
            tensors = {
                name: _shape_of(file, name) if shapes_only else file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
            }
            return Stored(tensors, file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error
    except RuntimeError as error:
        raise MemoryError(f"{path} is larger than this machine's memory can map: {error}") from error


def _shape_of(file: Any, name: str) -> Tensor:
    found = file.get_slice(name)
    kind = found.get_dtype()
    if kind not in DTYPES:
        raise ValueError(f"{name} is stored as {kind}, which is not read here; known are {', '.join(DTYPES)}")
    return torch.empty(found.get_shape(), dtype=DTYPES[kind], device="meta")


def _read_torch(path: Path, shapes_only: bool) -> Stored:
    device, mapped = ("meta", False) if shapes_only else ("cpu", is_zipfile(path))
    try:
        content = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, AttributeError, TypeError) as error:
        raise ValueError(f"{path} is no torch file of plain tensors: {error}") from error
    tensors, part = _tensors_of(content, "")
    if not tensors:
        keys = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{path} holds no tensors by name; it holds {keys}")
    return Stored(tensors, part=part)


def _tensors_of(content: Any, part: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a torch file's content, and which of its entries they are; ({}, part) without any."""
    if not isinstance(content, dict):
        return {}, part
    for name in PARTS:
        if isinstance(content.get(name), dict):
            return _tensors_of(content[name], part or name)
    return {name: value for name, value in content.items() if isinstance(value, Tensor)}, part
