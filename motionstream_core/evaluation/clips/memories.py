"""One student under many memories: how many latent frames a chunk has, and how many chunks it sees of those before.

Named as the paper names them (arXiv 2511.01266, figure 6a): c3s1w1 is three latent frames a chunk, one chunk in the
sink and one in the window. A model trained over random sinks and windows can be asked for any of them.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from ...checkpoints.load import LoadedModel
from ...checkpoints.spec import ModelSpec
from ...streaming.render.renderer import Renderer


@dataclass(frozen=True, order=True)
class ChunkMemory:
    """chunk_frames: latent frames of a chunk. sink_chunks, window_chunks: chunks that are seen; not both 0."""

    chunk_frames: int
    sink_chunks: int
    window_chunks: int

    def __post_init__(self) -> None:
        if self.chunk_frames < 1 or self.sink_chunks < 0 or self.window_chunks < 0:
            raise ValueError(f"{self.name}: a chunk has at least 1 latent frame, sink and window at least 0 chunks")
        if self.sink_chunks + self.window_chunks < 1:
            raise ValueError(f"{self.name}: a chunk would see nothing before it; sink and window may not both be 0")

    @property
    def name(self) -> str:
        """As the paper writes it."""
        return f"c{self.chunk_frames}s{self.sink_chunks}w{self.window_chunks}"

    def spec(self, spec: ModelSpec) -> ModelSpec:
        """A student's `spec` with this memory."""
        spec = spec.with_chunks(self.chunk_frames)
        sink = spec.chunk_plan.chunk(self.sink_chunks - 1).stop if self.sink_chunks else 0
        return replace(spec, sink_frames=sink, window_frames=self.window_chunks * self.chunk_frames)

    def renderer(self, renderer: Renderer) -> Renderer:
        """The same student on the same device with this memory."""
        renderer.settle()
        other = copy.copy(renderer)
        other.loaded = LoadedModel(renderer.loaded.model, self.spec(renderer.loaded.spec))
        return other


@dataclass(frozen=True)
class MemoryGrid:
    """Every chunk with every sink and every window. chunks: latent frames; empty for the model's own.

    Raises ValueError where no chunk would see anything before it.
    """

    chunks: tuple[int, ...] = ()
    sinks: tuple[int, ...] = (1,)
    windows: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not any(self.sinks) and not any(self.windows):
            raise ValueError("--sinks and --windows are both 0: a chunk would see nothing before it")

    def of(self, spec: ModelSpec) -> tuple[ChunkMemory, ...]:
        """The memories of a model of `spec`, but for those that would see nothing."""
        chunks = self.chunks or (spec.chunk_plan.chunk_frames,)
        return tuple(ChunkMemory(c, s, w) for c in chunks for s in self.sinks for w in self.windows if s + w)
