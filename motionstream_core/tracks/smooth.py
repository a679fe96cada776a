"""Tracks without jitter: averaged in time, but never over a gap."""

from __future__ import annotations

import torch
from torch import Tensor

from .tracks import Tracks


def smooth(tracks: Tracks, radius_frames: int) -> Tracks:
    """Every visible point as a weighted mean of its track from `radius_frames` frames before to as many after.

    The weights are a Gaussian of standard deviation radius / 2. Near the ends of a run of visible frames the radius
    shrinks, evenly on both sides, to what the run holds: no other run is mixed in, the run's first and last point stay
    to the last bit, and a straight path at an even pace stays as it is. Invisible points, visibility, size and ids
    stay; 0 changes nothing.

    Raises ValueError for a radius below 0. Time and memory grow with the radius by no more than a factor of it.
    """
    if radius_frames < 0:
        raise ValueError(f"radius_frames is {radius_frames}; it must be at least 0")
    radius = _frames_to_gap(tracks.visibility).clamp(max=radius_frames)
    points = tracks.points.double()
    total = torch.ones(radius.shape, dtype=torch.float64, device=points.device)
    mean = points.clone()
    for offset in range(1, min(radius_frames, (tracks.num_frames - 1) // 2) + 1):
        inner = slice(offset, tracks.num_frames - offset)
        within = radius[inner] >= offset
        weight = torch.exp(-0.5 * (2 * offset / radius[inner].clamp(min=1)) ** 2) * within
        # Where the kernel ends before this offset, the neighbours may be invisible and not even finite.
        pair = torch.where(within[..., None], points[2 * offset :] + points[: -2 * offset], 0.0)
        mean[inner] += weight[..., None] * pair
        total[inner] += 2 * weight
    smoothed = torch.where((radius > 0)[..., None], mean / total[..., None], points).float()
    return Tracks(smoothed, tracks.visibility, tracks.height, tracks.width, tracks.ids)


def _frames_to_gap(visibility: Tensor) -> Tensor:
    """int64 (t n): how many frames the visible run goes on, both before and after a frame; 0 where invisible."""
    frames = torch.arange(len(visibility), device=visibility.device)[:, None]
    past_gap = torch.where(visibility, -1, frames).cummax(dim=0).values
    next_gap = torch.where(visibility, len(visibility), frames).flip(0).cummin(dim=0).values.flip(0)
    return torch.minimum(frames - past_gap, next_gap - frames).sub(1).clamp(min=0)
