"""The chunk boundaries of a live session to which it can go back: all that the rest of a stream depends on."""

from __future__ import annotations

import dataclasses
from collections import deque
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..models.kv_cache import CacheState
from .blend import BlendedPrompt
from .image_source import ImageSource
from .live_tracks import LiveTracks


@dataclass(frozen=True)
class Boundary:
    """Everything that the rest of a stream depends on, at one chunk boundary.

    segment: the stream since the last new anchor, and segment_chunk its next chunk. frame: the last one (h w 3).
    """

    chunk: int
    segment: int
    segment_chunk: int
    num_frames: int
    tracks: LiveTracks
    prompt: BlendedPrompt
    source: ImageSource | None
    cache: CacheState
    decoder: object
    frame: Tensor

    @property
    def num_bytes(self) -> int:
        """Mostly the cache's; the decoder's features are a few frames of it."""
        return self.cache.num_bytes + _tensor_bytes(self.decoder)


class History:
    """Boundaries, oldest first, within so many bytes of the CPU's memory and so many frames back.

    max_bytes: 0 keeps none; else the newest is kept, whatever it takes.
    """

    def __init__(self, max_bytes: int, max_frames: float) -> None:
        self._max_bytes, self._max_frames = max_bytes, max_frames
        self._kept: deque[Boundary] = deque()

    def __len__(self) -> int:
        return len(self._kept)

    def __bool__(self) -> bool:
        return bool(self._kept)

    @property
    def first(self) -> Boundary:
        """The oldest."""
        return self._kept[0]

    @property
    def last(self) -> Boundary:
        """The newest."""
        return self._kept[-1]

    def wants(self, chunk: int) -> bool:
        """Whether the boundary before that chunk is to be kept: not where the stream has just returned to it."""
        return self._max_bytes > 0 and not (self._kept and self.last.chunk == chunk)

    def keep(self, boundary: Boundary) -> None:
        """One more; of the older ones as many stay as there is room for."""
        self._kept.append(boundary)
        room = self._max_bytes // max(1, boundary.num_bytes)
        oldest = boundary.num_frames - self._max_frames
        while len(self._kept) > 1 and (len(self._kept) > room or self._kept[1].num_frames < oldest):
            self._kept.popleft()

    def back_to(self, num_frames: int) -> Boundary:
        """The newest that has no more frames than that, or the first of all; those after it are gone."""
        while len(self._kept) > 1 and self.last.num_frames > num_frames:
            self._kept.pop()
        return self.last

    def clear(self) -> None:
        """None is kept."""
        self._kept.clear()


def _tensor_bytes(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, dict):
        return sum(map(_tensor_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_tensor_bytes, value))
    return sum(map(_tensor_bytes, vars(value).values())) if dataclasses.is_dataclass(value) else 0
