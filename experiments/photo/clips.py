"""Clips of drags under words, as latents: what the photo student is trained on."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.photo.drags import Array, DragClip, draw_drag, draw_pictures, varied
from motionstream_core.checkpoints import load_tiny_vae
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.evaluation.world.report import frames_tensor
from motionstream_core.files import new_file
from motionstream_core.geometry import VaeStride
from motionstream_core.models.conditioning import first_frame_mask
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import moved_mask
from motionstream_core.streaming.image_source import STILL_LATENT_FRAMES, CarriedImage
from motionstream_core.tracks import Tracks
from motionstream_core.training.data import Batch, View
from motionstream_core.training.data.batches import collate
from motionstream_core.world.weather import FALLS, Asked, weathered
from motionstream_core.world.weather import WORDS as WEATHER

CELL_PX, FRAME_PX = 8, 128.0
STILL = "still"
VOCABULARY = tuple(dict.fromkeys([STILL, *(word for words in WEATHER for word in words.split()), "and", ","]))
NONE_SHARE = 0.2  # of the captions, that ask for nothing
TURN = 7  # the latent frame in which half of the longer clips are asked for something else; all chunks end before it
PICTURES, MOST_PICTURES, DRAGS_OF_PICTURES = 60, 300, 150
MADE = 0.2  # a latent cell that differs by more from the one that the model is told is one that it has to make
TOUCHED = 0.5  # what a cell weighs that a drag has changed: of what it uncovers most is beyond knowing


@dataclass(frozen=True)
class Drag:
    """A clip before any words: frames uint8 (t h w 3), the points told (t n 2), their visibility (t n).

    image (c f h w): the picture as the points carry it, mask (4 f h w): which cells they have changed. Both are causal:
    what they are early does not depend on what comes later.
    """

    frames: NDArray[np.uint8]
    points: Tensor
    visibility: Tensor
    image: Tensor
    mask: Tensor

    def first(self, latent_frames: int, stride: VaeStride) -> Drag:
        """Its first so many latent frames."""
        t, f = stride.num_frames(latent_frames), latent_frames
        image, mask = self.image[:, :f], self.mask[:, :f]
        return Drag(self.frames[:t], self.points[:t], self.visibility[:t], image, mask)

    def save(self, path: Path) -> None:
        """Write a file that appears whole."""
        with new_file(path) as file:
            np.savez(file, **{name: np.asarray(value) for name, value in vars(self).items()})  # pyright: ignore[reportArgumentType]

    @classmethod
    def load(cls, path: Path) -> Drag:
        """Read `save`'s file."""
        with np.load(path) as file:
            return cls(file["frames"], *(torch.from_numpy(file[field.name]) for field in fields(cls)[1:]))


@dataclass(frozen=True)
class Drawn:
    """A batch of clips: weight (b 1 f h w) of their cells, noise (b c f h w), captions, one a latent frame."""

    batch: Batch
    weight: Tensor
    noise: Tensor
    captions: list[tuple[str, ...]]


def asked_of(captions: tuple[str, ...]) -> Asked:
    """What captions ask for."""
    return [frozenset(word for word in WEATHER if word in caption) for caption in captions]


def draw_captions(rng: np.random.Generator, latent_frames: int, falls: float) -> tuple[str, ...]:
    """One a latent frame: the same for all, or from `TURN` on another; what falls `falls` times as often as a light."""
    first = _caption(rng, falls)
    if latent_frames <= TURN or rng.random() < 0.5:
        return (first,) * latent_frames
    return (first,) * TURN + (_caption(rng, falls),) * (latent_frames - TURN)


def _caption(rng: np.random.Generator, falls: float) -> str:
    if rng.random() < NONE_SHARE:
        return STILL if rng.random() < 0.5 else ""
    count = int(rng.choice(3, p=[0.6, 0.3, 0.1])) + 1
    often = np.array([falls if word in FALLS else 1.0 for word in WEATHER])
    words = rng.choice(WEATHER, count, replace=False, p=often / often.sum())
    return (" and " if rng.random() < 0.3 else ", ").join(words)


def carried(vae: TinyVae, spec: ModelSpec, picture: Tensor, tracks: Tracks) -> tuple[Tensor, Tensor]:
    """The image's and the mask's slot (c f h w) of a whole clip, made chunk by chunk as in a stream."""
    source, slots = CarriedImage(vae, spec.vae_stride, picture, FRAME_PX), []
    for chunk in spec.chunk_plan.chunks(spec.vae_stride.num_latent_frames(tracks.num_frames)):
        frames = tracks.slice(*spec.vae_stride.frame_span(chunk.start, chunk.stop))
        slots.append(source.at_latents(chunk.start, chunk.stop, frames))
    image = torch.cat([slot.latents for slot in slots], dim=2)
    mask = first_frame_mask(image.shape[2], image.shape[3], image.shape[4], image)
    moved = torch.cat([slot.moved for slot in slots if slot.moved is not None], dim=2)
    return image[0], moved_mask(mask, moved, 0)[0]


@torch.no_grad()
def draw(rng: np.random.Generator, pictures: list[Array], spec: ModelSpec, vae: TinyVae, view: View) -> Drag:
    """A drag of cut-outs."""
    side = view.cells * CELL_PX
    clip = draw_drag(rng, pictures, spec.vae_stride.num_frames(view.latent_frames), side)
    told = told_points(clip, rng)
    points, visibility = (torch.from_numpy(part[:, told]) for part in (clip.points, clip.visibility))
    tracks = Tracks(points.nan_to_num(), visibility, side, side)
    image, mask = carried(vae, spec, frames_tensor(clip.frames[:1])[0, :, 0], tracks)
    return Drag(clip.frames, points, visibility, image, mask)


@torch.no_grad()
def draw_stills(
    rng: np.random.Generator, count: int, pictures: list[Array], spec: ModelSpec, vae: TinyVae, view: View
) -> list[Drag]:
    """Pictures in which nothing moves, and now and then points that say so: made in no time."""
    side, length = view.cells * CELL_PX, spec.vae_stride.num_frames(view.latent_frames)
    frames = []
    for _ in range(count):
        picture = varied(rng, pictures)
        y, x = (int(rng.integers(0, whole - side + 1)) for whole in picture.shape[:2])
        frames.append((picture[y : y + side, x : x + side] * 255 + 0.5).astype(np.uint8))
    long = torch.cat([frames_tensor(frame[None]) for frame in frames])
    latents = vae.encode(long.expand(-1, -1, spec.vae_stride.num_frames(STILL_LATENT_FRAMES), -1, -1)).float()
    images = torch.cat([latents[:, :, :1], latents[:, :, -1:].expand(-1, -1, view.latent_frames - 1, -1, -1)], dim=2)
    cells = view.latent_frames, view.cells, view.cells
    mask = moved_mask(first_frame_mask(*cells, images), torch.zeros(1, 2, *cells), 0)[0]
    stills = []
    for frame, image in zip(frames, images, strict=True):
        points = rng.uniform(0, side, (1, int(rng.choice([0, 1, 4, 16, 64])), 2)).astype(np.float32)
        told = torch.from_numpy(points).repeat(length, 1, 1)
        seen = torch.ones(told.shape[:2], dtype=torch.bool)
        stills.append(Drag(np.repeat(frame[None], length, 0), told, seen, image, mask))
    return stills


def keep_drawing(folder: Path, count: int, spec: ModelSpec, vae_file: Path, view: View) -> None:
    """Fill a folder with drags number 0 .. count - 1, as a process of its own; those that are there stay."""
    torch.set_num_threads(1)
    os.nice(5)
    vae = load_tiny_vae(vae_file).float().eval()
    pictures: list[Array] = []
    for number in range(count):
        if number % DRAGS_OF_PICTURES == 0:
            pictures = draw_pictures(np.random.default_rng((301, number)), PICTURES)
        path = folder / f"{number:05d}.npz"
        if not path.exists():
            draw(np.random.default_rng((302, number)), pictures, spec, vae, view).save(path)


class Clips:
    """Drags of a folder, while it is filled, and still pictures, under ever new words."""

    def __init__(self, folder: Path, spec: ModelSpec, vae: TinyVae, seed: int) -> None:
        self.folder, self.spec, self.vae = folder, spec, vae
        self.pictures = draw_pictures(np.random.default_rng((303, seed)), PICTURES)
        self.files = sorted(folder.glob("[0-9]*.npz"))

    def refresh(self, rng: np.random.Generator) -> None:
        """Take in drags that were drawn since, and a few new pictures."""
        self.files = sorted(self.folder.glob("[0-9]*.npz"))
        self.pictures = [*draw_pictures(rng, 4), *self.pictures][:MOST_PICTURES]

    @torch.no_grad()
    def batch(self, view: View, size: int, still: float, rng: np.random.Generator, gain: float, falls: float) -> Drawn:
        """Random clips, a share of them still pictures; what words make weighs by `gain` more than the rest.

        Drags are as large as they were drawn, of which `view` says how many latent frames are wanted. falls: how many
        times as often as a light what falls is asked for.
        """
        num_stills = int(rng.binomial(size, still))
        drags = draw_stills(rng, num_stills, self.pictures, self.spec, self.vae, view) if num_stills else []
        for file in rng.choice(len(self.files), size - num_stills):
            drags.append(Drag.load(self.files[file]).first(view.latent_frames, self.spec.vae_stride))
        captions = [draw_captions(rng, view.latent_frames, falls) for _ in drags]
        image = torch.stack([drag.image for drag in drags])
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        truths = [
            video_tensor(weathered(drag.frames / np.float32(255), asked_of(words), own, self.spec.vae_stride))
            for drag, words, own in zip(drags, captions, noise, strict=True)
        ]
        latents = self.vae.encode(torch.stack(truths)).float()
        mask = torch.stack([drag.mask for drag in drags])
        touched = mask[:, :2].amax(1) > 0  # by the drag: what lies there is a guess, and no word's
        touched[:, 0] = False
        unasked = torch.tensor([not any(asked_of(words)) for words in captions]).view(-1, 1, 1, 1)
        latents = torch.where((touched & unasked)[:, None], image, latents)  # known pixels are better than made ones
        made = ((latents - image).square().mean(1).sqrt() > MADE).float()
        weight = torch.where(touched, TOUCHED, 1 + gain * made)
        rows = [
            (clean, drag.points, drag.visibility, words[0])
            for clean, drag, words in zip(latents, drags, captions, strict=True)
        ]
        batch = replace(collate(rows), image=image, mask=mask)
        return Drawn(batch, weight[:, None], torch.from_numpy(noise), captions)


def video_tensor(frames: NDArray[np.floating]) -> Tensor:
    """(t h w 3) as (3 t h w)."""
    return torch.from_numpy(np.ascontiguousarray(frames, np.float32)).permute(3, 0, 1, 2)


def told_points(clip: DragClip, rng: np.random.Generator) -> np.ndarray:
    """Some points of all that moves, as a hand would set them; now and then some of what stands still, or all of it."""
    told = [np.zeros(0, np.int64)]
    for thing, moves in enumerate(clip.moves[:-1]):
        mine = np.flatnonzero(clip.owner == thing)[:9]
        if moves:
            told.append(rng.permutation(mine)[: int(rng.choice([1, 2, 3, 4, 4, 5, 6, 9, 9, 9]))])
        elif rng.random() < 0.4:
            told.append(rng.permutation(mine)[: int(rng.integers(1, 5))])
    ground = rng.permutation(np.flatnonzero(clip.owner == -1))
    if clip.moves[-1]:
        told.append(ground[: int(rng.integers(6, 65))])
    elif (kind := rng.random()) < 0.7:
        told.append(ground if kind < 0.4 else ground[: int(rng.choice([1, 2, 4, 8, 16, 32]))])
    return np.concatenate(told)
