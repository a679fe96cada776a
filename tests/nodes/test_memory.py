"""Out of memory: everything is let go, and the message names what to lower."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]


def test_out_of_memory_frees_and_names_what_to_lower(pack: Pack, host: Any) -> None:
    memory = pack("nodes.host.memory")
    held: list[weakref.ref[torch.Tensor]] = []

    def work() -> None:
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 8 GiB")

    with pytest.raises(RuntimeError, match=r"out of memory; lower length.*8 GiB") as caught:
        memory.with_memory_advice(work, "lower length")
    assert caught.value.__context__ is None
    gc.collect()
    assert held[0]() is None
    assert host.unloaded == 1


def test_what_cannot_be_allocated_on_the_cpu_counts_too(pack: Pack, host: Any) -> None:
    with pytest.raises(RuntimeError, match=r"out of memory; lower length"):
        pack("nodes.host.memory").with_memory_advice(lambda: torch.empty(1 << 55), "lower length")


def test_other_errors_pass_unchanged(pack: Pack, host: Any) -> None:
    with pytest.raises(ValueError, match=r"^prompt"):
        pack("nodes.host.memory").with_memory_advice(
            lambda: (_ for _ in ()).throw(ValueError("prompt")), "lower length"
        )
    assert host.unloaded == 0
