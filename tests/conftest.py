"""Settings of the whole test run."""

import os

# MKL chooses its path by where a tensor lies in memory, so equal inputs may differ in the last bit. Tests that
# compare bit for bit need the one path that does not. Read when torch is imported; subprocesses inherit it.
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import pytest
import torch

# Whatever the CPU, float32 is the default that tests compare with; those of bf16 ask for it.
for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
    setattr(torch.cpu, name, lambda: False)

torch.set_num_threads(1 if os.environ.get("OMP_NUM_THREADS") == "1" else min(2, torch.get_num_threads()))

# They render whole videos, or hold the cache and its attention to a slow truth case by case.
WHOLE_RUNS = {"test_causal_truth", "test_renderer", "test_sparse_causal"}


def pytest_itemcollected(item: pytest.Item) -> None:
    """Trainings and whole runs are thorough."""
    if item.path.parent.name == "training" or item.path.stem in WHOLE_RUNS:
        item.add_marker(pytest.mark.thorough)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: the end of a run in several processes is filled by the quick ones."""
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
