"""Sizes of videos, latents and chunks: all 4k+1, stride, patch and chunk arithmetic, once.

Axis letters, used in every docstring and einops pattern of this library:

    b batch    c channels    t pixel frames    f latent frames    h height    w width
    l tokens   n tracks      k attention heads  d features of one head or embedding

Two layouts of the first chunk exist (`ChunkPlan`):

    3k      every chunk has the same length; the image latent is the first latent of chunk 0
    1 + 3k  chunk 0 is the image latent alone, every later chunk has the same length
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class VideoShape:
    """A clip in pixels: `num_frames` frames of `height` x `width` px."""

    num_frames: int
    height: int
    width: int

    def __post_init__(self) -> None:
        for name in ("num_frames", "height", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class LatentShape:
    """A clip in latent space: `num_channels` x `num_frames` latent frames x `height` x `width` cells."""

    num_channels: int
    num_frames: int
    height: int
    width: int


@dataclass(frozen=True)
class VaeStride:
    """Compression of a VAE in pixels per latent cell; Wan 2.1 is (4, 8), Wan 2.2 5B is (4, 16).

    Time follows Wan's causal rule: the first pixel frame fills the first latent frame alone,
    so 1 + time * i pixel frames make 1 + i latent frames.
    """

    time: int = 4
    space: int = 8

    def __post_init__(self) -> None:
        if self.time < 1 or self.space < 1:
            raise ValueError(f"strides must be at least 1, got time {self.time} and space {self.space}")

    def num_latent_frames(self, num_frames: int) -> int:
        """Latent frames of `num_frames` pixel frames. Raises ValueError unless num_frames = 1 + time * i."""
        if num_frames < 1 or (num_frames - 1) % self.time:
            below = max(1, (num_frames - 1) // self.time * self.time + 1)
            raise ValueError(
                f"num_frames is {num_frames}, but this VAE takes 1 + {self.time} * i frames; "
                f"nearest that fit: {_either(below, below + self.time)}"
            )
        return 1 + (num_frames - 1) // self.time

    def num_frames(self, num_latent_frames: int) -> int:
        """Pixel frames that `num_latent_frames` latent frames, counted from the clip's start, decode to."""
        return 1 + (num_latent_frames - 1) * self.time if num_latent_frames > 0 else 0

    def frame_span(self, latent_start: int, latent_stop: int) -> tuple[int, int]:
        """Pixel frames [start, stop) that belong to latent frames [latent_start, latent_stop)."""
        return self.num_frames(latent_start), self.num_frames(latent_stop)

    def latent_shape(
        self, video: VideoShape, num_channels: int, patch: tuple[int, int, int] = (1, 2, 2)
    ) -> LatentShape:
        """Shape of `video`'s latents.

        Raises ValueError when a side is no multiple of stride x patch, naming the nearest sides that are.
        """
        num_latent_frames = self.num_latent_frames(video.num_frames)
        sides = {}
        for name, side, patch_side in (("height", video.height, patch[1]), ("width", video.width, patch[2])):
            unit = self.space * patch_side
            if side % unit:
                below = max(unit, side // unit * unit)
                raise ValueError(
                    f"{name} is {side} px, but it must be a multiple of {unit} "
                    f"(VAE stride {self.space} x patch {patch_side}); nearest that fit: {_either(below, below + unit)}"
                )
            sides[name] = side // self.space
        if num_latent_frames % patch[0]:
            raise ValueError(f"{num_latent_frames} latent frames are no multiple of the temporal patch {patch[0]}")
        return LatentShape(num_channels, num_latent_frames, sides["height"], sides["width"])


def _either(low: int, high: int) -> str:
    return f"{low} or {high}"


@dataclass(frozen=True)
class Chunk:
    """Latent frames [start, stop), generated together; `index` counts chunks from 0."""

    index: int
    start: int
    stop: int

    @property
    def num_frames(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class ChunkPlan:
    """How a stream of latent frames falls into chunks.

    chunk_frames: latent frames of every chunk after the first (paper: 3).
    first_chunk_frames: latent frames of chunk 0: `chunk_frames` (layout 3k) or 1 (layout 1 + 3k, Track-v0).
    """

    chunk_frames: int = 3
    first_chunk_frames: int = 3

    def __post_init__(self) -> None:
        if self.chunk_frames < 1:
            raise ValueError(f"chunk_frames must be at least 1, got {self.chunk_frames}")
        if self.first_chunk_frames not in (1, self.chunk_frames):
            raise ValueError(
                f"first_chunk_frames must be 1 or chunk_frames ({self.chunk_frames}), got {self.first_chunk_frames}"
            )

    def chunk(self, index: int) -> Chunk:
        """Chunk number `index` of a stream without end."""
        if index < 0:
            raise ValueError(f"chunk index must be at least 0, got {index}")
        if index == 0:
            return Chunk(0, 0, self.first_chunk_frames)
        start = self.first_chunk_frames + (index - 1) * self.chunk_frames
        return Chunk(index, start, start + self.chunk_frames)

    def num_chunks(self, num_latent_frames: int) -> int:
        """Chunks in `num_latent_frames` latent frames. Raises ValueError, naming the nearest counts that fill them."""
        rest = num_latent_frames - self.first_chunk_frames
        if num_latent_frames < 1 or rest < 0 or rest % self.chunk_frames:
            below = self.first_chunk_frames + max(0, rest // self.chunk_frames) * self.chunk_frames
            nearest = str(below) if rest < 0 else _either(below, below + self.chunk_frames)
            raise ValueError(
                f"{num_latent_frames} latent frames do not fill chunks of {self.first_chunk_frames} + "
                f"{self.chunk_frames} * i; nearest that fit: {nearest}"
            )
        return 1 + rest // self.chunk_frames

    def chunks(self, num_latent_frames: int | None = None) -> Iterator[Chunk]:
        """The chunks of `num_latent_frames` latent frames in order; without end for None."""
        count = None if num_latent_frames is None else self.num_chunks(num_latent_frames)
        index = 0
        while count is None or index < count:
            yield self.chunk(index)
            index += 1


@dataclass(frozen=True)
class ClipLengths:
    """The lengths of a video, in pixel frames, that a model makes: `first` and every `step` more.

    A student makes whole chunks; a teacher makes any length that its VAE takes.
    """

    first: int
    step: int

    def __str__(self) -> str:
        """As in "1 + 12 * k"."""
        return f"{self.first} * k" if self.first == self.step else f"{self.first} + {self.step} * k"

    @property
    def moving(self) -> ClipLengths:
        """Those that are more than the first frame alone."""
        return self if self.first > 1 else ClipLengths(self.first + self.step, self.step)

    def at_most(self, num_frames: int) -> int:
        """The largest length up to `num_frames`; 0 where even the first is longer."""
        return num_frames - (num_frames - self.first) % self.step if num_frames >= self.first else 0

    def at_least(self, num_frames: int) -> int:
        """The smallest length from `num_frames` on."""
        return max(self.first, num_frames + (self.first - num_frames) % self.step)

    def nearest(self, num_frames: int) -> int:
        """The length nearest to `num_frames`, the longer of two; never the first frame alone where more is asked."""
        lengths = self if num_frames <= 1 else self.moving
        below, above = lengths.at_most(num_frames), lengths.at_least(num_frames)
        return above if above - num_frames <= num_frames - below or not below else below

    def check(self, num_frames: int) -> None:
        """Raise ValueError, naming the nearest lengths, unless `num_frames` is one of them."""
        above, below = self.at_least(num_frames), self.at_most(num_frames)
        if num_frames != above:
            nearest = _either(below, above) if below else f"{above}"
            raise ValueError(f"this checkpoint makes {self} frames, not {num_frames}; nearest that fit: {nearest}")
