"""`motionstream doctor`: what this machine has of all that the pack can use, and why not, in words."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

import av
import psutil
import torch

from ..demo.weights import BUNDLED
from ..entry import Command, one_line
from ..models.attention import Backend, why_unavailable
from ..options import why_not

NEEDED = (
    "torch",
    "numpy",
    "av",
    "pillow",
    "safetensors",
    "einops",
    "pydantic",
    "aiohttp",
    "psutil",
    "diffusers",
    "tqdm",
)
OPTIONAL = (
    "opencv-python-headless",
    "opencv-python",
    "transformers",
    "accelerate",
    "matplotlib",
    "tensorboard",
    "sentencepiece",
    "torchmetrics",
    "gguf",
    "c2pa-python",
    "ray",
    "fsspec",
)
VIDEO_ENCODERS = ("libx264",)
TEXT_WIDTH = 24


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `doctor` reads: nothing."""


def doctor(_args: argparse.Namespace) -> int:
    """`motionstream doctor`. The exit status is 1 where something is missing that every stream needs."""
    faults = 0
    for title, lines in (
        ("versions", _versions()),
        ("devices", _devices()),
        ("attention", _attention()),
        ("video encoders", _encoders()),
        ("folders", _folders()),
        ("memory", _memory()),
    ):
        print(f"{title}:")
        for name, text, is_fault in lines:
            faults += is_fault
            print(f"  {name:{TEXT_WIDTH}}{one_line(text)}{'  <- needed' if is_fault else ''}")
    return 1 if faults else 0


Line = tuple[str, str, bool]
"""Name, what there is, and whether that is a fault."""


def _versions() -> Iterator[Line]:
    yield "Python", f"{platform.python_version()} ({sys.executable})", False
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}", False
    for name in ("motionstream-comfyui", *NEEDED, *OPTIONAL):
        try:
            yield name, version(name), False
        except PackageNotFoundError:
            yield name, "not installed", name in NEEDED


def _devices() -> Iterator[Line]:
    threads = torch.get_num_threads()
    yield "cpu", f"{psutil.cpu_count(logical=False) or os.cpu_count()} cores, {threads} threads of torch", False
    reason = why_not("cuda")
    if reason is not None:
        yield "cuda", f"not available: {reason}", False
    else:
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            yield (
                f"cuda:{index}",
                f"{torch.cuda.get_device_name(index)}, {_gib(free)} free of {_gib(total)}, "
                f"compute capability {'.'.join(map(str, torch.cuda.get_device_capability(index)))}, "
                f"CUDA {torch.version.cuda}, bf16 {'yes' if torch.cuda.is_bf16_supported() else 'no'}",
                False,
            )
    reason = why_not("mps")
    yield "mps", "available" if reason is None else f"not available: {reason}", False


def _attention() -> Iterator[Line]:
    for backend in get_args(Backend):
        if backend != "auto":
            reason = why_unavailable(backend)
            yield backend, "available" if reason is None else f"not available: {reason}", False


def _encoders() -> Iterator[Line]:
    for name in VIDEO_ENCODERS:
        try:
            av.CodecContext.create(name, "w")
            yield name, f"available (PyAV {av.__version__})", False
        except Exception as error:  # PyAV has several kinds for one that was not built in
            yield name, f"not available: {type(error).__name__}: {error}", True


def _folders() -> Iterator[Line]:
    for name, path in BUNDLED.items():
        there = path.is_file()
        yield name, f"{path} ({path.stat().st_size / 2**20:.1f} MiB)" if there else f"{path} is missing", not there
    yield "outputs", _writable(Path("outputs").absolute()), False


def _writable(folder: Path) -> str:
    """Whether `folder`, or the nearest one above that is there, can be written, and how much room it has."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    room = _gib(shutil.disk_usage(there).free)
    if not (there.is_dir() and os.access(there, os.W_OK)):
        return f"{folder}: cannot be written"
    return f"{folder} ({'there' if there == folder else 'made when it is needed'}, {room} free)"


def _memory() -> Iterator[Line]:
    memory = psutil.virtual_memory()
    yield "free", f"{_gib(memory.available)} of {_gib(memory.total)}", False
    swap = psutil.swap_memory()
    yield "swap", f"{_gib(swap.free)} of {_gib(swap.total)}", False


def _gib(num_bytes: int) -> str:
    return f"{num_bytes / 2**30:.1f} GiB"


COMMAND = Command(
    "Versions, devices, attention backends and why one is not available, encoders, folders, free memory.",
    add_options,
    doctor,
)
