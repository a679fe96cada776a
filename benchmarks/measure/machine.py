"""What a benchmark ran on: versions, the commit, the device and its rates."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch

from .timing import GIB

PACKAGES = (
    "triton",
    "einops",
    "safetensors",
    "pillow",
    "numpy",
    "diffusers",
    "av",
    "flash-attn",
    "torchao",
    "pydantic",
)


def versions() -> dict[str, str]:
    """Of Python, PyTorch, the packages that matter, and of this tree."""
    found = {"python": platform.python_version(), "torch": torch.__version__, "cuda": str(torch.version.cuda)}
    if torch.backends.cudnn.is_available():
        found["cudnn"] = str(torch.backends.cudnn.version())
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found | {"commit": _commit()}


def _commit() -> str:
    """The tree's, with a plus where files differ from it."""
    root = Path(__file__).parents[2]
    try:
        told = [
            subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except OSError:  # no git here
        return "unknown"
    return told[0] + "+" * bool(told[1]) or "unknown"


def device_about(device: torch.device) -> dict[str, object]:
    """Its name and size."""
    if device.type != "cuda":
        return {"name": _processor(), "threads": torch.get_num_threads()}
    about = torch.cuda.get_device_properties(device)
    return {
        "name": about.name,
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "memory GiB": round(about.total_memory / GIB, 1),
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text("utf-8").splitlines() if about.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
