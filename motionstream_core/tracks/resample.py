"""Tracks over another number of frames, linear in time over the whole clip."""

from __future__ import annotations

import torch

from .tracks import Tracks


def resample(tracks: Tracks, num_frames: int) -> Tracks:
    """The same motion over `num_frames` frames: first sample on first frame, last on last, linear between.

    A frame that falls on a sample takes that sample's point and visibility. Between two samples a point is visible
    where both are, since a point between a seen and an unseen one is a guess. One sample holds for every frame; one
    frame takes the first sample. Equal counts give the identity, exactly. height, width and ids stay.

    num_frames: at least 1. Raises ValueError otherwise.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; it must be at least 1")
    # Frame i lies at sample i * (samples - 1) / (num_frames - 1). Whole numbers throughout, so that "falls on a
    # sample" is a fact and not a matter of rounding: 121 samples on 81 frames put frame 2j on sample 3j.
    device = tracks.points.device
    intervals = max(num_frames - 1, 1)
    position = torch.arange(num_frames, device=device) * (tracks.num_frames - 1)
    before = position.div(intervals, rounding_mode="floor")
    rest = position - before * intervals
    after = before + (rest > 0)
    weight = (rest.double() / intervals)[:, None, None]
    # In float64, so that a point at rest stays at rest to the last bit. On a sample both neighbours are that sample,
    # so an unseen neighbour's nan cannot leak into a seen point.
    points = torch.lerp(tracks.points[before].double(), tracks.points[after].double(), weight).float()
    visibility = tracks.visibility[before] & tracks.visibility[after]
    return Tracks(points, visibility, tracks.height, tracks.width, tracks.ids)
