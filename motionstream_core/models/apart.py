"""Memory for what is kept long, apart from the heap."""

from __future__ import annotations

import mmap

import torch
from torch import Tensor


def kept_apart(tensor: Tensor) -> Tensor:
    """A copy on the CPU, in memory of its own, which goes back to the system when the copy is let go.

    The states of a stream live for half a minute among what lives for a moment. On the heap they would tear holes into
    it, by which it grows, and all of which it keeps when they are gone.
    """
    num_bytes = tensor.numel() * tensor.element_size()
    if not num_bytes:
        return tensor.cpu()
    room = torch.frombuffer(mmap.mmap(-1, num_bytes), dtype=torch.uint8)
    return room.view(tensor.dtype).view(tensor.shape).copy_(tensor)
