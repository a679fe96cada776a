"""Rotary position embedding over (frame, row, column), as Wan has it (Wan-Video/Wan2.1: wan/modules/model.py).

A head's d features are pairs; the first d - 4 (d // 6) features are rotated by the frame, the next 2 (d // 6) by
the row, the last 2 (d // 6) by the column (44 / 42 / 42 at d = 128).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rotation:
    """cos and sin of every token's angles, each (l d/2) float32."""

    cos: Tensor
    sin: Tensor

    def __getitem__(self, tokens: slice) -> Rotation:
        return Rotation(self.cos[tokens], self.sin[tokens])


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the feature pairs (0,1), (2,3), ... of x (b l k d) by its tokens' angles; dtype of x."""
    pairs = x.float().unflatten(-1, (-1, 2))
    cos, sin = rotation.cos[:, None], rotation.sin[:, None]
    even, odd = pairs[..., 0], pairs[..., 1]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2).to(x.dtype)


def rotation(
    frames: Sequence[int], height: int, width: int, head_dim: int, device: torch.device, theta: float = 10000.0
) -> Rotation:
    """Angles of the tokens (f h w) that stand at the given frame positions; rows and columns count from 0.

    Tables are cached per arguments, so a stream whose slots no longer change reuses one tensor.
    """
    return _rotation(tuple(frames), height, width, head_dim, device, theta)


@lru_cache(maxsize=64)
def _rotation(
    frames: tuple[int, ...], height: int, width: int, head_dim: int, device: torch.device, theta: float
) -> Rotation:
    if head_dim % 2:
        raise ValueError(f"head_dim must be even, got {head_dim}")
    space = 2 * (head_dim // 6)
    grid = (len(frames), height, width)
    axes = (
        (torch.tensor(frames, dtype=torch.float64).view(-1, 1, 1, 1), head_dim - 2 * space),
        (torch.arange(height, dtype=torch.float64).view(1, -1, 1, 1), space),
        (torch.arange(width, dtype=torch.float64).view(1, 1, -1, 1), space),
    )
    angles = torch.cat([(place * _frequencies(dim, theta)).expand(*grid, -1) for place, dim in axes], dim=-1)
    angles = angles.flatten(0, 2)
    # a table made under inference_mode could not serve a training step later
    with torch.inference_mode(False):
        return Rotation(angles.cos().float().to(device), angles.sin().float().to(device))


def _frequencies(dim: int, theta: float) -> Tensor:
    """(dim / 2): theta^(-2i / dim)"""
    return theta ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
