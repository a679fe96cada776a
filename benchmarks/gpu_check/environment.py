"""Part 1: versions, the device and its rates, attention backends, and why others are absent."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from motionstream_core.models.attention import available_backends, why_unavailable

from .record import Record
from .timing import GIB, matrix_rate, median_ms

PART = "environment"
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
KERNELS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")
# heads, head dim, queries, keys of one layer
SHAPES = {
    "self-attention, 1.3B 832x480": (12, 128, 4680, 14040),
    "text, 1.3B 832x480": (12, 128, 4680, 512),
    "self-attention, 5B 1280x704": (24, 128, 2640, 7920),
}


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    record.tell(PART, "versions", _versions())
    record.tell(PART, "device", _device(device))
    backends = {name: why_unavailable(name) or "available" for name in ("flash3", "flash2")}
    record.tell(PART, "attention backends", backends | {"automatic": available_backends(device)[0]})
    _rates(record, device, tiny)
    for name, shape in SHAPES.items():
        _attention(record, device, name, (2, 32, 64, 96) if tiny else shape)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "torch": torch.__version__, "cuda": str(torch.version.cuda)}
    if torch.backends.cudnn.is_available():
        found["cudnn"] = str(torch.backends.cudnn.version())
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    root = Path(__file__).parents[2]
    try:
        told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
        found["commit"] = told.stdout.strip() or "unknown"
    except OSError:  # no git here
        found["commit"] = "unknown"
    return found


def _device(device: torch.device) -> dict[str, object]:
    if device.type != "cuda":
        return {"name": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    about = torch.cuda.get_device_properties(device)
    return {
        "name": about.name,
        "capability": f"{about.major}.{about.minor}",
        "multiprocessors": about.multi_processor_count,
        "memory GiB": round(about.total_memory / GIB, 1),
    }


def _rates(record: Record, device: torch.device, tiny: bool) -> None:
    with record.checking(PART, "rates"):
        record.tell(PART, "bf16 matrix product TFLOP/s", round(matrix_rate(device, 64 if tiny else 8192), 1))
        source = torch.empty(2**12 if tiny else 2**31, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copied = median_ms(device, lambda: target.copy_(source))
        record.tell(PART, "memory TB/s", round(2 * source.numel() / copied / 1e9, 3))


def _attention(record: Record, device: torch.device, name: str, shape: tuple[int, int, int, int]) -> None:
    """Time and rate of each kernel that PyTorch has for this shape."""
    heads, width, queries, keys = shape
    q, k, v = (
        torch.randn(1, heads, tokens, width, device=device, dtype=torch.bfloat16) for tokens in (queries, keys, keys)
    )
    tflop = 4 * queries * keys * width * heads / 1e12

    def attend() -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v)

    def told(kernel: str) -> None:
        ms = median_ms(device, attend)
        record.tell(PART, f"{name}: {kernel}", {"ms": ms, "TFLOP/s": round(tflop / ms * 1e3, 1)})

    told("PyTorch's choice")
    for kernel in KERNELS:
        try:
            with sdpa_kernel(getattr(SDPBackend, kernel)):
                told(kernel)
        except RuntimeError as error:  # what this device does not have is a fact, not a fault
            record.tell(PART, f"{name}: {kernel}", f"absent: {str(error).splitlines()[0]}")
