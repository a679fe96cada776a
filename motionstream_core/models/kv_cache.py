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

from .apart import room_apart
from .attention import attention
from .memory import Attention, LayerMemory
from .rope import Rotation, rotate, rotated, rotation

RopeRule = Literal["absolute", "sink_fixed", "by_slot"]
Sinks = list[tuple[Tensor, Tensor]]


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

        def buffers(num_frames: int) -> list[Tensor]:
            shape = (batch_size, num_frames * self.frame_tokens, num_heads, head_dim)
            return [torch.zeros(shape, dtype=dtype, device=device) for _ in range(num_layers)]

        # one tensor a layer: views of a common one would be told apart anew by every compiled pass that writes to them
        self._keys = buffers(sink_frames + window_frames + chunk_frames)
        self._values = buffers(sink_frames + window_frames + chunk_frames)
        self._unrotated = buffers(0 if rope_rule == "absolute" else window_frames)
        self._slots = None if rope_rule == "absolute" else rotation(range(sink_frames, self._room), *self._grid)
        self._sinks: list[Sinks] = [[] for _ in range(num_layers)]
        self._keeps = False
        self._position: int | None = None
        self.reset()

    def reset(self) -> None:
        """Forget everything; the memory itself is kept for the next stream."""
        self._sinks = [[] for _ in self._sinks]
        self._stand(0)

    def _stand(self, num_frames_seen: int) -> None:
        """Where the next chunk comes to stand, before its first pass: a pass itself only reads tensors."""
        self.num_frames_seen = num_frames_seen
        self._start = self.num_context_frames * self.frame_tokens
        position = num_frames_seen if self.rope_rule == "absolute" else self.num_context_frames
        if position != self._position:
            self._position = position
            self._rotation = rotation(range(position, position + self.chunk_frames), *self._grid)

    def state(self) -> CacheState:
        """What is remembered now, between two chunks."""
        used = self.num_context_frames * self.frame_tokens
        window = max(0, self.num_context_frames - self.sink_frames) * self.frame_tokens
        kept = ((self._keys, used), (self._values, used), (self._unrotated, window))
        return CacheState(self.num_frames_seen, tuple(_on_host(layers, tokens) for layers, tokens in kept))

    @torch.no_grad()
    def restore(self, state: CacheState) -> None:
        """Go back to what `state` gave of this cache, or of one like it."""
        for layers, kept in zip((self._keys, self._values, self._unrotated), state.buffers, strict=True):
            for buffer, own in zip(layers, kept, strict=True):
                buffer[:, : own.shape[1]] = own.to(buffer.device)
        self._sinks = [[] for _ in self._sinks]
        self._stand(state.num_frames_seen)

    @property
    def num_context_frames(self) -> int:
        """Frames remembered now."""
        return min(self.num_frames_seen, self._room)

    @property
    def is_steady(self) -> bool:
        """See `Memory.is_steady`: sink and window are full."""
        return self.num_frames_seen >= self._room and self._num_frames == self.chunk_frames

    @property
    def _room(self) -> int:
        """Frames that are remembered at most."""
        return self.sink_frames + self.window_frames

    @property
    def num_bytes(self) -> int:
        """Memory held by keys and values."""
        held = (*self._keys, *self._values, *self._unrotated)
        return sum(each.numel() * each.element_size() for each in held)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """The pass inside is over a finished chunk: it is remembered, and the oldest frames of the window go."""
        self._keeps = True
        try:
            yield
            self._stand(self.num_frames_seen + self._num_frames)
        finally:
            self._keeps = False

    def begin(self, num_frames: int) -> None:
        """The chunk that stands behind the context now. Raises ValueError for more than chunk_frames frames."""
        if num_frames > self.chunk_frames:
            raise ValueError(f"a chunk of {num_frames} latent frames, but this cache holds {self.chunk_frames}")
        self._num_frames = num_frames

    def layer(self, index: int) -> LayerMemory:
        """See `Memory.layer`."""
        tokens = self._num_frames * self.frame_tokens
        return _Layer(
            keys=self._keys[index],
            values=self._values[index],
            unrotated=self._unrotated[index],
            sinks=self._sinks[index],
            rotation=self._rotation[:tokens],
            slots=self._slots,
            sink=self.sink_frames * self.frame_tokens,
            room=self._room * self.frame_tokens,
            start=self._start,
            stop=self._start + tokens,
            keeps=self._keeps,
            attention=self._attention,
        )


@dataclass
class _Layer:
    """A layer's buffers in one pass. sink, room, start, stop: tokens from the buffers' beginning.

    room: where the window ends when it is full; start, stop: of the current chunk. slots: the window's own rotation
    then; None where keys are rotated by their number in the stream, once for ever. sinks: a full sink, copied once a
    stream, for snapshots.
    """

    keys: Tensor
    values: Tensor
    unrotated: Tensor
    sinks: Sinks
    rotation: Rotation
    slots: Rotation | None
    sink: int
    room: int
    start: int
    stop: int
    keeps: bool
    attention: Attention

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attention (b l k d) of the current chunk to the context and itself; see `LayerMemory.attend`."""
        if torch.is_grad_enabled():  # autograd keeps what attention read: it must not be written over
            past = (self.keys[:, : self.start], self.values[:, : self.start])
            out = _Snapshot((past,), self.rotation, self.attention).attend(q, k, v)
            if self.keeps:
                self.keep(k.detach(), v.detach())
            return out
        self._write(k, v)
        seen_keys, seen_values = self.keys[:, : self.stop].to(k.dtype), self.values[:, : self.stop].to(v.dtype)
        out = self.attention(rotate(q, self.rotation), seen_keys, seen_values)
        if self.keeps:
            self._move_window(k)
        return out

    def keep(self, k: Tensor, v: Tensor) -> None:
        """See `LayerMemory.keep`."""
        with torch.no_grad():
            self._write(k, v)
            self._move_window(k)

    def snapshot(self) -> LayerMemory:
        """See `LayerMemory.snapshot`. What the window held is copied, and a full sink once a stream."""
        begins = self.sink if self.start >= self.sink else 0
        if begins and not self.sinks:  # from now on it stays as it is
            self.sinks.append((self.keys[:, :begins].clone(), self.values[:, :begins].clone()))
        window = (self.keys[:, begins : self.start].clone(), self.values[:, begins : self.start].clone())
        return _Snapshot((*self.sinks[: bool(begins)], window), self.rotation, self.attention)

    def _write(self, k: Tensor, v: Tensor) -> None:
        """The chunk behind its context, as attention reads it."""
        self.keys[:, self.start : self.stop] = rotated(k, self.rotation)
        self.values[:, self.start : self.stop] = v

    def _move_window(self, k: Tensor) -> None:
        """Take the chunk that was written, whose keys are k (b l k d), into the window; its oldest frames go."""
        window = self.room - self.sink
        if not window:
            return
        if self.slots is not None:
            _roll(self.unrotated, max(0, self.start - self.sink), k[:, max(0, self.sink - self.start) :])
        if self.stop <= self.room:
            return
        newest = slice(self.stop - window, self.stop)
        _copy(self.values, newest, self.sink)
        if self.slots is None:
            _copy(self.keys, newest, self.sink)
        else:
            self.keys[:, self.sink : self.room] = rotated(self.unrotated, self.slots)


class _Snapshot:
    """What one layer of a cache saw in one pass. past: keys and values, part after part."""

    def __init__(self, past: tuple[tuple[Tensor, Tensor], ...], rotation: Rotation, attention: Attention) -> None:
        self._past, self._rotation, self._attention = past, rotation, attention

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        past_keys, past_values = zip(*self._past, strict=True)
        seen = _joined(past_keys, rotate(k, self._rotation)), _joined(past_values, v)
        return self._attention(rotate(q, self._rotation), *seen)

    def keep(self, k: Tensor, v: Tensor) -> None:
        raise RuntimeError("a snapshot belongs to a pass that asks what its tokens see")

    def snapshot(self) -> LayerMemory:
        return self


def _joined(past: Sequence[Tensor], current: Tensor) -> Tensor:
    """(b m k d): the context, which is kept in the cache's precision, and the current chunk."""
    return torch.cat([*(part.to(current.dtype) for part in past), current], dim=1)


def _roll(buffer: Tensor, held: int, new: Tensor) -> None:
    """Put `new` (b l k d) behind the first `held` tokens of `buffer`; what has no room leaves at its beginning."""
    room, count = buffer.shape[1], new.shape[1]
    if count >= room:
        buffer.copy_(new[:, count - room :])
        return
    stays = min(held, room - count)
    if held > stays:
        _copy(buffer, slice(held - stays, held), 0)
    buffer[:, stays : stays + count] = new


def _copy(buffer: Tensor, source: slice, start: int) -> None:
    """Copy tokens within a buffer (b m k d); the two places may overlap."""
    count = source.stop - source.start
    moved = buffer[:, source]
    buffer[:, start : start + count] = moved.clone() if source.start < start + count else moved


def _on_host(layers: list[Tensor], tokens: int) -> Tensor:
    """The first tokens (n b m k d) of all layers' buffers (b l k d), on the CPU."""
    first = layers[0][:, :tokens]
    out = room_apart((len(layers), *first.shape), first.dtype)
    for own, buffer in zip(out, layers, strict=True):
        own.copy_(buffer[:, :tokens])
    return out
