"""Safetensors files: mapped into memory, or their header alone."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .files import check_count

MAX_HEADER_BYTES = 32 * 2**20  # 1300 tensors take 0.2 MB; some keep a whole workflow or a tag list beside
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


def read_safetensors(path: Path, shapes_only: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata. Raises ValueError for a broken file, MemoryError for one too large to map."""
    _check_header(path)
    try:
        # torch maps the file as memory of its own, which a small machine refuses; numpy looks at its header alone
        with safe_open(str(path), framework="np" if shapes_only else "pt") as file:
            names = list(file.keys())
            check_count(len(names))
            tensors = {name: _shape_of(file, name) if shapes_only else file.get_tensor(name) for name in names}
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"this is no safetensors file, or it was cut off: {error}") from None
    except RuntimeError as error:
        raise MemoryError(f"{path} is larger than this machine's memory can map: {error}") from error


def _check_header(path: Path) -> None:
    """Raises ValueError where the header says that it is longer than any header, or than the file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
    length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
    if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
        raise ValueError("this is no safetensors file, nor a torch or GGUF file, or it was cut off")


def _shape_of(file: Any, name: str) -> Tensor:
    found = file.get_slice(name)
    kind = found.get_dtype()
    if kind not in DTYPES:
        raise ValueError(f"{name} is stored as {kind}, which is not read here; known are {', '.join(DTYPES)}")
    return torch.empty(found.get_shape(), dtype=DTYPES[kind], device="meta")
