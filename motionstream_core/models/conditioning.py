"""What a model is told beside the noise, and in which channels: mask, image latents, motion latents, prompt.

The order of a model's input channels is part of its checkpoint (`InputLayout`); nothing here guesses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from .wan import CrossContext

InputKind = Literal["noise", "mask", "image", "track", "control"]


@dataclass(frozen=True)
class InputLayout:
    """Order and width of the input channels, e.g. (("noise", 16), ("mask", 4), ("image", 16), ("track", 16))."""

    slots: tuple[tuple[InputKind, int], ...]

    def __post_init__(self) -> None:
        kinds = [kind for kind, _ in self.slots]
        if unknown := [kind for kind in kinds if kind not in get_args(InputKind)]:
            raise ValueError(f"input slot {unknown[0]!r} is unknown; known are {', '.join(get_args(InputKind))}")
        if "noise" not in kinds or len(set(kinds)) != len(kinds):
            raise ValueError(f"input slots must hold 'noise' and none twice, got {kinds}")
        if any(width < 1 for _, width in self.slots):
            raise ValueError(f"input slots must be at least one channel wide, got {self.slots}")

    @property
    def num_channels(self) -> int:
        return sum(width for _, width in self.slots)

    def width(self, kind: InputKind) -> int:
        """Channels of `kind`, 0 where the model has none."""
        return dict(self.slots).get(kind, 0)

    def span(self, kind: InputKind) -> slice:
        """The channels of `kind`, which the model has."""
        kinds = [each for each, _ in self.slots]
        start = sum(width for _, width in self.slots[: kinds.index(kind)])
        return slice(start, start + self.width(kind))


@dataclass(frozen=True)
class Forecast:
    """frames (3 t h w) in [0, 1] that a run of latent frames will be like, and these latents (1 c f h w) themselves.

    known (t h w): share of every pixel that is no guess. stride: frames to a latent frame; a stream's first has one.
    """

    frames: Tensor
    known: Tensor
    latents: Tensor
    stride: int

    def part(self, frames: slice, latents: slice) -> Forecast:
        """A part of the run."""
        return Forecast(self.frames[:, frames], self.known[frames], self.latents[:, :, latents], self.stride)


@dataclass(frozen=True)
class Conditions:
    """Conditions of a run of latent frames; each tensor (b c f h w), or None where the layout has no such slot.

    clean_first: the image latent (b c 1 h w) that latent frame 0 of this run is fixed to, None elsewhere.
    forecast: of its pixels, which the model is not told: for whoever decodes. Of one clip; None where there is none.
    """

    context: CrossContext
    mask: Tensor | None = None
    image: Tensor | None = None
    track: Tensor | None = None
    clean_first: Tensor | None = None
    forecast: Forecast | None = None

    def without_motion(self) -> Conditions:
        """The same with a zero track map: what "no motion" means after the head (arXiv 2511.01266, Eq. 2)."""
        return self if self.track is None else replace(self, track=torch.zeros_like(self.track))

    def with_context(self, context: CrossContext) -> Conditions:
        """The same under another prompt."""
        return replace(self, context=context)


def assemble(layout: InputLayout, noisy: Tensor, conditions: Conditions) -> Tensor:
    """Model input (b c f h w) from noisy latents and conditions, in the layout's order.

    The control slot of Fun-Control gets zeros, which is what it was trained to take for "no control video".
    Raises ValueError when another slot's condition is missing or has another width.
    """
    width = layout.width("control")
    parts: dict[str, Tensor | None] = {
        "noise": noisy,
        "mask": conditions.mask,
        "image": conditions.image,
        "track": conditions.track,
        "control": torch.zeros_like(noisy[:, :1]).expand(-1, width, -1, -1, -1) if width else None,
    }
    ordered = []
    for kind, width in layout.slots:
        part = parts[kind]
        if part is None or part.shape[1] != width:
            found = "is missing" if part is None else f"has {part.shape[1]} channels"
            raise ValueError(f"the condition {kind!r} {found}; this model takes {width} channels of it")
        ordered.append(part.to(noisy.dtype))
    return torch.cat(ordered, dim=1) if len(ordered) > 1 else ordered[0]


def first_frame_mask(num_latent_frames: int, height: int, width: int, like: Tensor, first: int = 0) -> Tensor:
    """Mask (1 4 f h w) of latent frames first..first+f: 1 in latent frame 0, whose four pixel frames are known."""
    mask = like.new_zeros(1, 4, num_latent_frames, height, width)
    if first == 0:
        mask[:, :, 0] = 1
    return mask


def batch_contexts(contexts: Sequence[CrossContext]) -> CrossContext:
    """The prompts of several passes joined along the batch."""

    def join(pairs: Sequence[tuple[tuple[Tensor, Tensor], ...]]) -> tuple[tuple[Tensor, Tensor], ...]:
        return tuple(
            (torch.cat([pair[0] for pair in layer]), torch.cat([pair[1] for pair in layer]))
            for layer in zip(*pairs, strict=True)
        )

    return CrossContext(join([c.text for c in contexts]), join([c.image for c in contexts]))


def batch_conditions(runs: Sequence[Conditions]) -> Conditions:
    """Several runs of the same shape joined along the batch.

    Raises ValueError for a condition that some runs have and others lack.
    """

    def join(kind: str) -> Tensor | None:
        present = [tensor for run in runs if (tensor := getattr(run, kind)) is not None]
        if present and len(present) < len(runs):
            raise ValueError(f"the condition {kind!r} is missing in {len(runs) - len(present)} of {len(runs)} runs")
        return torch.cat(present) if present else None

    return Conditions(
        context=batch_contexts([run.context for run in runs]),
        mask=join("mask"),
        image=join("image"),
        track=join("track"),
        clean_first=join("clean_first"),
    )
