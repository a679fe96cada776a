"""From a stream of latents to a stream of frames, chunk by chunk, exactly as if the whole were decoded at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
from torch import Tensor

from ..models.apart import kept_apart
from ..models.vae.tiny_vae import TinyDecoderMemory, TinyVae
from ..models.vae.wan_vae import WanDecoderMemory, WanVae, check_latents

Memory = TypeVar("Memory")


class StreamingDecoder(Protocol):
    """Turns latents, as they come, into frames (t h w 3), float32 in [0, 1] on the latents' device.

    The frames of all pushes, joined, equal the whole decode. What is kept between two pushes does not grow with the
    stream.
    """

    def push(self, latents: Tensor) -> Tensor:
        """Every frame that is ready after the next latents (1 c f h w). Raises ValueError for other shapes."""
        ...

    def push_both(self, latents: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        """The same of two clips that go side by side, each (1 c f h w), from a stream's beginning to its end."""
        ...

    def reset(self) -> None:
        """Forgets the stream; the next push starts a new one, of any size."""
        ...

    def state(self) -> object:
        """What is remembered now, on the CPU, for `restore`."""
        ...

    def restore(self, state: object) -> None:
        """Go back to what `state` gave; it may be used again."""
        ...


class CausalVae(Protocol[Memory]):
    """A VAE whose decoder needs no later latents: each latent frame's frames are ready as soon as it is."""

    def new_memory(self) -> Memory: ...

    def decode_stream(self, latents: Tensor, memory: Memory, clamp: bool = True) -> Tensor: ...


class _CausalDecoder(Generic[Memory]):
    """A `StreamingDecoder` over a `CausalVae`; it holds nothing back."""

    def __init__(self, vae: CausalVae[Memory], num_channels: int) -> None:
        self._vae = vae
        self._num_channels = num_channels
        self.reset()

    def reset(self) -> None:
        self._memory = self._vae.new_memory()
        self._began_with: tuple[int, int, int] | None = None  # clips, height, width
        self._device: torch.device | None = None

    def state(self) -> object:
        return mapped(self._memory, kept_apart), self._began_with, self._device

    def restore(self, state: object) -> None:
        memory, self._began_with, self._device = cast(tuple[Any, Any, Any], state)
        self._memory = moved(memory, self._device)

    def push(self, latents: Tensor) -> Tensor:
        return self._push(latents)[0]

    def push_both(self, latents: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        frames, beside = self._push(latents, others)
        return frames, beside

    @torch.no_grad()
    def _push(self, *clips: Tensor) -> Tensor:
        """Frames (b t h w 3) of so many clips."""
        for latents in clips:
            check_latents(latents, self._num_channels)
            if latents.shape[0] != 1:
                raise ValueError(f"a stream carries one clip, got latents of batch size {latents.shape[0]}")
        latents = torch.cat(clips)
        size = len(clips), latents.shape[3], latents.shape[4]
        if self._began_with not in (None, size):
            raise ValueError(
                f"the stream began with latents of {self._began_with} (clips, h, w), got {size}; reset it first"
            )
        frames = self._vae.decode_stream(latents, self._memory).permute(0, 2, 3, 4, 1).float().contiguous()
        self._began_with, self._device = size, latents.device
        return frames


class TinyStreamingDecoder(_CausalDecoder[TinyDecoderMemory]):
    """Decodes with the tiny VAE, all latent frames of a push at once."""

    def __init__(self, vae: TinyVae) -> None:
        super().__init__(vae, vae.config.latent_channels)


class FullStreamingDecoder(_CausalDecoder[WanDecoderMemory]):
    """Decodes with the full VAE, one latent frame after the other."""

    def __init__(self, vae: WanVae) -> None:
        super().__init__(vae, vae.num_channels)


def moved(value: Any, device: torch.device | None) -> Any:
    """A copy of a memory, whatever holds its tensors, with these on `device` (None: where they are)."""
    return mapped(value, lambda each: each.to(device or each.device, copy=True))


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """A memory, whatever holds its tensors, with what `change` makes of each."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(each, change) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(each, change) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: mapped(getattr(value, each.name), change) for each in fields(value)})
    return value
