"""Milliseconds on whichever device, medians, peaks of memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

GIB = 2.0**30


def settle(device: torch.device) -> None:
    """Wait until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(device: torch.device, run: Callable[[], object]) -> float:
    """Of one run, from an idle device to an idle device."""
    settle(device)
    start = time.perf_counter()
    run()
    settle(device)
    return time.perf_counter() - start


def median_ms(device: torch.device, run: Callable[[], object], repeats: int = 10, warm: int = 3) -> float:
    """The median of several runs after some that do not count."""
    for _ in range(warm):
        run()
    return round(statistics.median(seconds(device, run) for _ in range(repeats)) * 1e3, 4)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile, in three digits after the point."""
    ordered = sorted(values)
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return {"median": round(statistics.median(ordered), 3), "p95": round(p95, 3)}


def forget_peak(device: torch.device) -> None:
    """The peak of memory is counted from here."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gib(device: torch.device) -> float | None:
    """GPU memory at its peak since `forget_peak`; None on the CPU, where nothing counts it."""
    return round(torch.cuda.max_memory_allocated(device) / GIB, 2) if device.type == "cuda" else None


def matrix_rate(device: torch.device, side: int) -> float:
    """TFLOP/s of a product of two square bf16 matrices: what the rest is measured against."""
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    return 2 * side**3 / median_ms(device, lambda: matrix @ matrix) / 1e9
