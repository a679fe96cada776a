"""A clip of a dataset as a case to judge: frames in the model's time and frame, and the input tracks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...media.frames import FrameSource
from ...streaming.render.fit import fit_picture
from ...tracks import Tracks, select
from ...tracks.extract.tracker import Tracker, grid_queries
from .datasets import Footage

Video = NDArray[np.uint8]
SMALL_PX = 256  # trackers are made for larger frames: smaller ones are enlarged before points are followed


@dataclass(frozen=True)
class Protocol:
    """How a clip becomes a case.

    frame_size: (height, width); frames are scaled to cover it and cropped about the middle. max_frames: at most so
    many, down to whole chunks. fps: footage that is faster is sub-sampled to it, frame by nearest frame; None takes
    every frame. spread: instead, frames are taken evenly over the whole clip, its first and its last among them, as the
    paper does with DAVIS. grid: rows and columns of the points that are followed from the first frame.
    """

    frame_size: tuple[int, int]
    max_frames: int = 81
    fps: float | None = 16.0
    grid: int = 50
    spread: bool = False


def frame_indices(num_frames: int, fps: float | None, protocol: Protocol) -> list[int]:
    """Which frames of footage a case may use, at most `max_frames`, before they are cut to whole chunks."""
    if fps is None or protocol.fps is None or fps <= protocol.fps:
        return list(range(min(num_frames, protocol.max_frames)))
    wanted = (round(k * fps / protocol.fps) for k in range(protocol.max_frames))
    return [index for index in wanted if index < num_frames]


def read_clip(footage: Footage, protocol: Protocol, whole_chunks: Callable[[int], int]) -> tuple[Video, list[int]]:
    """Frames uint8 (t h w 3) of a case, and which of the footage's frames they are.

    whole_chunks: the largest number of frames up to a number that the model makes. Raises ValueError for a clip
    that is too short, and what the footage's file raises.
    """
    source, fps = footage.open(protocol.fps)
    indices = list(range(source.num_frames)) if protocol.spread else frame_indices(source.num_frames, fps, protocol)
    count = whole_chunks(min(len(indices), protocol.max_frames))
    if count < 2:
        raise ValueError(f"it has {len(indices)} frames at this rate, fewer than the model makes in one chunk")
    chosen = spread_over(len(indices), count) if protocol.spread else indices[:count]
    return _read(source, chosen, protocol.frame_size), chosen


def spread_over(num_frames: int, count: int) -> list[int]:
    """`count` of the frames 0..num_frames - 1, evenly, the first and the last among them; count is at least 2."""
    return [round(k * (num_frames - 1) / (count - 1)) for k in range(count)]


def first_frame(footage: Footage, protocol: Protocol) -> Video:
    """Frame 0 of the case (h w 3)."""
    return _read(footage.open(protocol.fps)[0], [0], protocol.frame_size)[0]


def _read(source: FrameSource, indices: Sequence[int], frame_size: tuple[int, int]) -> Video:
    frames = []
    for start in range(0, len(indices), 16):
        part = indices[start : start + 16]
        window = source.read(part[0], part[-1] + 1)
        frames += [fit_picture(Image.fromarray(window[index - part[0]]), *frame_size) for index in part]
    return np.stack(frames)


def input_tracks(frames: Video, tracker: Tracker, grid: int) -> Tracks:
    """The tracks that a model gets of a clip: a grid of points of the first frame, followed through the true frames.

    Points that are never seen after the first frame are left out: they tell nothing and judge nothing.
    """
    height, width = frames.shape[1:3]
    tracks = follow(frames, grid_queries(height, width, grid, grid), tracker)
    seen_later = (tracks.visibility[1:] & tracks.in_frame()[1:]).any(dim=0)
    return select(tracks, seen_later)


def follow(frames: Video, queries: NDArray[np.floating], tracker: Tracker) -> Tracks:
    """`tracker.track`, on frames that are enlarged first where their shorter side is under SMALL_PX."""
    height, width = frames.shape[1:3]
    factor = -(-SMALL_PX // min(height, width))
    if factor == 1:
        return tracker.track(np.ascontiguousarray(frames), queries)
    size = (width * factor, height * factor)
    large = np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC)) for each in frames])
    scaled = queries * np.array([1, factor, factor], queries.dtype)
    return tracker.track(large, scaled).rescaled(height, width)
