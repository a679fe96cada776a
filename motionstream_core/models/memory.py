"""What self-attention looks at beside the tokens of a pass: one protocol for whole clips, streams and training.

A memory owns positions, rotation, sink, window and eviction; attention modules hand it queries, keys and values as the
projections leave them. There are three: `WholeClip` (every frame sees every frame), `KVCache` (a stream: sink, rolling
window, the current chunk) and `SparseCausal` (all chunks of a known clip at once).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .attention import attention
from .rope import Rotation, rotate, rotation

Attention = Callable[..., Tensor]
"""As `attention.attention`: (q, k, v) or (q, k, v, mask), each (b l k d)."""


class LayerMemory(Protocol):
    """A memory as one layer sees it in one pass.

    It is tensors and numbers that are the same in all layers: a block compiled for one of them serves the others.
    """

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the tokens see (b l k d): q, k, v are theirs (b l k d), q and k not rotated yet."""
        ...

    def keep(self, k: Tensor, v: Tensor) -> None:
        """`attend` in a pass that is remembered, where nobody asks what the tokens see."""
        ...

    def snapshot(self) -> LayerMemory:
        """The same, to be asked again once the memory has moved on (activation checkpointing)."""
        ...


class Memory(Protocol):
    """Called by `WanModel`: once `begin`, then `layer` for one after the other."""

    @property
    def is_steady(self) -> bool:
        """Whether passes of as many frames have the shapes of this one from now on; asked after `begin`."""
        ...

    def begin(self, num_frames: int) -> None:
        """A pass over `num_frames` latent frames begins."""
        ...

    def layer(self, index: int) -> LayerMemory:
        """What layer `index` sees in this pass."""
        ...


@dataclass
class _Clip:
    """What every layer sees of a whole clip: the clip."""

    rotation: Rotation
    mask: Tensor | None
    attention: Attention

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.attention(rotate(q, self.rotation), rotate(k, self.rotation), v, self.mask)

    def keep(self, k: Tensor, v: Tensor) -> None:
        raise RuntimeError("a whole clip is not remembered")

    def snapshot(self) -> LayerMemory:
        return self


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

    @property
    def is_steady(self) -> bool:
        return True

    def begin(self, num_frames: int) -> None:
        positions = range(num_frames) if self._frame_positions is None else self._frame_positions
        self._clip = _Clip(rotation(positions, *self._grid), self._mask, self._attention)

    def layer(self, index: int) -> LayerMemory:
        return self._clip
