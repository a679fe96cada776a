"""How fast a loop runs, how long it has still to go, and how much memory it takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

# Dense bf16 peaks from the makers' data sheets, in TFLOP/s.
PEAK_TFLOPS = {"a100": 312.0, "h100": 989.0, "h200": 989.0}


class Meter:
    """What every row of a log says of speed: over the steps since the row before.

    s_per_step, eta_h (hours to the end at this speed); on CUDA peak_gib (memory of this rank). Of a stage that told its
    `work`: samples_per_s, and with its arithmetic tflops (TFLOP/s of one GPU) and mfu (its share of the GPU's peak,
    where that is known).
    """

    def __init__(self, device: torch.device, num_ranks: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._device, self._num_ranks, self._clock = device, num_ranks, clock
        self._samples: int | None = None
        self._tflop: float | None = None
        self.peak_tflops = _peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None

    def work(self, samples: int | None, tflop: float | None) -> None:
        """What a step of the stage that begins now does, on all GPUs together; None where it was not counted."""
        self._samples, self._tflop = samples, tflop

    def start(self, done: int) -> None:
        """From now on time counts; `done` steps are done."""
        self._done, self._at = done, self._clock()
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def row(self, done: int, num_steps: int) -> dict[str, float]:
        """The numbers after `done` steps of `num_steps`."""
        seconds = (self._clock() - self._at) / max(1, done - self._done)
        row = {"s_per_step": seconds, "eta_h": seconds * (num_steps - done) / 3600}
        if self._samples is not None:
            row["samples_per_s"] = self._samples / seconds
        if self._tflop is not None:
            row["tflops"] = self._tflop / seconds / self._num_ranks
            if self.peak_tflops is not None:
                row["mfu"] = row["tflops"] / self.peak_tflops
        if self._device.type == "cuda":
            row["peak_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self.start(done)
        return row


def _peak_of(name: str) -> float | None:
    """Of a GPU by the name that its driver gives it."""
    return next((peak for known, peak in PEAK_TFLOPS.items() if known.upper() in name.upper()), None)
