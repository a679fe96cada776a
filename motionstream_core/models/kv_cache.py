"""What a causal student remembers: sink frames for ever, a rolling window of the last frames, nothing else.

The unit is the latent frame, because Track-v0 keeps a window of 2 latent frames beside chunks of 3 (docs/adr/0001).
Keys are rotated by the position that their rule gives them:

    absolute    the frame's number in the stream (Self-Forcing)
    sink_fixed  sink keys once, as they come; window keys by the slot that they hold now (MotionStream)
    by_slot     all keys by the slot that they hold now (Track-v0, "relativistic")

Slots count from 0 over [sink | window | current chunk]. A sink frame never leaves its slot, so the last two rules are
one and the same here, and the positions of a steady stream never change.

One buffer a layer holds keys as attention reads them, [sink | window | current chunk], and one the values: a pass
writes the chunk behind its context and attends to a view, without a copy. Only when a chunk is kept does the window
move; its keys are then rotated to their new slots from the copy that is kept unrotated, once a chunk. Shapes are static
once the window is full, and no step reads a tensor's value on the host (docs/adr/0007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .attention import attention
from .memory import Attention, Memory
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


@dataclass(frozen=True)
class CacheState:
    """What a cache remembers at one moment, on the CPU; only `KVCache.restore` reads it."""

    num_frames_seen: int
    buffers: tuple[Tensor, ...]

    @property
    def num_bytes(self) -> int:
        """Memory that it takes."""
        return sum(each.numel() * each.element_size() for each in self.buffers)


class KVCache:
    """Keys and values of `sink_frames` + `window_frames` latent frames and of the current chunk, for every layer.

    Each frame holds height x width tokens; chunk_frames: of the longest chunk. Gradients never flow through what is
    kept. Raises ValueError for a negative or empty memory or an unknown rule.
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
        chunk_frames: int,
        rope_rule: RopeRule,
        dtype: torch.dtype,
        device: torch.device,
        rope_theta: float = 10000.0,
        attention: Attention = attention,
    ) -> None:
        check_memory(sink_frames, window_frames, rope_rule)
        self.sink_frames, self.window_frames, self.chunk_frames = sink_frames, window_frames, chunk_frames
        self.rope_rule: RopeRule = rope_rule
        self.frame_tokens = height * width
        self._grid = (height, width, head_dim, device, rope_theta)
        self._attention = attention

        def buffer(num_frames: int) -> Tensor:
            shape = (num_layers, batch_size, num_frames * self.frame_tokens, num_heads, head_dim)
            return torch.zeros(shape, dtype=dtype, device=device)

        self._keys = buffer(sink_frames + window_frames + chunk_frames)
        self._values = buffer(sink_frames + window_frames + chunk_frames)
        self._unrotated = buffer(0 if rope_rule == "absolute" else window_frames)
        self._sinks: dict[int, tuple[Tensor, Tensor]] = {}  # copies for snapshots, by layer
        self._keeps = False
        self.num_frames_seen = 0

    def reset(self) -> None:
        """Forget everything; the memory itself is kept for the next stream."""
        self.num_frames_seen = 0
        self._sinks = {}

    def state(self) -> CacheState:
        """What is remembered now, between two chunks."""
        used = self.num_context_frames * self.frame_tokens
        window = max(0, self.num_context_frames - self.sink_frames) * self.frame_tokens
        kept = ((self._keys, used), (self._values, used), (self._unrotated, window))
        return CacheState(
            self.num_frames_seen, tuple(each[:, :, :tokens].to("cpu", copy=True) for each, tokens in kept)
        )

    @torch.no_grad()
    def restore(self, state: CacheState) -> None:
        """Go back to what `state` gave of this cache, or of one like it."""
        for buffer, kept in zip((self._keys, self._values, self._unrotated), state.buffers, strict=True):
            buffer[:, :, : kept.shape[2]] = kept.to(buffer.device)
        self._sinks = {}
        self.num_frames_seen = state.num_frames_seen

    @property
    def num_context_frames(self) -> int:
        """Frames remembered now."""
        return min(self.num_frames_seen, self.sink_frames + self.window_frames)

    @property
    def num_bytes(self) -> int:
        """Memory held by keys and values."""
        return sum(each.numel() * each.element_size() for each in (self._keys, self._values, self._unrotated))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """The pass inside is over a finished chunk: it is remembered, and the oldest frames of the window go."""
        self._keeps = True
        try:
            yield
            self.num_frames_seen += self._num_frames
        finally:
            self._keeps = False

    def begin(self, num_frames: int) -> None:
        """The chunk that stands behind the context now. Raises ValueError for more than chunk_frames frames."""
        if num_frames > self.chunk_frames:
            raise ValueError(f"a chunk of {num_frames} latent frames, but this cache holds {self.chunk_frames}")
        start = self.num_frames_seen if self.rope_rule == "absolute" else self.num_context_frames
        self._num_frames = num_frames
        self._rotation = rotation(range(start, start + num_frames), *self._grid)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention (b l k d) of the current chunk to the context and itself; see `Memory.attend`."""
        start = self.num_context_frames * self.frame_tokens
        stop = start + self._num_frames * self.frame_tokens
        keys, values, rotated = self._keys[layer], self._values[layer], rotate(k, self._rotation)
        if torch.is_grad_enabled():  # autograd keeps what attention read: it must not be written over
            seen = _joined([keys[:, :start]], rotated), _joined([values[:, :start]], v)
        else:
            keys[:, start:stop], values[:, start:stop] = rotated, v
            seen = keys[:, :stop].to(k.dtype), values[:, :stop].to(v.dtype)
        out = self._attention(rotate(q, self._rotation), *seen)
        if self._keeps:
            self._keep(layer, k.detach(), rotated.detach(), v.detach())
        return out

    def snapshot(self, layer: int) -> Memory:
        """See `Memory.snapshot`; for that layer only. What the window held is copied, and a full sink once a stream."""
        tokens, sink = self.num_context_frames * self.frame_tokens, self.sink_frames * self.frame_tokens
        keys, values = self._keys[layer], self._values[layer]
        if tokens < sink:
            past = ((keys[:, :tokens].clone(), values[:, :tokens].clone()),)
        else:
            if layer not in self._sinks:  # from now on it stays as it is
                self._sinks[layer] = keys[:, :sink].clone(), values[:, :sink].clone()
            past = (self._sinks[layer], (keys[:, sink:tokens].clone(), values[:, sink:tokens].clone()))
        return _Snapshot(past, self._rotation, self._attention)

    @torch.no_grad()
    def _keep(self, layer: int, k: Tensor, rotated: Tensor, v: Tensor) -> None:
        """Take a finished chunk into the layer's memory, evicting the oldest frames of the window."""
        keys, values, tokens = self._keys[layer], self._values[layer], self.frame_tokens
        sink, kept, context = self.sink_frames, self.sink_frames + self.window_frames, self.num_context_frames
        total = context + self._num_frames
        keys[:, context * tokens : total * tokens] = rotated
        values[:, context * tokens : total * tokens] = v
        window = slice(sink * tokens, kept * tokens)
        if self.window_frames and self.rope_rule != "absolute":
            past = self._unrotated[layer, :, : max(0, context - sink) * tokens]
            beyond_sink = k[:, max(0, sink - context) * tokens :].to(past.dtype)
            newest = torch.cat([past, beyond_sink], dim=1)[:, -self.window_frames * tokens :]
            self._unrotated[layer, :, : newest.shape[1]] = newest
        if total <= kept or not self.window_frames:
            return
        moved = slice((total - self.window_frames) * tokens, total * tokens)
        values[:, window] = values[:, moved].clone()
        if self.rope_rule == "absolute":
            keys[:, window] = keys[:, moved].clone()
        else:
            keys[:, window] = rotate(self._unrotated[layer], rotation(range(sink, kept), *self._grid))


class _Snapshot:
    """What one layer of a cache saw in one pass. past: keys and values, part after part."""

    def __init__(self, past: tuple[tuple[Tensor, Tensor], ...], rotation: Rotation, attention: Attention) -> None:
        self._past, self._rotation, self._attention = past, rotation, attention

    def begin(self, num_frames: int) -> None:
        raise RuntimeError("a snapshot belongs to the pass that it was taken in")

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        past_keys, past_values = zip(*self._past, strict=True)
        seen = _joined(past_keys, rotate(k, self._rotation)), _joined(past_values, v)
        return self._attention(rotate(q, self._rotation), *seen)

    def snapshot(self, layer: int) -> Memory:
        return self


def _joined(past: Sequence[Tensor], current: Tensor) -> Tensor:
    """(b m k d): the context, which is kept in the cache's precision, and the current chunk."""
    return torch.cat([*(part.to(current.dtype) for part in past), current], dim=1)
