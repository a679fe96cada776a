"""What every stage trains on: batches of clips in a fixed order, whatever they are made from.

The order is a function of (seed, position) alone, position counting samples since the start of training. Nothing has
to be stored to go on in mid-epoch, and ranks that take different positions share one order between them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

T = TypeVar("T")
ORDER, SAMPLE = 1, 2  # the two things that are drawn from one seed


@dataclass(frozen=True)
class Batch:
    """latents (b c f h w); points (b t n 2) px of the frame shown; visibility (b t n), False for tracks not told.

    Where the clips hold them: text (b l d) embeddings of the captions and empty_text (l d) of the empty one;
    image_tokens (b m e) of CLIP; image (b c f h w), the encoding of a clip that is grey after its first frame, or that
    is the first frame as the tracks drag it, and then mask (b 4 f h w) beside it (`ModelSpec.image_rule`);
    track (b c f h w), what stands in the track slot in place of the track head's output.
    """

    latents: Tensor
    points: Tensor
    visibility: Tensor
    captions: list[str]
    text: Tensor | None = None
    empty_text: Tensor | None = None
    image_tokens: Tensor | None = None
    image: Tensor | None = None
    mask: Tensor | None = None
    track: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`."""
        moved = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **moved)

    def with_tracks(self, points: Tensor, visibility: Tensor) -> Batch:
        """The same clips under other tracks."""
        return replace(self, points=points, visibility=visibility)

    def clip(self, number: int) -> Batch:
        """One of the clips, as a batch of it alone."""
        own = {
            name: value[number : number + 1]
            for name, value in vars(self).items()
            if isinstance(value, Tensor) and name != "empty_text"
        }
        return replace(self, captions=self.captions[number : number + 1], **own)

    def with_latents(self, latents: Tensor) -> Batch:
        """The same conditions for other latents."""
        return replace(self, latents=latents)


@dataclass(frozen=True)
class View:
    """Which part of a clip a sample shows: its first `latent_frames`, a window of `cells` x `cells` latent cells.

    A side of the clip that is shorter than the window is shown whole.
    """

    latent_frames: int
    cells: int


WHOLE_CLIP = View(13, 16)


class RandomClips(Protocol):
    """Clips that are drawn at random, in no order."""

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        """Random clips, windows and track selections, drawn by `rng`."""
        ...


class TrainingClips(RandomClips, Protocol):
    """Clips that a stage trains on: rendered (`data.world`) or filmed (`data.videos`)."""

    def __len__(self) -> int: ...

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        """Samples position .. position + size - 1 of the order that `seed` gives.

        Sample number p is the same whoever asks, and in a batch of whatever size, but for padding: clip
        `clip_at(p, len(self), seed)`, with all its choices drawn from `sample_rng(p, seed)`.
        """
        ...


def clip_at(position: int, num_clips: int, seed: int) -> int:
    """Index of the clip at a position: every epoch visits every clip once, in an order of its own."""
    epoch, place = divmod(position, num_clips)
    return int(_permutation(seed, epoch, num_clips)[place])


@lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, num_clips: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, ORDER, epoch)).permutation(num_clips)


def sample_rng(position: int, seed: int) -> np.random.Generator:
    """What the sample at a position draws its window and its tracks from."""
    return np.random.default_rng((seed, SAMPLE, position))


def collate(samples: list[tuple[Tensor, Tensor, Tensor, str]]) -> Batch:
    """Samples of unlike numbers of tracks, padded with invisible ones."""
    num_tracks = max(1, *(points.shape[1] for _, points, _, _ in samples))
    return Batch(
        latents=torch.stack([latents for latents, *_ in samples]),
        points=torch.stack([_pad_tracks(points, num_tracks) for _, points, _, _ in samples]),
        visibility=torch.stack([_pad_tracks(visibility, num_tracks) for _, _, visibility, _ in samples]),
        captions=[caption for *_, caption in samples],
    )


def _pad_tracks(values: Tensor, num_tracks: int) -> Tensor:
    padded = values.new_zeros(values.shape[0], num_tracks, *values.shape[2:])
    padded[:, : values.shape[1]] = values
    return padded


def pad_text(texts: Sequence[Tensor]) -> Tensor:
    """Embeddings (l_i d) of unlike lengths as one (b l d), zeros after each; l is the longest."""
    longest = max(text.shape[0] for text in texts)
    padded = texts[0].new_zeros(len(texts), longest, texts[0].shape[1])
    for row, text in enumerate(texts):
        padded[row, : text.shape[0]] = text
    return padded


def prefetched(make: Callable[[int], T], steps: Iterable[int], ahead: int = 2) -> Iterator[T]:
    """make(step) for each of `steps` in order, made by a thread up to `ahead` of the one in use.

    What `make` raises is raised here, at its step. Closing the iterator ends the thread.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None] | None] = queue.Queue(ahead)
    stopped = threading.Event()

    def put(item: tuple[T | None, BaseException | None] | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for step in steps:
                if stopped.is_set():
                    return
                put((make(step), None))
        except BaseException as error:
            put((None, error))
        put(None)

    thread = threading.Thread(target=work, name="prefetch", daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not None:
            made, error = item
            if error is not None:
                raise error
            yield made  # type: ignore[misc]  # None only beside an error
    finally:
        stopped.set()
        thread.join()
