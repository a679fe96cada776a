"""What lies in a file of weights, in the parts of a sharded one, or in a diffusers folder.

What a file is, is told by its first bytes and not by its name. Tensors come as the file stores them and are not read
before they are used: safetensors files and today's torch files are mapped into memory, so a model that takes them as
its parameters needs no second copy.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from .files import INDEX_SUFFIX, WeightsError, config_beside, files_of, naming, weight_map
from .gguf_file import read_gguf
from .safetensors_file import read_safetensors
from .torch_file import LEGACY_START, check_tensor, read_torch

# What training scripts keep their weights under, the averaged ones first (guandeh17/Self-Forcing: inference.py).
CAUSAL_PARTS = ("generator_ema", "generator")
PARTS = (*CAUSAL_PARTS, "generator_lora", "state_dict", "model", "module")
MAX_DEPTH = 4  # entries within entries
MAX_LISTED = 10
# First bytes of what is downloaded in place of weights.
NOT_WEIGHTS = {
    b"version https://git-lfs": "is a pointer of Git LFS and not the file itself; download the file",
    b"<": "is a web page and not the file itself; download the file",
    b"\x93NUMPY": "is a NumPy array, which names no tensors",
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

    path: a safetensors, torch or GGUF file, the index of a sharded one, or the folder of either; in a diffusers folder
    the subfolder `folder` is meant. shapes_only: tensors without their numbers (on the meta device), whatever their
    size. Raises FileNotFoundError for what is not there, WeightsError for files of another kind or broken ones,
    MemoryError for one that is larger than this machine can map, ImportError where a GGUF file needs its package.
    """
    path = Path(path)
    files = files_of(path, folder)
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    part = ""
    for file in files:
        found = _read_file(file, shapes_only)
        if twice := sorted(tensors.keys() & found.tensors.keys()):
            raise WeightsError(f"{file} holds {twice[0]}, which another part of these weights holds too")
        tensors |= found.tensors
        metadata |= found.metadata
        part = found.part
    if path.name.endswith(INDEX_SUFFIX) and (lacking := sorted(weight_map(path).keys() - tensors.keys())):
        raise WeightsError(f"{path} names {lacking[0]}, which none of its files holds; download all parts anew")
    return Stored(tensors, metadata, config_beside(files[0], path), part, tuple(files))


def read_any(source: str | Path, *, shapes_only: bool = False) -> Stored:
    """`read_stored` of a file, or of a folder: a transformer's where there is one, else a VAE's."""
    path = Path(source)
    lone_vae = path.is_dir() and not (path / "transformer").is_dir() and (path / "vae").is_dir()
    return read_stored(path, "vae" if lone_vae else "transformer", shapes_only=shapes_only)


def _read_file(file: Path, shapes_only: bool) -> Stored:
    with file.open("rb") as opened:
        start = opened.read(64)
    if not start:
        raise WeightsError(f"{file} is empty; download it anew")
    for mark, what in NOT_WEIGHTS.items():
        if start.lstrip().startswith(mark):
            raise WeightsError(f"{file} {what}")
    if start.startswith((b"PK", LEGACY_START)):
        return _torch_part(file, read_torch(file, shapes_only), shapes_only)
    with naming(file):
        read: Callable[[Path, bool], tuple[dict[str, Tensor], dict[str, str]]]
        read = read_gguf if start.startswith(b"GGUF") else read_safetensors
        return Stored(*read(file, shapes_only))


def _torch_part(file: Path, content: Any, shapes_only: bool) -> Stored:
    """The tensors of a torch file's content, at its top or in a known entry."""
    part = ""
    for _ in range(MAX_DEPTH):
        if not isinstance(content, dict):
            break
        name = next((name for name in PARTS if isinstance(content.get(name), dict)), None)
        if name is None:
            break
        content, part = content[name], part or name
    entries = content.items() if isinstance(content, dict) else ()
    tensors = {name: value for name, value in entries if isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{file} holds no tensors by name; it holds {_contents(content)}")
    with naming(file):
        for name, tensor in tensors.items():
            if not isinstance(name, str):
                raise ValueError(f"this file holds a tensor under {_short(name)}, which is no name")
            check_tensor(name, tensor, shapes_only)
    return Stored(tensors, part=part)


def _contents(content: Any) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    names = [_short(name) for name in list(content)[:MAX_LISTED]]
    more = len(content) - len(names)
    return (", ".join(names) or "nothing") + (f" and {more} more" if more else "")


def _short(key: Any) -> str:
    return f"{key:.40}" if isinstance(key, str) else f"{type(key).__name__} {reprlib.repr(key):.40}"
