"""What a causal student remembers: sink frames for ever, a rolling window of the last frames, nothing else.

The unit is the latent frame, because Track-v0 keeps a window of 2 latent frames beside chunks of 3 (docs/adr/0001).
Keys are kept as each rule wants them and turned when they are read:

    absolute    keys turned once, by the frame's number in the stream (Self-Forcing)
    sink_fixed  sink keys turned once, window keys turned by the slot they hold now (MotionStream)
    by_slot     all keys turned by the slot they hold now (Track-v0, "relativistic")

Slots count from 0 over [sink | window | current chunk], so with the last two rules the positions of a steady stream
never change. Shapes are static from then on, and no step reads a tensor's value on the host.
"""

from __future__ import annotations

import copy
from typing import Literal, get_args

import torch
from torch import Tensor

from .rope import Rotation, rotate, rotation

RopeRule = Literal["absolute", "sink_fixed", "by_slot"]


def check_memory(sink_frames: int, window_frames: int, rope_rule: str) -> None:
    """Raise ValueError for a negative or empty memory or an unknown rule."""
    if rope_rule not in get_args(RopeRule):
        raise ValueError(f"rope_rule is {rope_rule!r}; known are {', '.join(get_args(RopeRule))}")
    if sink_frames < 0 or window_frames < 0 or sink_frames + window_frames < 1:
        raise ValueError(
            f"sink_frames ({sink_frames}) and window_frames ({window_frames}) must be at least 0 and not both 0"
        )


def remembered_frames(num_seen: int, sink_frames: int, window_frames: int) -> list[int]:
    """Numbers of the frames remembered after `num_seen`: the first ones and the last ones."""
    num_sink = min(num_seen, sink_frames)
    return [*range(num_sink), *range(max(num_sink, num_seen - window_frames), num_seen)]


class KVCache:
    """Keys and values of `sink_frames` + `window_frames` latent frames for every layer.

    Each frame holds height x width tokens. Gradients never flow through what is kept.
    Raises ValueError for a negative or empty memory or an unknown rule.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        batch_size: int,
        num_heads: int,
        head_dim: int,
        height: int,
        width: int,
        sink_frames: int,
        window_frames: int,
        rope_rule: RopeRule,
        dtype: torch.dtype,
        device: torch.device,
        rope_theta: float = 10000.0,
    ) -> None:
        check_memory(sink_frames, window_frames, rope_rule)
        self.sink_frames = sink_frames
        self.window_frames = window_frames
        self.rope_rule: RopeRule = rope_rule
        self.height, self.width = height, width
        self.head_dim, self.rope_theta = head_dim, rope_theta
        self.frame_tokens = height * width
        shape = (num_layers, batch_size, (sink_frames + window_frames) * self.frame_tokens, num_heads, head_dim)
        self._keys = torch.zeros(shape, dtype=dtype, device=device)
        self._values = torch.zeros(shape, dtype=dtype, device=device)
        self.num_frames_seen = 0

    def reset(self) -> None:
        """Forget everything; the memory itself is kept for the next stream."""
        self.num_frames_seen = 0

    def snapshot(self, layer: int) -> KVCache:
        """What `layer` can read now, to be read again after this cache has moved on (and by that layer only)."""
        kept = copy.copy(self)
        kept._keys = self._keys[layer].clone().expand_as(self._keys)
        kept._values = self._values[layer].clone().expand_as(self._values)
        return kept

    @property
    def num_context_frames(self) -> int:
        """Frames remembered now."""
        return min(self.num_frames_seen, self.sink_frames + self.window_frames)

    @property
    def num_bytes(self) -> int:
        """Memory held by keys and values."""
        return 2 * self._keys.numel() * self._keys.element_size()

    def context_frame_numbers(self) -> list[int]:
        """Numbers, in the stream, of the frames remembered now: the first ones and the last ones."""
        return remembered_frames(self.num_frames_seen, self.sink_frames, self.window_frames)

    def chunk_rotation(self, num_frames: int) -> Rotation:
        """Angles of the chunk that is generated now, `num_frames` latent frames after the context."""
        start = self.num_frames_seen if self.rope_rule == "absolute" else self.num_context_frames
        return self._rotation(range(start, start + num_frames))

    def read(self, layer: int, key: Tensor, value: Tensor, current: Rotation) -> tuple[Tensor, Tensor]:
        """Keys and values (b m k d) that the current chunk's queries see: the context and the chunk itself.

        key, value: the chunk's own, (b l k d), key not yet turned; current: `chunk_rotation`.
        """
        tokens = self.num_context_frames * self.frame_tokens
        turned = rotate(key, current)
        if tokens == 0:
            return turned, value
        past = self._keys[layer, :, :tokens]
        fixed = self._num_fixed_frames() * self.frame_tokens
        parts = [past[:, :fixed], turned]
        if fixed < tokens:
            slots = self._rotation(range(self._num_fixed_frames(), self.num_context_frames))
            parts.insert(1, rotate(past[:, fixed:], slots))
        return (
            torch.cat([part.to(key.dtype) for part in parts], dim=1),
            torch.cat([self._values[layer, :, :tokens].to(value.dtype), value], dim=1),
        )

    @torch.no_grad()
    def write(self, layer: int, key: Tensor, value: Tensor, current: Rotation) -> None:
        """Take a finished chunk's keys (not yet turned) and values (b l k d) into layer's memory, evicting the oldest.

        Every layer writes once, then `advance` counts the frames.
        """
        new_frames = key.shape[1] // self.frame_tokens
        context, total = self.num_context_frames, self.num_context_frames + new_frames
        key = key.detach()
        if self.rope_rule == "absolute":
            key = rotate(key, current)
        elif self.rope_rule == "sink_fixed" and context < self.sink_frames:
            sink_tokens = (self.sink_frames - context) * self.frame_tokens
            key = torch.cat([rotate(key[:, :sink_tokens], current[:sink_tokens]), key[:, sink_tokens:]], dim=1)
        for memory, new in ((self._keys[layer], key), (self._values[layer], value.detach())):
            joined = torch.cat([memory[:, : context * self.frame_tokens], new.to(memory.dtype)], dim=1)
            if total > self.sink_frames + self.window_frames:
                window_start = (total - self.window_frames) * self.frame_tokens
                sink = joined[:, : self.sink_frames * self.frame_tokens]
                joined = torch.cat([sink, joined[:, window_start:]], dim=1)
            memory[:, : joined.shape[1]] = joined

    def advance(self, num_frames: int) -> None:
        """Count `num_frames` frames that every layer has written."""
        self.num_frames_seen += num_frames

    def _num_fixed_frames(self) -> int:
        """Leading context frames whose keys were turned when they were written."""
        if self.rope_rule == "absolute":
            return self.num_context_frames
        return min(self.sink_frames, self.num_context_frames) if self.rope_rule == "sink_fixed" else 0

    def _rotation(self, frames: range) -> Rotation:
        return rotation(frames, self.height, self.width, self.head_dim, self._keys.device, self.rope_theta)
