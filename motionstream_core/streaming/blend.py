"""A prompt that takes the place of another by and by: what a chunk in between is told."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from ..models.wan import CrossContext

KeysAndValues = tuple[tuple[Tensor, Tensor], ...]


@dataclass(frozen=True)
class BlendedPrompt:
    """A prompt's keys, and those that it comes from: after `done` of `blend_chunks` chunks it stands alone."""

    context: CrossContext
    before: CrossContext
    blend_chunks: int = 0
    done: int = 0

    def now(self) -> CrossContext:
        """The keys of the next chunk."""
        if self.done >= self.blend_chunks:
            return self.context
        share = (self.done + 1) / (self.blend_chunks + 1)
        return CrossContext(
            _between(self.before.text, self.context.text, share), _between(self.before.image, self.context.image, share)
        )

    def after_chunk(self) -> BlendedPrompt:
        """One chunk further."""
        return dataclasses.replace(self, done=self.done + 1) if self.done < self.blend_chunks else self


def _between(before: KeysAndValues, after: KeysAndValues, share: float) -> KeysAndValues:
    return tuple(
        (torch.lerp(k0, k1, share), torch.lerp(v0, v1, share)) for (k0, v0), (k1, v1) in zip(before, after, strict=True)
    )
