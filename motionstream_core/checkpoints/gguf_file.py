"""GGUF files: quantised weights, multiplied out as they are read.

Their layout is read here, since its counts and lengths are to be believed only as far as the file reaches; what the
blocks of each quantisation mean is known to the package gguf, which is imported where a file needs it. Sources:
ggml-org/ggml: docs/gguf.md; city96/ComfyUI-GGUF, whose files keep the shape of what GGUF cannot hold beside it.
"""

from __future__ import annotations

import importlib
import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .files import check_count
from .ranges import short
from .scaled import COMPUTED

VERSIONS = (2, 3)
ALIGNMENT_KEY, ALIGNMENT = "general.alignment", 32
SHAPE_KEY = "comfy.gguf.orig_shape."
MAX_HEADER_BYTES = 16 * 2**20  # a Wan has 0.1 MB
FEWEST_BITS = 1  # of a number, in any quantisation
MAX_AXES = 8
STRING, ARRAY = 8, 9
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
# Types of tensors that are numbers as they stand; all others are blocks of a quantisation.
PLAIN = {0: torch.float32, 1: torch.float16, 24: torch.int8, 25: torch.int16, 26: torch.int32, 27: torch.int64}
PLAIN |= {28: torch.float64, 30: torch.bfloat16}


@dataclass(frozen=True)
class _Entry:
    """A tensor as the header tells of it; offset: of its numbers, from the file's beginning."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def read_gguf(path: Path, shapes_only: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors, quantised ones as bfloat16, and no metadata.

    Raises ValueError for a broken file or a quantisation that is not known, ImportError where the package is needed and
    is not there.
    """
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # torch wants memory that may be written to
    entries = list(_Header(data).entries())
    if shapes_only:
        return {each.name: torch.empty(each.shape, dtype=_dtype(each), device="meta") for each in entries}, {}
    return {each.name: _tensor(path, data, each) for each in entries}, {}


class _Header:
    """Reads on from the beginning of a file, never past its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data, self.position = data, len(b"GGUF")
        self.limit = min(len(data), MAX_HEADER_BYTES)

    def entries(self) -> Iterator[_Entry]:
        version = self.number("I")
        if version not in VERSIONS:
            raise ValueError(f"this GGUF file is of version {version}; read are {' and '.join(map(str, VERSIONS))}")
        num_tensors, num_fields = self.number("Q"), self.number("Q")
        check_count(num_tensors)
        fields: dict[str, Any] = {}
        for _ in range(num_fields):
            name = self.text()
            fields[name] = self.value(self.number("I"))
        found = []
        for _ in range(num_tensors):
            name, num_axes = self.text(), self.number("I")
            if num_axes > MAX_AXES:
                raise ValueError(f"this GGUF file is broken: {short(name)} has {num_axes} axes")
            shape = tuple(self.number("Q") for _ in range(num_axes))[::-1]
            found.append((name, fields.get(SHAPE_KEY + name, shape), shape, self.number("I"), self.number("Q")))
        step = fields.get(ALIGNMENT_KEY, ALIGNMENT)
        if type(step) is not int or not 1 <= step <= 2**16:
            raise ValueError(f"this GGUF file is broken: its alignment is {short(step)}")
        start = -(-self.position // step) * step
        for name, shape, stored, kind, offset in found:
            whole = isinstance(shape, tuple) and all(type(size) is int and size >= 0 for size in shape)
            if not whole or math.prod(shape) != math.prod(stored):
                raise ValueError(
                    f"this GGUF file is broken: {short(name)} is said to be {short(shape)}, and is {stored}"
                )
            entry = _Entry(name, shape, kind, start + offset)
            _check_reaches(self.data, entry, math.prod(shape) * FEWEST_BITS // 8)
            yield entry

    def number(self, code: str) -> Any:
        return self.numbers(code, 1)[0]

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        start = self.skip(count * struct.calcsize("<" + code))
        return struct.unpack_from(f"<{count}{code}", self.data, start)

    def text(self) -> str:
        length = self.number("Q")
        start = self.skip(length)
        return self.data[start : start + length].decode("utf-8")

    def skip(self, count: int) -> int:
        """Go on by so many bytes; returns where they begin."""
        start = self.position
        if count > self.limit - start:
            raise ValueError("this GGUF file is broken or was cut off: its header reaches past its end")
        self.position += count
        return start

    def value(self, kind: int) -> Any:
        """A field's value; short lists of numbers come as tuples, other lists as nothing."""
        if kind == STRING:
            return self.text()
        if kind in SCALARS:
            return self.number(SCALARS[kind])
        if kind != ARRAY:
            raise ValueError(f"this GGUF file is broken: a field has the type {kind}")
        inner, count = self.number("I"), self.number("Q")
        if inner in SCALARS and count <= MAX_AXES:
            return self.numbers(SCALARS[inner], count)
        if inner in SCALARS:
            self.skip(count * struct.calcsize("<" + SCALARS[inner]))
            return None
        if inner != STRING:
            raise ValueError(f"this GGUF file is broken: a list has the type {inner}")
        for _ in range(count):
            self.skip(self.number("Q"))
        return None


def _dtype(entry: _Entry) -> torch.dtype:
    return PLAIN.get(entry.kind, COMPUTED)


def _tensor(path: Path, data: mmap.mmap, entry: _Entry) -> Tensor:
    count = math.prod(entry.shape)
    if entry.kind in PLAIN:
        dtype = PLAIN[entry.kind]
        _check_reaches(data, entry, count * dtype.itemsize)
        if not count:
            return torch.empty(entry.shape, dtype=dtype)
        return torch.frombuffer(data, dtype=dtype, count=count, offset=entry.offset).reshape(entry.shape)
    try:
        gguf, quants = importlib.import_module("gguf"), importlib.import_module("gguf.quants")
    except ImportError as error:
        raise ImportError(
            f"{path}: its weights are quantised, which needs the package 'gguf' (pip install gguf); or take the same "
            "model as safetensors in fp8 or fp16"
        ) from error
    try:
        kind = gguf.GGMLQuantizationType(entry.kind)
        numbers_a_block, bytes_a_block = gguf.GGML_QUANT_SIZES[kind]
        num_bytes = count // numbers_a_block * bytes_a_block
        _check_reaches(data, entry, num_bytes)
        blocks = torch.frombuffer(data, dtype=torch.uint8, count=num_bytes, offset=entry.offset)
        numbers = quants.dequantize(blocks.reshape(-1, bytes_a_block).numpy(), kind)
    except (KeyError, NotImplementedError):
        raise ValueError(f"{entry.name} is quantised in a way (type {entry.kind}) that is not known") from None
    if numbers.size != count:
        raise ValueError(f"{entry.name} is {entry.shape}, which is no whole number of blocks of {numbers_a_block}")
    return torch.from_numpy(numbers).to(COMPUTED).reshape(entry.shape)


def _check_reaches(data: mmap.mmap, entry: _Entry, num_bytes: int) -> None:
    if entry.offset + num_bytes > len(data):
        raise ValueError(f"this GGUF file was cut off: {short(entry.name)} reaches past its end")
