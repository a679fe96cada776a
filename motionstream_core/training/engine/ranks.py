"""Joining the ranks that torchrun started."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

TIMEOUT = timedelta(hours=1)  # rank 0 alone writes exports and videos while the others wait


def started_by_torchrun() -> bool:
    """Whether torchrun's variables say where this process stands among others."""
    return all(name in os.environ for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"))


@contextmanager
def joined(device: torch.device) -> Iterator[torch.device]:
    """Join torchrun's ranks for as long as the context lasts; yields this rank's own device.

    gloo on the CPU; on CUDA nccl, with gloo beside it for what is said on the CPU (checkpoints, stopping).
    Raises ValueError when torchrun did not start this process.
    """
    if not started_by_torchrun():
        raise ValueError("several ranks are started by torchrun: torchrun --nproc-per-node N -m motionstream_core...")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
        dist.init_process_group("cpu:gloo,cuda:nccl", timeout=TIMEOUT, device_id=device)
    else:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        yield device
    finally:
        dist.destroy_process_group()
