"""Milliseconds on whichever device, medians, peaks of memory."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

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


def peak_gib(device: torch.device) -> float:
    """GPU memory at its peak since `forget_peak`; on the CPU all that this process ever held."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / GIB, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 2**10 / GIB, 2)


def matrix_rate(device: torch.device, side: int, dtype: torch.dtype = torch.bfloat16) -> float:
    """TFLOP/s of a product of two square matrices: what the rest is measured against."""
    return product_rate(device, (side, side, side), dtype)


def product_rate(device: torch.device, sizes: tuple[int, int, int], dtype: torch.dtype) -> float:
    """TFLOP/s of a matrix product of (rows, inner, columns), as a linear layer computes it."""
    rows, inner, columns = sizes
    given = torch.randn(rows, inner, device=device, dtype=dtype)
    weight = torch.randn(columns, inner, device=device, dtype=dtype)
    return 2 * rows * inner * columns / median_ms(device, lambda: given @ weight.T) / 1e9


def copy_rate(device: torch.device, num_bytes: int) -> float:
    """TB/s of a copy within the device's memory, reading and writing counted."""
    source = torch.empty(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / median_ms(device, lambda: target.copy_(source)) / 1e9


class Clock:
    """Milliseconds by the device's own clock, so that nothing is waited for in between; an `Instrument`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def read(self) -> Any:
        """A moment."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, begun: Any, ended: Any) -> float:
        """Milliseconds between two moments."""
        if self._device.type != "cuda":
            return (ended - begun) * 1e3
        ended.synchronize()
        return begun.elapsed_time(ended)
