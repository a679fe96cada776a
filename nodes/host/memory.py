"""Memory: what a run took at its peak, and what to say when there was not enough."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import comfy.model_management as mm
import torch

Result = TypeVar("Result")

_WORDS = ("out of memory", "not enough memory", "can't allocate memory")


def with_memory_advice(work: Callable[[], Result], advice: str) -> Result:
    """What `work` returns; where it runs out of memory, everything is freed and RuntimeError names what to lower.

    `advice` names the inputs, as in "lower length or width". `work` holds whatever is large: its frame is gone, and
    with it the tensors, by the time memory is freed.
    """
    try:
        return work()
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        problem = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    # Outside the except clause, or the old exception, and every tensor its frames hold, would live on in the new one.
    mm.unload_all_models()
    gc.collect()
    mm.soft_empty_cache()
    raise RuntimeError(f"out of memory; {advice}. All models were unloaded; the next run loads them again. ({problem})")


def _is_out_of_memory(error: Exception) -> bool:
    known = (MemoryError, torch.cuda.OutOfMemoryError)
    if isinstance(error, known) or getattr(mm, "is_oom", lambda _: False)(error):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _WORDS)


class PeakMemory:
    """Peak memory of a run: what torch holds on a CUDA device; elsewhere all that `look` saw of this process."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._peak = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self.look()

    def look(self) -> None:
        """Take a sample."""
        if self._device.type == "cuda":
            self._peak = max(self._peak, torch.cuda.max_memory_allocated(self._device))
        else:
            import psutil  # of ComfyUI's own requirements

            self._peak = max(self._peak, psutil.Process().memory_info().rss)

    def describe(self) -> str:
        """As in "812 MiB (GPU)"."""
        what = "GPU" if self._device.type == "cuda" else "the whole ComfyUI process"
        return f"{self._peak / 2**20:.0f} MiB ({what})"
