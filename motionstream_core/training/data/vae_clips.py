"""What the tiny VAE is trained on: crops of the procedural world, or of a folder of videos.

A source is asked for clip number `index` and answers the same clip whenever and in whichever process it is asked, so
a training that goes on at step s simply asks from index s * batch_size on.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ...media.faults import MediaError
from ...media.frames import AtTimes
from ...media.times import TOLERANCE
from ...media.video import VideoFrames, VideoInfo
from ...world import LEVELS, render, sample_motion, sample_scene

HELD_OUT_INDEX = 1 << 30  # clips from here on are never trained on
CROPS_PER_RENDER = 3
MARGIN_S = 2.0  # behind the last wanted time: the frame that is nearest to it may come later


@dataclass(frozen=True)
class CropShape:
    """Length in frames, 1 + 4k, and side in px of every crop; (21, 144) is the paper's."""

    num_frames: int
    size_px: int


@dataclass(frozen=True)
class VaeClip:
    """frames (3 t h w) in [0, 1], with b in front in batches.

    index: the numbers of the clips, for what else is drawn for each of them.
    """

    frames: Tensor
    index: tuple[int, ...]

    def to(self, device: torch.device) -> VaeClip:
        """The same on `device`."""
        return VaeClip(self.frames.to(device), self.index)

    def part(self, positions: slice) -> VaeClip:
        """Some clips of a batch."""
        return VaeClip(self.frames[positions], self.index[positions])


class ClipSource(Protocol):
    """Endless clips by number."""

    def __getitem__(self, index: int, /) -> VaeClip: ...


class WorldCrops:
    """Crops of procedural clips of 128 px and 49 frames, three of each.

    level_weights: share of plain, patterned and textured clips.
    """

    def __init__(self, shape: CropShape, level_weights: tuple[float, float, float], seed: int) -> None:
        self.shape, self.level_weights, self.seed = shape, level_weights, seed
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def __getitem__(self, index: int) -> VaeClip:
        frames = self._render(index // CROPS_PER_RENDER)
        rng = np.random.default_rng((self.seed, 1, index))
        start = int(rng.integers(0, len(frames) - self.shape.num_frames + 1))
        crop = _crop(frames[start : start + self.shape.num_frames], self.shape.size_px, rng)
        return VaeClip(_tensor(crop), (index,))

    def _render(self, number: int) -> NDArray[np.uint8]:
        if self._last is None or self._last[0] != number:
            rng = np.random.default_rng((self.seed, 0, number))
            level = LEVELS[str(rng.choice(list(LEVELS), p=self.level_weights))]
            scene = sample_scene(rng, level)
            self._last = number, render(scene, sample_motion(rng, scene, level, 49)).frames
        return self._last[1]


class VideoCrops:
    """Random crops of videos at `fps` frames per second.

    A video that cannot be read after all is left out with one warning; the next in the list takes its place. Raises
    RuntimeError when none can be read.
    """

    def __init__(self, videos: tuple[VideoInfo, ...], shape: CropShape, fps: float, seed: int) -> None:
        if not videos:
            raise ValueError("there are no videos to crop")
        self.videos, self.shape, self.fps, self.seed = videos, shape, fps, seed
        self._broken: set[Path] = set()

    def __getitem__(self, index: int) -> VaeClip:
        first = int(np.random.default_rng((self.seed, index)).integers(len(self.videos)))
        for offset in range(len(self.videos)):
            video = self.videos[(first + offset) % len(self.videos)]
            rng = np.random.default_rng((self.seed, index, offset))
            try:
                return VaeClip(_tensor(self._read(video, rng)), (index,))
            except (OSError, ValueError) as error:
                self._report(video.path, getattr(error, "fault", error))
        raise RuntimeError(f"none of the {len(self.videos)} videos can be read")

    def _read(self, video: VideoInfo, rng: np.random.Generator) -> NDArray[np.uint8]:
        steps = np.arange(self.shape.num_frames) / self.fps
        times_s = rng.uniform(0, max(0.0, video.last_s - steps[-1])) + steps
        return _crop(frames_at(video.path, times_s), self.shape.size_px, rng)

    def _report(self, path: Path, fault: object) -> None:
        if path not in self._broken:
            self._broken.add(path)
            warnings.warn(f"{path} is left out: it {fault}", stacklevel=3)


def frames_at(path: Path, times_s: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Frames (t h w 3) of a video, those nearest to rising times in s.

    Raises MediaError, also for a video that ends before the last of them.
    """
    video = VideoFrames(path, duration_s=float(times_s[-1]) + MARGIN_S)
    if times_s[-1] > video.times_s[-1] + 0.5 / video.fps + TOLERANCE:
        raise MediaError(f"ends at {video.times_s[-1]:.2f} s; a clip up to {times_s[-1]:.2f} s was wanted", str(path))
    return AtTimes(video, times_s).read(0, len(times_s))


def collate_clips(clips: list[VaeClip]) -> VaeClip:
    """A batch of clips."""
    return VaeClip(torch.stack([clip.frames for clip in clips]), tuple(i for clip in clips for i in clip.index))


def clip_batches(
    source: ClipSource, batch_size: int, micro_size: int, mine: range, first_step: int, num_workers: int
) -> Iterator[tuple[int, int, VaeClip]]:
    """(train_step, micro_index, clips) without end, from `first_step` on, for the micro-batches `mine` of every step.

    Step s is made of clips s * batch_size on, whoever takes which; workers change nothing but the speed.
    """

    def clips_of(step: int, micro: int) -> list[int]:
        first = step * batch_size + micro * micro_size
        return list(range(first, first + micro_size))

    def places() -> Iterator[tuple[int, int]]:
        return ((step, micro) for step in itertools.count(first_step) for micro in mine)

    loader: DataLoader[VaeClip] = DataLoader(
        _Indexed(source),
        batch_sampler=_Endless(lambda: (clips_of(*place) for place in places())),
        num_workers=num_workers,
        collate_fn=collate_clips,
    )
    for (step, micro), clip in zip(places(), loader, strict=False):
        yield step, micro, clip


def held_out_frames(source: ClipSource, num_clips: int) -> Tensor:
    """Frames (b 3 t h w) of clips that no training asks for."""
    return torch.stack([source[HELD_OUT_INDEX + index].frames for index in range(num_clips)])


class _Endless(Sampler[list[int]]):
    def __init__(self, batches: Callable[[], Iterator[list[int]]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return self.batches()


class _Indexed(Dataset[VaeClip]):
    def __init__(self, source: ClipSource) -> None:
        self.source = source

    def __getitem__(self, index: int) -> VaeClip:
        return self.source[index]


def _crop(frames: NDArray[np.uint8], size_px: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A square window of frames (t h w 3) at a random place."""
    y, x = (int(rng.integers(0, side - size_px + 1)) for side in frames.shape[1:3])
    return frames[:, y : y + size_px, x : x + size_px]


def _tensor(frames: NDArray[np.uint8]) -> Tensor:
    """(t h w 3) uint8 to (3 t h w) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(3, 0, 1, 2).float() / 255
