"""Settings of the whole test run."""

import os

import torch

torch.set_num_threads(1 if os.environ.get("OMP_NUM_THREADS") == "1" else min(2, torch.get_num_threads()))
