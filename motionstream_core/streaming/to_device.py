"""What the host makes for a chunk, on its way to the device."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tracks import Tracks


def to_device(values: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """`values` of the host on `device`, as `dtype` already where they set out; a GPU is not waited for."""
    values = values.to(dtype or values.dtype)
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def tracks_to_device(tracks: Tracks, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Points (1 t n 2), visibility (1 t n) and ids (n) on `device`, in one journey: float32 holds every id exactly."""
    ids = torch.zeros(1, tracks.num_tracks, 3)
    ids[..., 0] = tracks.ids
    packed = torch.cat([torch.cat([tracks.points.float(), tracks.visibility[..., None]], dim=-1), ids])
    packed = to_device(packed, device)
    return packed[None, :-1, :, :2], packed[None, :-1, :, 2] > 0, packed[-1, :, 0].long()
