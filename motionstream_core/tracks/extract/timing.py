"""Tracks through frames of one clock as tracks of another: points between the frames that were recorded."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ...media.frames import TimedFrames
from ...media.times import Times, around, even_times
from ..tracks import Tracks
from .patches import Floats

Seen = NDArray[np.bool_]


def at_even_times(tracks: Tracks, video: TimedFrames) -> Tracks:
    """Tracks (one sample per recorded frame of `video`) as tracks of a steady `video.fps`: sample k at k / fps."""
    wanted_s = even_times(float(video.times_s[-1]), video.fps)
    points, visible = between(tracks.points.numpy(), tracks.visibility.numpy(), video.times_s, wanted_s)
    return Tracks(torch.from_numpy(points), torch.from_numpy(visible), tracks.height, tracks.width, tracks.ids)


def between(points: Floats, visible: Seen, times: Times, wanted: Times) -> tuple[Floats, Seen]:
    """Points (t n 2) and visibility (t n), known at rising `times`, at the `wanted` ones.

    A point is put between the recorded ones about it where it is seen in both; elsewhere it is what it was at the
    nearer of the two. At a recorded time, and beyond the first and last of them, nothing changes.
    """
    before, after, share = around(times, wanted)
    nearer = np.where(share > 0.5, after, before)
    both = visible[before] & visible[after] & (share > 0)[:, None] & (share < 1)[:, None]
    part = share[:, None, None]
    mixed = (points[before] * (1 - part) + points[after] * part).astype(points.dtype)
    return np.where(both[..., None], mixed, points[nearer]), visible[nearer]
