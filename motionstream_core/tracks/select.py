"""Which tracks to keep: by a mask, by how long they are seen, by how far they go, by lot."""

from __future__ import annotations

import torch
from torch import Tensor

from .tracks import Tracks

MASK_THRESHOLD = 0.5
"""A mask covers a pixel from this value on."""


def select(tracks: Tracks, kept: Tensor) -> Tracks:
    """The tracks where `kept`, bool (n), is True, in their order and with their ids. Raises ValueError otherwise."""
    if kept.dtype != torch.bool or kept.shape != (tracks.num_tracks,):
        raise ValueError(f"kept is {kept.dtype} {tuple(kept.shape)}; it must be bool ({tracks.num_tracks})")
    kept = kept.to(tracks.points.device)
    return Tracks(tracks.points[:, kept], tracks.visibility[:, kept], tracks.height, tracks.width, tracks.ids[kept])


def covered(tracks: Tracks, mask: Tensor, frame: int) -> Tensor:
    """Whether `mask` covers each track's point in `frame`: bool (n). A point that is invisible or out of the frame is
    not covered.

    mask: floating (h w) in 0..1 or bool, of any size: it is laid over the whole frame of the tracks. frame: below 0 it
    counts from the end. Raises ValueError for a mask of another form and a frame that is not in the clip.
    """
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be one mask (h w)")
    if not -tracks.num_frames <= frame < tracks.num_frames:
        raise ValueError(f"frame is {frame}; the tracks have frames 0 to {tracks.num_frames - 1}")
    height, width = mask.shape
    scaled = tracks.rescaled(height, width)
    seen = (scaled.visibility & scaled.in_frame())[frame]
    x, y = torch.where(seen[:, None], scaled.points[frame], 0.0).long().unbind(-1)
    return seen & (mask.to(x.device)[y, x] >= MASK_THRESHOLD)


def visible_share(tracks: Tracks) -> Tensor:
    """The share of frames in which each track is visible: float64 (n) in 0..1."""
    return tracks.visibility.double().mean(dim=0)


def farthest(tracks: Tracks) -> Tensor:
    """How far each track comes from where it is first visible, px: float32 (n), of its visible frames; 0 for a track
    that is visible nowhere.
    """
    first = tracks.visibility.int().argmax(dim=0)
    start = tracks.points[first, torch.arange(tracks.num_tracks, device=first.device)]
    return torch.where(tracks.visibility, (tracks.points - start).norm(dim=-1), 0.0).amax(dim=0)


def drawn_by_lot(tracks: Tracks, count: int, seed: int) -> Tensor:
    """Which `count` of the tracks a lot falls on, all where there are no more: bool (n).

    The same seed and number of tracks give the same lot, and a larger count adds to a smaller one's. Raises
    ValueError for a count below 0.
    """
    if count < 0:
        raise ValueError(f"count is {count}; it must be at least 0")
    order = torch.randperm(tracks.num_tracks, generator=torch.Generator().manual_seed(seed))
    kept = torch.zeros(tracks.num_tracks, dtype=torch.bool)
    kept[order[:count]] = True
    return kept.to(tracks.points.device)
