"""Part 5: a profiler's trace of three chunks, where the host waits for the device, and which kernels take the time."""

from __future__ import annotations

import gzip
import shutil
import warnings
from collections import Counter
from pathlib import Path

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure.models import opened, preset_spec, random_stream, tiny_vae
from benchmarks.measure.timing import settle

from .record import Record

PART = "trace"
CHUNKS, WARM_CHUNKS = 3, 3
KERNELS = 40
LARGEST_BYTES = 50 * 2**20


@torch.inference_mode()
def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    spec, num_chunks = preset_spec("wan2.1-1.3b", tiny), WARM_CHUNKS + CHUNKS + 1
    stream = random_stream(spec, tiny_vae(spec, tiny).to(device), device, torch.bfloat16, num_chunks)
    chunks = opened(stream, num_chunks)
    for _ in range(WARM_CHUNKS):
        next(chunks)
    settle(device)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as profiled:
        for _ in range(CHUNKS):
            next(chunks).frames.cpu()
        settle(device)
    on_device = device.type == "cuda"
    counted = DeviceType.CUDA if on_device else DeviceType.CPU  # a kernel's time is told of its operator once more
    averages = [row for row in profiled.key_averages() if row.device_type == counted]
    rows = sorted(averages, key=lambda row: -_self_us(row, on_device))
    total = sum(_self_us(row, on_device) for row in rows)
    record.tell(PART, "ms a chunk in kernels", round(total / CHUNKS / 1e3, 3))
    for row in rows[:KERNELS]:
        taken = _self_us(row, on_device) / CHUNKS / 1e3
        told = {"ms a chunk": round(taken, 3), "calls a chunk": round(row.count / CHUNKS, 1)}
        record.tell(PART, row.key[:90], told)
    with record.checking(PART, "trace file"):
        record.tell(PART, "trace file", _written(profiled, record.folder / "trace.json.gz"))
    if on_device:
        with record.checking(PART, "waiting for the device"):
            record.tell(PART, "waiting for the device, in one chunk", _waits(chunks))


def _self_us(row: object, on_device: bool) -> float:
    return getattr(row, "self_device_time_total" if on_device else "self_cpu_time_total")


def _written(profiled: profile, path: Path) -> str:
    """Where the trace is, or why it is not kept."""
    raw = path.with_suffix("")
    profiled.export_chrome_trace(str(raw))
    with raw.open("rb") as source, gzip.open(path, "wb", compresslevel=6) as target:
        shutil.copyfileobj(source, target)
    raw.unlink()
    size = path.stat().st_size
    if size > LARGEST_BYTES:
        path.unlink()
        return f"not kept: {size / 2**20:.0f} MiB"
    return f"{path.name}, {size / 2**20:.1f} MiB"


def _waits(chunks: object) -> dict[str, int]:
    """Lines of code at which the host waits, and how often, from one chunk to the next."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            next(chunks)  # type: ignore[call-overload]  # an iterator
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return dict(Counter(f"{Path(each.filename).name}:{each.lineno}" for each in seen))
