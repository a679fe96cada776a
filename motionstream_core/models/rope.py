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
    """cos and sin of every token's angles, (l d/2 2) float32: complex numbers by which feature pairs are multiplied."""

    turns: Tensor

    def __getitem__(self, tokens: slice) -> Rotation:
        return Rotation(self.turns[tokens])


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn the feature pairs (0,1), (2,3), ... of x (b l k d) by its tokens' angles; dtype of x."""
    return rotated(x, rotation).to(x.dtype)


def rotated(x: Tensor, rotation: Rotation) -> Tensor:
    """`rotate` in float32, for whoever rounds it while writing it elsewhere."""
    pairs, turns = x.float().unflatten(-1, (-1, 2)), rotation.turns[:, None]
    if not torch.compiler.is_compiling():  # in one product, a tenth of the time
        return torch.view_as_real(torch.view_as_complex(pairs) * torch.view_as_complex(turns)).flatten(-2)
    # a compiler fuses these with what stands before and behind, and leaves complex numbers as they are
    (even, odd), (cos, sin) = pairs.unbind(-1), turns.unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


def rotation(
    frames: Sequence[int], height: int, width: int, head_dim: int, device: torch.device, theta: float = 10000.0
) -> Rotation:
    """Angles of the tokens (f h w) that stand at the given frame positions; rows and columns count from 0.

    The last tables are cached per arguments, so a stream whose slots no longer change reuses one tensor; where they do,
    only the frames' part is made anew, on the host a few numbers.
    """
    return _rotation(tuple(frames), height, width, head_dim, device, theta)


@lru_cache(maxsize=16)
def _rotation(
    frames: tuple[int, ...], height: int, width: int, head_dim: int, device: torch.device, theta: float
) -> Rotation:
    if head_dim % 2:
        raise ValueError(f"head_dim must be even, got {head_dim}")
    # a table made under inference_mode could not serve a training step later
    with torch.inference_mode(False):
        cells = _cells(height, width, head_dim, device, theta)
        place = torch.tensor(frames, dtype=torch.float64, device="cpu")
        own = _turns(place, head_dim - 4 * (head_dim // 6), theta).to(device)
        size = len(frames), height * width, -1, -1
        return Rotation(torch.cat([own[:, None].expand(size), cells.expand(size)], dim=2).flatten(0, 1))


@lru_cache(maxsize=16)
def _cells(height: int, width: int, head_dim: int, device: torch.device, theta: float) -> Tensor:
    """Turns (h*w d 2) of a frame's cells, by row and column."""
    rows, columns = (
        _turns(torch.arange(count, dtype=torch.float64, device="cpu"), 2 * (head_dim // 6), theta)
        for count in (height, width)
    )
    size = height, width, -1, -1
    return torch.cat([rows[:, None].expand(size), columns.expand(size)], dim=2).flatten(0, 1).to(device)


def _turns(place: Tensor, dim: int, theta: float) -> Tensor:
    """(n dim/2 2), float32 from float64 angles, of float64 positions (n)."""
    angles = place[:, None] * _frequencies(dim, theta)
    return torch.stack([angles.cos(), angles.sin()], dim=-1).float()


def _frequencies(dim: int, theta: float) -> Tensor:
    """(dim / 2): theta^(-2i / dim)"""
    return theta ** -(torch.arange(0, dim, 2, dtype=torch.float64, device="cpu") / dim)
