"""What a stream asks of a model, be it a TrackWan or a host's way of calling one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..models.kv_cache import KVCache, RopeRule
from ..models.memory import Memory
from ..models.track_head import TrackHead
from ..models.wan import CrossContext
from ..models.word_encoder import WordEncoder


class Network(Protocol):
    """A transformer that predicts velocities; `TrackWan` is one. Methods and attributes: see there."""

    @property
    def placement(self) -> tuple[torch.device, torch.dtype]: ...

    @property
    def track_head(self) -> TrackHead | None: ...

    @property
    def text_encoder(self) -> WordEncoder | None: ...

    def prepare_context(self, text: Tensor, image: Tensor | None = None) -> CrossContext: ...

    def make_cache(
        self,
        batch_size: int,
        height: int,
        width: int,
        *,
        sink_frames: int,
        window_frames: int,
        chunk_frames: int,
        rope_rule: RopeRule,
    ) -> KVCache: ...

    def __call__(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: CrossContext,
        memory: Memory | None = None,
        keys_only: bool = False,
    ) -> Tensor: ...


class SpecifiedNetwork(Protocol):
    """A network and its spec; a `LoadedModel` is one."""

    @property
    def model(self) -> Network: ...

    @property
    def spec(self) -> ModelSpec: ...


@dataclass(frozen=True)
class Specified:
    """A network under a spec other than its checkpoint's."""

    model: Network
    spec: ModelSpec
