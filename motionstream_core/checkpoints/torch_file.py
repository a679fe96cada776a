"""Torch files (.pt, .pth, .ckpt, .bin): opened so that none of their code runs, and measured before that.

A torch file is a pickle with numbers beside it. Opened with weights_only=True it runs no code, yet a small one may ask
for any amount of memory or time: so it is not unpacked, its pickle is walked before it is read (`pickle_scan`), and no
tensor may be larger than what the file stores of it.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .files import WeightsError
from .pickle_scan import scan_pickles

LEGACY_START = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the magic number that torch wrote before it took to zip
LEGACY_PICKLES = 5  # magic number, protocol, system, content, names of the storages; then the numbers
MAX_PICKLE_BYTES = 16 * 2**20  # 1300 tensors take 0.2 MB
SAFE = "get the file as safetensors, or from its publisher anew"


def read_torch(path: Path, shapes_only: bool) -> Any:
    """What the file holds. shapes_only: tensors on the meta device. Raises WeightsError."""
    if path.suffix == ".safetensors":  # torch goes by that name, and gives the file to another reader
        raise WeightsError(f"{path} is a torch file by what it holds; rename it to .pt")
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    try:
        scan_pickles(*((_zipped_pickle(path), 1) if zipped else (_legacy_pickles(path), LEGACY_PICKLES)))
    except (ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise WeightsError(f"{path} is no torch file, or it was cut off: {error}") from None
    mapped = zipped and not shapes_only
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own, on protocols
            content = torch.load(path, map_location="meta" if shapes_only else "cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, LookupError, AttributeError, TypeError) as error:
        raise WeightsError(f"{path} {_why(error)}") from None
    except (ValueError, MemoryError, OverflowError, RecursionError, AssertionError) as error:
        raise WeightsError(f"{path} is broken: reading it fails with a {type(error).__name__}; {SAFE}") from None
    return content


def check_tensor(name: str, tensor: Tensor, shapes_only: bool) -> None:
    """Raises ValueError for a tensor of another form than numbers in a row that the file stores."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta != shapes_only:
        raise ValueError(f"{name} is a sparse, quantised or empty tensor, which is not read")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise ValueError(f"{name} is {tuple(tensor.shape)}, which is more than the file stores of it")


def _zipped_pickle(path: Path) -> bytes:
    """The pickle of a zipped torch file. Raises ValueError for an archive that grows when it is unpacked."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        unpacked, size = sum(entry.file_size for entry in entries), path.stat().st_size
        if unpacked > size:
            raise ValueError(f"unpacked it would take {unpacked} bytes, and it has {size}")
        names = [entry for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
        if len(names) != 1:
            raise ValueError("it is a zip archive of something else; unpack it")
        if any(entry.filename.rpartition("/")[2] == "constants.pkl" for entry in entries):
            raise ValueError(f"it is a TorchScript program and not weights alone; {SAFE}")
        if names[0].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its table of contents has {names[0].file_size} bytes")
        return archive.read(names[0])


def _legacy_pickles(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_PICKLE_BYTES)


def _why(error: Exception) -> str:
    """Why torch does not open a file, without its advice to open it all the same."""
    text = str(error)
    if found := re.search(r"GLOBAL ([\w.]+)", text):
        return f"holds more than tensors: it would run {found[1]} when opened, so it is not opened; {SAFE}"
    if isinstance(error, pickle.UnpicklingError):
        return f"holds more than tensors, so it is not opened; {SAFE}"
    return f"is broken or was cut off ({text.partition('. ')[0][:120] or 'it ends too early'}); {SAFE}"
