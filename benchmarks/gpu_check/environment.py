"""Part 1: versions, the device and its rates, attention backends, and why others are absent."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measure.machine import device_about, versions
from benchmarks.measure.timing import copy_rate, matrix_rate, median_ms
from motionstream_core.models.attention import available_backends, why_unavailable

from .record import Record

PART = "environment"
KERNELS = ("FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION")
# heads, head dim, queries, keys of one layer
SHAPES = {
    "self-attention, 1.3B 832x480": (12, 128, 4680, 14040),
    "text, 1.3B 832x480": (12, 128, 4680, 512),
    "self-attention, 5B 1280x704": (24, 128, 2640, 7920),
}


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    record.tell(PART, "versions", versions())
    record.tell(PART, "device", device_about(device))
    backends = {name: why_unavailable(name) or "available" for name in ("flash3", "flash2")}
    record.tell(PART, "attention backends", backends | {"automatic": available_backends(device)[0]})
    _rates(record, device, tiny)
    for name, shape in SHAPES.items():
        _attention(record, device, name, (2, 32, 64, 96) if tiny else shape)


def _rates(record: Record, device: torch.device, tiny: bool) -> None:
    with record.checking(PART, "rates"):
        record.tell(PART, "bf16 matrix product TFLOP/s", round(matrix_rate(device, 64 if tiny else 8192), 1))
        record.tell(PART, "memory TB/s", round(copy_rate(device, 2**12 if tiny else 2**31), 3))


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
