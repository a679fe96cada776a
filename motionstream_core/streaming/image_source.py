"""What stands in the image slot of a stream's latent frames: the image as it was encoded, or as its tracks drag it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..geometry import VaeStride
from ..models.apart import kept_apart
from ..models.conditioning import Forecast
from ..models.finite import require_finite_image
from ..tracks import Tracks
from ..tracks.carry import CarriedPicture
from .decode import mapped

GREY_CLIP_LATENT_FRAMES = 21  # after so many the encoding of grey no longer changes; later frames repeat the last
STILL_LATENT_FRAMES = 5  # after so many the encoding of what stands still hardly changes
CHANGED = 2 / 255  # a pixel that differs by less from the picture is the picture's


class Encoder(Protocol):
    """What conditions need of a VAE."""

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1]."""
        ...


@runtime_checkable
class Drafting(Protocol):
    """A VAE whose encoder has a linear draft, or None."""

    @property
    def draft(self) -> Callable[[Tensor], Tensor] | None:
        """Latents (b c f h w) of the frames (b 3 4f h w) of latent frames after the first."""
        ...


@dataclass(frozen=True)
class ImageSlot:
    """Image latents (1 c f h w); moved (1 2 f h w), which share of a cell was moved there and moved away, or None.

    forecast: the pixels that the latents are of, where they are what the frames will be like.
    """

    latents: Tensor
    moved: Tensor | None = None
    forecast: Forecast | None = None


class ImageSource(Protocol):
    """Gives every chunk of a stream its image latents, chunk after chunk."""

    def at_latents(self, start: int, stop: int, tracks: Tracks) -> ImageSlot:
        """Of latent frames [start, stop), whose pixel frames have `tracks`; asked for once per chunk, in order."""
        ...

    def copy(self) -> ImageSource:
        """The same state, apart from this one."""
        ...


@dataclass(frozen=True)
class StillImage:
    """The same latents (1 c f h w) whatever moves; the last repeats for ever."""

    latents: Tensor

    def at_latents(self, start: int, stop: int, tracks: Tracks) -> ImageSlot:
        """See `ImageSource`."""
        known, last = self.latents[:, :, start:stop], self.latents[:, :, -1:]
        repeated = last.expand(-1, -1, stop - start - known.shape[2], -1, -1)
        return ImageSlot(torch.cat([known, repeated], dim=2))

    def copy(self) -> StillImage:
        """Itself: nothing of it changes."""
        return self


@dataclass
class CarriedImage:
    """A picture as its tracks drag it (`tracks.carry`), encoded chunk by chunk, each behind the frame before it.

    By a VAE that has a draft of its encoder only the picture itself is encoded; a cell that the tracks have changed is
    drafted.

    first: the picture (3 h w) as it was given, on the VAE's device. side: see `CarriedPicture`. carried: what its
        points have made of it, on the CPU; None before the first chunk. still: latents (1 c 1 h w) of the picture when
        it has stood still for long.
    """

    vae: Encoder
    stride: VaeStride
    first: Tensor
    side: float = 0.0
    carried: CarriedPicture | None = None
    still: Tensor | None = None

    def at_latents(self, start: int, stop: int, tracks: Tracks) -> ImageSlot:
        """See `ImageSource`."""
        if start == 0 or self.carried is None:  # a stream begins, perhaps not the first one
            self.carried = self._begun()
        begins, known = int(start == 0), self.carried.shown  # frame 0 is the picture to the bit
        carried = self.carried.carry(tracks)
        frames = torch.cat([known[:, None], carried.frames[:, begins:]], dim=1)
        frames = frames.to(self.first.device)
        latents = [self.vae.encode(frames[None, :, :1])] if begins else []
        if frames.shape[1] > 1:
            latents.append(self._encoded(frames))
        moved = latent_shares(torch.stack([carried.came, carried.went]), self.stride, whole=start == 0)[None]
        told = torch.cat(latents, dim=2)
        return ImageSlot(told, moved, Forecast(carried.frames, 1 - carried.went, told, self.stride.time))

    def begin(self, tracks: Tracks) -> None:
        """The picture was shown already, under `tracks` of that one frame: what they stand on goes along from there."""
        self.carried = self._begun()
        self.carried.carry(tracks)

    def _begun(self) -> CarriedPicture:
        return CarriedPicture(self.first.cpu(), self.side)

    def _encoded(self, frames: Tensor) -> Tensor:
        """Latents (1 c f h w) of frames (3 1+4f h w) without the first."""
        draft = self.vae.draft if isinstance(self.vae, Drafting) else None
        if draft is None:
            return self.vae.encode(frames[None])[:, :, 1:]
        picture = self.first[:, None]
        if self.still is None:
            long = picture.expand(-1, self.stride.num_frames(STILL_LATENT_FRAMES), -1, -1)
            self.still = self.vae.encode(long[None])[:, :, -1:]
        other = (frames[:, 1:] - picture).abs().amax(0)[None] > CHANGED
        cells = F.max_pool2d(other.float(), self.stride.space).unflatten(1, (-1, self.stride.time)).amax(2)
        if not cells.any():
            return self.still.expand(-1, -1, cells.shape[1], -1, -1)
        drafted = draft(frames[None, :, 1:].to(self.still))
        return torch.where(cells[None].to(drafted) > 0, drafted, self.still)

    def copy(self) -> CarriedImage:
        """The same state, apart from this one; what is its own lies apart from the heap, too."""
        return replace(self, carried=None if self.carried is None else mapped(self.carried.copy(), kept_apart))


@dataclass
class ClipThenCarried:
    """A clip's own latents (1 c f h w) as long as it lasts, then its last frame as tracks drag that (ADR 0011)."""

    latents: Tensor
    after: CarriedImage

    def at_latents(self, start: int, stop: int, tracks: Tracks) -> ImageSlot:
        """See `ImageSource`; `tracks` in the clip's last frame are where they begin in the picture."""
        length = self.latents.shape[2]
        if start >= length:
            return self.after.at_latents(start, stop, tracks)
        if stop == length:
            self.after.begin(tracks.slice(tracks.num_frames - 1, tracks.num_frames))
        return ImageSlot(self.latents[:, :, start:stop])

    def copy(self) -> ClipThenCarried:
        """The same state, apart from this one."""
        return replace(self, after=self.after.copy())


def latent_shares(shares: Tensor, stride: VaeStride, whole: bool = True) -> Tensor:
    """Shares (n t h w) of pixels as those of latent cells (n f h w).

    whole: they begin with a clip's first frame, which is a latent frame of its own.
    """
    cells = F.avg_pool2d(shares, stride.space)
    first = int(whole)
    return torch.cat([cells[:, :first], cells[:, first:].unflatten(1, (-1, stride.time)).mean(2)], dim=1)


def image_source(spec: ModelSpec, vae: Encoder, image: Tensor) -> ImageSource | None:
    """The source of an image (1 3 1 h w) in [0, 1] by the spec's rule; None for text-to-video.

    Raises ValueError for an image that is not finite.
    """
    if spec.image_rule == "carried":
        require_finite_image(image)
        return CarriedImage(vae, spec.vae_stride, image[0, :, 0].float())
    latents = image_latents(spec, vae, image)
    return None if latents is None else StillImage(latents)


def clip_source(spec: ModelSpec, vae: Encoder, frames: Tensor, latents: Tensor) -> ImageSource | None:
    """The source of a stream that goes on from a clip, frames (1 3 t h w) in [0, 1] and what they are encoded to.

    The clip's first frame is the image, as if the stream had made the rest; by the rule "carried" its last one is.
    """
    if spec.image_rule == "carried":
        return ClipThenCarried(latents, CarriedImage(vae, spec.vae_stride, frames[0, :, -1].float()))
    return image_source(spec, vae, frames[:, :, :1])


def image_latents(spec: ModelSpec, vae: Encoder, image: Tensor) -> Tensor | None:
    """Image latents (1 c f h w) of an image (1 3 1 h w) in [0, 1] by the spec's rule; None for text-to-video.

    Latent frame 0 is the image; what follows is what later latent frames are given (the last repeats for ever).
    Raises ValueError for the rule "carried", by which they depend on the tracks, and for an image that is not finite.
    """
    if spec.image_rule == "carried":
        raise ValueError(
            "this checkpoint is given its image as the tracks drag it, chunk by chunk; sample it as a stream"
        )
    if spec.image_rule == "none":
        return None
    require_finite_image(image)
    if spec.image_rule == "first_latent":
        first = vae.encode(image)
        return torch.cat([first, torch.zeros_like(first)], dim=2)
    grey = image.new_full(
        (*image.shape[:2], spec.vae_stride.num_frames(GREY_CLIP_LATENT_FRAMES) - 1, *image.shape[3:]), 0.5
    )
    return vae.encode(torch.cat([image, grey], dim=2))
