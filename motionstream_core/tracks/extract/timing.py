"""Tracks through a video of uneven times, at even ones."""

from __future__ import annotations

import numpy as np
import torch

from ..tracks import Tracks
from .frames import VideoFrames


def at_even_times(tracks: Tracks, video: VideoFrames) -> Tracks:
    """Tracks (one sample per frame of `video`) with every point where it was at the frame's own time, k / fps.

    A frame of a video of uneven times shows what was recorded a little earlier or later, and twice where none was. The
    point is put between the recorded ones about it, where it is seen in both; elsewhere it stays, and visibility too.
    """
    if video.is_even:
        return tracks
    recorded, first = np.unique(video.shown, return_index=True)
    times_s = video.times_s[recorded]
    wanted_s = np.arange(video.num_frames) / video.fps
    after = np.clip(np.searchsorted(times_s, wanted_s, side="right"), 1, len(times_s) - 1)
    before = after - 1
    share = ((wanted_s - times_s[before]) / (times_s[after] - times_s[before])).clip(0, 1)
    left, right = (torch.from_numpy(first[side]) for side in (before, after))
    between = torch.lerp(
        tracks.points[left].double(), tracks.points[right].double(), torch.from_numpy(share)[:, None, None]
    )
    both = tracks.visibility[left] & tracks.visibility[right] & tracks.visibility
    points = torch.where(both[..., None], between.float(), tracks.points)
    return Tracks(points, tracks.visibility, tracks.height, tracks.width, tracks.ids)
