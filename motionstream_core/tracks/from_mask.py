"""Points inside a mask: on a grid, or so many of them evenly spread; at rest, or moving with the mask."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from .select import MASK_THRESHOLD
from .tracks import NUM_IDS, Tracks, require_budget

_CANDIDATES_PER_POINT = 16
_MIN_CANDIDATES = 20_000


def grid_in_mask(mask: Tensor, spacing_px: float, margin_px: int = 0) -> Tensor:
    """The points of a square grid that `mask` covers: float32 (n 2) px of the mask, row by row.

    The grid has a point every `spacing_px` px and lies so that the box around the mask is filled evenly on all sides.
    mask: floating (h w) in 0..1 or bool; covered from 0.5 on. margin_px: how far points keep away from the mask's
    edge (the frame's border is none). Raises ValueError where nothing is covered, no grid point falls on it, or a
    value is out of range.
    """
    if not 0 < spacing_px < math.inf:
        raise ValueError(f"spacing_px is {spacing_px}; it must be above 0")
    inside = _inside(mask, margin_px)
    rows, columns = inside.any(dim=1).nonzero(), inside.any(dim=0).nonzero()
    y, x = (_centred(int(line.min()), int(line.max()) + 1, spacing_px) for line in (rows, columns))
    if len(y) * len(x) > 64 * NUM_IDS:
        raise ValueError(f"spacing_px {spacing_px} makes {len(y) * len(x)} grid points; give a larger one")
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    kept = inside[grid_y.long(), grid_x.long()]
    if not kept.any():
        raise ValueError(f"no point of the grid falls on the mask; give a spacing_px smaller than {spacing_px}")
    return _within_ids(torch.stack([grid_x[kept], grid_y[kept]], dim=-1).float())


def spread_in_mask(mask: Tensor, count: int, seed: int, margin_px: int = 0) -> Tensor:
    """`count` points on `mask`, evenly spread: float32 (n 2) px, the middles of different pixels.

    Fewer where the mask has fewer pixels. Each point is as far from those before it as a pixel can be (Gonzalez 1985),
    the first is drawn by `seed`; large masks are thinned by lot beforehand. A larger count adds to a smaller one's
    points where nothing had to be thinned. mask, margin_px, errors: as in grid_in_mask.
    """
    if count < 1:
        raise ValueError(f"count is {count}; it must be at least 1")
    if count > NUM_IDS:
        raise ValueError(f"count is {count}, but there are only {NUM_IDS} ids; ask for fewer")
    pixels = _inside(mask, margin_px).nonzero().flip(-1).float() + 0.5
    generator = torch.Generator().manual_seed(seed)
    most = max(_CANDIDATES_PER_POINT * count, _MIN_CANDIDATES)
    pixels = pixels[torch.randperm(len(pixels), generator=generator)[:most]]
    x, y = pixels.T.contiguous()
    nearest = torch.full_like(x, math.inf)
    chosen = [0]  # the first of a random order
    for _ in range(min(count, len(pixels)) - 1):
        last_x, last_y = pixels[chosen[-1]].tolist()
        nearest = torch.minimum(nearest, (x - last_x).square_().add_((y - last_y).square_()))
        chosen.append(int(nearest.argmax()))
    return _within_ids(pixels[chosen])


def at_rest(points: Tensor, num_frames: int, height: int, width: int) -> Tracks:
    """`points` (n 2), px of a frame of `height` x `width`, visible and at rest over `num_frames` frames."""
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; it must be at least 1")
    require_budget(len(points), num_frames)
    visibility = torch.ones(num_frames, len(points), dtype=torch.bool)
    return Tracks(points.float().repeat(num_frames, 1, 1), visibility, height, width)


def with_mask(points: Tensor, masks: Tensor) -> Tracks:
    """`points` (n 2), px, of the first of `masks`, moved with the middle of the mask: as many frames as masks.

    masks: floating (t h w) in 0..1 or bool. The middle is the mean of the covered pixels. Where a mask covers nothing
    the points rest where they were, invisible. Raises ValueError where the first mask covers nothing.
    """
    inside = masks.cpu() >= MASK_THRESHOLD if masks.is_floating_point() else masks.cpu().bool()
    num_frames, height, width = inside.shape
    area = inside.sum(dim=(1, 2)).double()
    if area[0] == 0:
        raise ValueError("the first mask covers nothing, so there is nothing to move with; start where it does")
    x = (inside.sum(dim=1).double() * (torch.arange(width) + 0.5)).sum(dim=1)
    y = (inside.sum(dim=2).double() * (torch.arange(height) + 0.5)).sum(dim=1)
    middle = torch.stack([x, y], dim=-1) / area.clamp(min=1)[:, None]
    last_seen = torch.where(area > 0, torch.arange(num_frames), 0).cummax(dim=0).values
    shift = (middle - middle[0])[last_seen]
    moved = (points.double() + shift[:, None]).float()
    visibility = (area > 0)[:, None].expand(num_frames, len(points)).clone()
    return Tracks(moved, visibility, height, width)


def _inside(mask: Tensor, margin_px: int) -> Tensor:
    """bool (h w), on the CPU: covered, at least `margin_px` px from the nearest pixel that is not."""
    if mask.ndim != 2 or 0 in mask.shape:
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be one mask (h w)")
    if margin_px < 0:
        raise ValueError(f"margin_px is {margin_px}; it must be at least 0")
    mask = mask.detach().cpu()
    inside = mask >= MASK_THRESHOLD if mask.is_floating_point() else mask.bool()
    if not inside.any():
        raise ValueError("the mask covers nothing (no value from 0.5 on); paint something, or invert it")
    if margin_px:
        outside = (~inside).float()[None, None]
        grown = functional.max_pool2d(outside, 2 * margin_px + 1, stride=1, padding=margin_px)[0, 0]
        inside = grown == 0
        if not inside.any():
            raise ValueError(f"margin_px {margin_px} leaves nothing of the mask; give a smaller one")
    return inside


def _centred(low: int, high: int, spacing_px: float) -> Tensor:
    """Positions float64, `spacing_px` apart, in [low, high), with the same room left on both sides."""
    count = max(1, math.floor((high - low) / spacing_px))
    if count > 64 * NUM_IDS:
        raise ValueError(f"spacing_px {spacing_px} makes {count} grid points in a row; give a larger one")
    positions = (low + high) / 2 + (torch.arange(count, dtype=torch.float64) - (count - 1) / 2) * spacing_px
    return positions


def _within_ids(points: Tensor) -> Tensor:
    if len(points) > NUM_IDS:
        raise ValueError(f"the mask gets {len(points)} points, but there are only {NUM_IDS} ids; ask for fewer")
    return points
