"""Settings of the whole test run."""

import os

# MKL chooses its path by where a tensor lies in memory, so equal inputs may differ in the last bit. Tests that
# compare bit for bit need the one path that does not. Read when torch is imported; subprocesses inherit it.
os.environ.setdefault("MKL_CBWR", "COMPATIBLE")

import torch

torch.set_num_threads(1 if os.environ.get("OMP_NUM_THREADS") == "1" else min(2, torch.get_num_threads()))
