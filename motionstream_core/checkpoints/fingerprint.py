"""What tells a model's weights from others: a hash of a few values of every tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor

VALUES = 64


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """32 hex digits, the same for the same weights on any device, in single precision and in bfloat16.

    It is read from VALUES values of each tensor, evenly spread, so that a large model takes no longer than it must.
    """
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        values = tensor.detach().flatten()
        places = torch.linspace(0, max(0, values.numel() - 1), min(VALUES, values.numel()), dtype=torch.float64)
        values = values[places.long().to(values.device)].float().to("cpu", torch.bfloat16)
        digest.update(f"{name} {tuple(tensor.shape)} ".encode())
        digest.update(values.view(torch.int16).numpy().tobytes())
    return digest.hexdigest()[:32]
