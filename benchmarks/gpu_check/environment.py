"""Part 1: versions, the device and its rates, products, attention backends, and why others are absent."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.measure.machine import device_about, versions
from benchmarks.measure.timing import copy_rate, matrix_rate, median_ms
from motionstream_core.models.attention import available_backends, why_unavailable
from motionstream_core.models.fp8 import Fp8Linear, require_fp8, rounded

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
    _products(record, device, tiny)
    for name, shape in SHAPES.items():
        _attention(record, device, name, (2, 32, 64, 96) if tiny else shape)


def _rates(record: Record, device: torch.device, tiny: bool) -> None:
    with record.checking(PART, "rates"):
        record.tell(PART, "bf16 matrix product TFLOP/s", round(matrix_rate(device, 64 if tiny else 8192), 1))
        record.tell(PART, "memory TB/s", round(copy_rate(device, 2**12 if tiny else 2**31), 3))


def _products(record: Record, device: torch.device, tiny: bool) -> None:
    """A block's products with a chunk's tokens at 1.3B 832x480: in bf16, in fp8 and the rounding for it, unfused."""
    tokens, dim, ffn = (32, 32, 48) if tiny else (4680, 1536, 8960)
    matrices = {"q": (dim, dim), "q, k, v at once": (dim, 3 * dim), "into ffn": (dim, ffn), "out of ffn": (ffn, dim)}
    for name, sizes in matrices.items():
        with record.checking(PART, f"product, {name}"):
            record.tell(PART, f"product, {name}", _product(device, tokens, *sizes))


def _product(device: torch.device, tokens: int, inner: int, columns: int) -> dict[str, float | str]:
    linear = nn.Linear(inner, columns, device=device, dtype=torch.bfloat16).requires_grad_(False)
    x = torch.randn(1, tokens, inner, device=device, dtype=torch.bfloat16)
    told: dict[str, float | str] = {"bf16 ms": median_ms(device, partial(linear, x))}
    try:
        require_fp8(device, torch.bfloat16)
    except ValueError as error:
        return told | {"fp8": str(error)}
    fp8 = median_ms(device, partial(Fp8Linear(linear), x))
    return told | {"fp8 ms": fp8, "of it rounding ms": median_ms(device, partial(rounded, x[0]))}


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
