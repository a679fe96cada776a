"""A chunk-causal clip in one pass: what `KVCache` makes one chunk after another, for all chunks at once.

Where the clean clip is known beforehand, as in training on a teacher's trajectories, no chunk has to wait for the one
before it. Each chunk is an attention problem of its own: its queries, and as keys the clean sink and window frames that
the cache would hold, then the chunk itself. All chunks past the start have the same shape, so they are folded into the
batch and attend densely; the few at the start, whose window is not full yet, form groups of their own. So no score is
computed only to be masked, every attention backend serves, and every rule of rotation is exact: where slots count, a
clean frame's keys are rotated anew for each chunk that sees them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry import Chunk, ChunkPlan
from .attention import attention
from .kv_cache import RopeRule, check_memory, remembered_frames
from .memory import Attention, LayerMemory
from .rope import Rotation, rotate, rotation


@dataclass(frozen=True)
class _Group:
    """Chunks of one shape. own: each one's frames in the sequence; context: the clean frames that each one sees."""

    own: tuple[tuple[int, ...], ...]
    context: tuple[tuple[int, ...], ...]


class SparseCausal:
    """The memory of whole clips of `num_latent_frames` whose chunks see what they would see in a stream.

    Of the clean clip only the frames 0..num_past_frames are ever seen, all but the last chunk's. Two ways to call:

        joint     one pass over [clean past | noisy clip], num_past_frames + num_latent_frames frames; gradients flow
                  through the past's keys and values
        detached  one pass over the clean past inside `keeping()` under no_grad, then one over the noisy clip; gradients
                  as in the chunk loop, whose cache is detached, for two thirds of the work

    own_past: the past is the clip itself, at whatever levels its frames are, in one pass over it alone.
    height, width: tokens of a frame. Raises ValueError for an impossible memory, or frames that do not fill chunks.
    """

    def __init__(
        self,
        *,
        plan: ChunkPlan,
        num_latent_frames: int,
        height: int,
        width: int,
        head_dim: int,
        sink_frames: int,
        window_frames: int,
        rope_rule: RopeRule,
        device: torch.device,
        rope_theta: float = 10000.0,
        attention: Attention = attention,
        own_past: bool = False,
    ) -> None:
        check_memory(sink_frames, window_frames, rope_rule)
        self.own_past = own_past
        self._attention = attention
        noisy = list(plan.chunks(num_latent_frames))
        clean = noisy[:-1]
        self.num_latent_frames = num_latent_frames
        self.num_past_frames = past = noisy[-1].start
        self.sink_frames, self.window_frames, self.rope_rule = sink_frames, window_frames, rope_rule
        self.height, self.width, self.head_dim, self.rope_theta = height, width, head_dim, rope_theta
        self.device = device
        self._past: dict[int, tuple[Tensor, Tensor]] = {}
        self._keeps = False
        # by the length of a sequence: its chunks, each with the frame at which its part of the sequence starts
        sequences: dict[int, list[tuple[Chunk, int]]] = {
            past: [(chunk, 0) for chunk in clean],
            num_latent_frames: [(chunk, 0) for chunk in noisy],
            past + num_latent_frames: [*((chunk, 0) for chunk in clean), *((chunk, past) for chunk in noisy)],
        }
        self._positions = {length: list(self._positions_of(chunks)) for length, chunks in sequences.items()}
        self._groups = {length: self._groups_of(chunks) for length, chunks in sequences.items()}

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """The pass inside is over the clean past, which is kept."""
        self._keeps = True
        try:
            yield
        finally:
            self._keeps = False

    @property
    def is_steady(self) -> bool:
        return True

    def begin(self, num_frames: int) -> None:
        """A sequence of `num_frames` frames: the clean past, the noisy clip, or the one before the other.

        Raises ValueError for another length.
        """
        if num_frames not in self._positions:
            raise ValueError(
                f"{num_frames} latent frames are neither the past ({self.num_past_frames}) nor the clip "
                f"({self.num_latent_frames}) nor both together"
            )
        self._current = self._rotation(self._positions[num_frames])

    def layer(self, index: int) -> LayerMemory:
        """See `Memory.layer`."""
        return _Layer(self, index, self._past.get(index))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, past: tuple[Tensor, Tensor] | None) -> Tensor:
        """Attention (b l k d) of every chunk to its context and itself. past: keys and values that were kept, or None.

        Raises ValueError for a noisy clip before its past.
        """
        q, rotated = rotate(q, self._current), rotate(k, self._current)
        queries, own, values = (self._frames(x) for x in (q, rotated, v))
        past_keys, past_values = self._seen_past(rotated if self.rope_rule == "absolute" else k, v, past)
        out = [q] * len(queries)
        for group in self._groups[len(queries)]:
            seen_keys = torch.cat([self._context_keys(past_keys, group), _gather(own, group.own)], dim=2)
            seen_values = torch.cat([_gather(past_values, group.context), _gather(values, group.own)], dim=2)
            attended = self._attention(_fold(_gather(queries, group.own)), _fold(seen_keys), _fold(seen_values))
            attended = attended.unflatten(1, (len(group.own[0]), -1)).unflatten(0, (q.shape[0], -1))  # (b g n l k d)
            for members, frames in zip(group.own, attended.unbind(1), strict=True):
                for place, frame in zip(members, frames.unbind(1), strict=True):
                    out[place] = frame
        return torch.cat(out, dim=1)

    def _keep(self, index: int, k: Tensor, v: Tensor) -> None:
        key = rotate(k, self._current) if self.rope_rule == "absolute" else k
        self._past[index] = (key.detach(), v.detach())

    def _seen_past(
        self, k: Tensor, v: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """Keys and values of the frames before: the sequence's own, or those that an earlier pass kept."""
        if self._is_clip(k) and self.num_past_frames and not (self._keeps or self.own_past):
            if past is None:
                raise ValueError("the clean past must go first, inside keeping(), or together with the noisy clip")
            k, v = past
        return self._frames(k), self._frames(v)

    def _is_clip(self, k: Tensor) -> bool:
        return k.shape[1] == self.num_latent_frames * self.height * self.width

    def _context_keys(self, past: Sequence[Tensor], group: _Group) -> Tensor:
        """Keys (b g m l k d), rotated, of the frames that a group's chunks see."""
        keys = _gather(past, group.context)
        if self.rope_rule == "absolute" or not group.context[0]:
            return keys
        slots = self._rotation(range(len(group.context[0])))
        return rotate(_fold(keys), slots).view_as(keys)

    def _frames(self, x: Tensor) -> tuple[Tensor, ...]:
        """(b (f l) k d) -> f times (b l k d)"""
        return x.unflatten(1, (-1, self.height * self.width)).unbind(1)

    def _positions_of(self, chunks: list[tuple[Chunk, int]]) -> Iterator[int]:
        for chunk, _ in chunks:
            num_seen = len(remembered_frames(chunk.start, self.sink_frames, self.window_frames))
            start = chunk.start if self.rope_rule == "absolute" else num_seen
            yield from range(start, start + chunk.num_frames)

    def _groups_of(self, chunks: list[tuple[Chunk, int]]) -> list[_Group]:
        by_shape: dict[tuple[int, int], list[tuple[tuple[int, ...], tuple[int, ...]]]] = {}
        for chunk, start in chunks:
            own = tuple(range(start + chunk.start, start + chunk.stop))
            context = tuple(remembered_frames(chunk.start, self.sink_frames, self.window_frames))
            by_shape.setdefault((len(own), len(context)), []).append((own, context))
        return [
            _Group(tuple(own for own, _ in members), tuple(context for _, context in members))
            for members in by_shape.values()
        ]

    def _rotation(self, frames: list[int] | range) -> Rotation:
        return rotation(frames, self.height, self.width, self.head_dim, self.device, self.rope_theta)


@dataclass
class _Layer:
    """One layer in one pass. past: keys and values that it kept of the clean clip, or None."""

    memory: SparseCausal
    index: int
    past: tuple[Tensor, Tensor] | None

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.memory._keeps:
            self.keep(k, v)
        return self.memory._attend(q, k, v, self.past)

    def keep(self, k: Tensor, v: Tensor) -> None:
        self.memory._keep(self.index, k, v)

    def snapshot(self) -> LayerMemory:
        """For a block that is run again once another pass may have begun, or another clip's past is kept."""
        return _Layer(copy.copy(self.memory), self.index, self.past)


def _fold(x: Tensor) -> Tensor:
    """(b g m l k d) -> ((b g) (m l) k d)"""
    return x.flatten(2, 3).flatten(0, 1)


def _gather(frames: Sequence[Tensor], index: tuple[tuple[int, ...], ...]) -> Tensor:
    """(b g m l k d) of frames (b l k d) by number.

    A stack of views: its gradient is plain sums in a fixed order, where an indexed one is slow, or differs from run to
    run.
    """
    if not index[0]:
        return frames[0].new_zeros(frames[0].shape[0], len(index), 0, *frames[0].shape[1:])
    return torch.stack([frames[i] for members in index for i in members], dim=1).unflatten(1, (len(index), -1))
