"""Memory for what is kept long, apart from the heap.

The states of a stream live for half a minute among what lives for a moment. On the heap they would tear holes into it,
by which it grows, and all of which it keeps when they are gone.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence

import torch
from torch import Tensor


def room_apart(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Zeros on the CPU in memory of their own, which goes back to the system when the tensor is let go."""
    num_bytes = math.prod(shape) * dtype.itemsize
    if not num_bytes:
        return torch.zeros(tuple(shape), dtype=dtype)
    room = torch.frombuffer(mmap.mmap(-1, num_bytes), dtype=torch.uint8)
    return room.view(dtype).view(tuple(shape))


def kept_apart(tensor: Tensor) -> Tensor:
    """A copy on the CPU, in `room_apart`."""
    return room_apart(tensor.shape, tensor.dtype).copy_(tensor)
