"""What self-attention looks at beside the tokens of a pass: one protocol for whole clips, streams and training.

A memory owns positions, rotation, sink, window and eviction; attention modules hand it queries, keys and values as the
projections leave them. There are three: `WholeClip` (every frame sees every frame), `KVCache` (a stream: sink, rolling
window, the current chunk) and `SparseCausal` (all chunks of a known clip at once).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from .attention import attention
from .rope import rotate, rotation

Attention = Callable[..., Tensor]
"""As `attention.attention`: (q, k, v) or (q, k, v, mask), each (b l k d)."""


class Memory(Protocol):
    """Called by `WanModel`: once `begin`, then `attend` for layer after layer."""

    def begin(self, num_frames: int) -> None:
        """A pass over `num_frames` latent frames begins."""
        ...

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the tokens see (b l k d): q, k, v are theirs (b l k d), q and k not rotated yet."""
        ...

    def snapshot(self, layer: int) -> Memory:
        """What `layer` sees in this pass, to be asked again once the memory has moved on (activation checkpointing)."""
        ...


class WholeClip:
    """Nothing beside the clip itself: all of its frames see each other, or as a mask says.

    height, width: tokens of a frame. frame_positions: where the frames stand, default 0, 1, ... mask: bool (l l), True
    where a query may look.
    """

    def __init__(
        self,
        height: int,
        width: int,
        head_dim: int,
        device: torch.device,
        *,
        rope_theta: float = 10000.0,
        frame_positions: Sequence[int] | None = None,
        mask: Tensor | None = None,
        attention: Attention = attention,
    ) -> None:
        self._grid = (height, width, head_dim, device, rope_theta)
        self._frame_positions, self._mask, self._attention = frame_positions, mask, attention

    def begin(self, num_frames: int) -> None:
        positions = range(num_frames) if self._frame_positions is None else self._frame_positions
        self._rotation = rotation(positions, *self._grid)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self._attention(rotate(q, self._rotation), rotate(k, self._rotation), v, self._mask)

    def snapshot(self, layer: int) -> Memory:
        return self
