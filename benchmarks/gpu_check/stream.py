"""Part 3: the stream at full size with random weights: every stage's time, frames a second, latency, memory."""

from __future__ import annotations

import json
from typing import Any

import torch

from benchmarks import stream as benchmark
from benchmarks.measure.machine import device_about, versions
from benchmarks.measure.timing import copy_rate

from .record import Record

PART = "stream"
CHUNKS, TINY_CHUNKS = 16, 6
CASES = {
    "1.3B 832x480": benchmark.Case("1.3b", None, None, "tiny", "bf16"),
    "5B 1280x704": benchmark.Case("5b", None, None, "tiny", "bf16"),
    "1.3B 832x480, c1s1w1": benchmark.Case("1.3b", "c1s1w1", None, "tiny", "bf16"),
    "1.3B 832x480, full VAE": benchmark.Case("1.3b", None, None, "full", "bf16"),
}


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """What `benchmarks.stream` measures, and its JSON beside the record, which it can draw elsewhere."""
    results: dict[str, Any] = {"device": device_about(device), "versions": versions(), "cases": []}
    results["memory TB/s"] = round(copy_rate(device, 2**16 if tiny else benchmark.COPY_BYTES[device.type]), 4)
    for name, case in CASES.items():
        with record.checking(PART, name):
            told = benchmark.run(case, device, TINY_CHUNKS if tiny else CHUNKS, narrow=tiny)
            results["cases"].append(told)
            (record.folder / "stream.json").write_text(json.dumps(results, indent=1), "utf-8")
            record.tell(PART, name, {key: value for key, value in told.items() if key not in ("stages", "chunks ms")})
            for stage, each in told["stages"].items():
                record.tell(PART, f"{name}: {stage} ms", each)
