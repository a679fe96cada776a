"""Settings of the whole test run."""

import os

# MKL chooses its path by where a tensor lies in memory, so equal inputs may differ in the last bit. Tests that
# compare bit for bit need the one path that does not. Read when torch is imported; subprocesses inherit it.
os.environ.setdefault("MKL_CBWR", "AVX2,STRICT")

import pytest
import torch

torch.set_num_threads(1 if os.environ.get("OMP_NUM_THREADS") == "1" else min(2, torch.get_num_threads()))

# They render whole videos, or hold the cache to a slow truth case by case.
WHOLE_RUNS = {"test_causal_truth", "test_renderer"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What `make test-fast` leaves out beside marked tests, and the part of it that one of its processes runs.

    Trainings and whole runs count as thorough. PART=I/N in the environment keeps every N-th file from the I-th on.
    """
    for item in items:
        if item.path.parent.name == "training" or item.path.stem in WHOLE_RUNS:
            item.add_marker(pytest.mark.thorough)
    if part := os.environ.get("PART"):
        first, step = map(int, part.split("/"))
        kept = set(sorted({item.path for item in items})[first - 1 :: step])
        items[:] = [item for item in items if item.path in kept]
