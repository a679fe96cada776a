"""A grid of points at rest: queries for a point tracker, or points to move with a camera."""

from __future__ import annotations

import torch

from .tracks import Tracks, assign_ids, require_budget


def point_grid(
    height: int,
    width: int,
    rows: int = 50,
    columns: int = 50,
    num_frames: int = 1,
    region: tuple[float, float, float, float] | None = None,
    seed: int = 0,
) -> Tracks:
    """`rows` x `columns` visible points, row by row, at rest over `num_frames` frames of `height` x `width` px.

    Each point is the centre of its cell of an even division of `region` = (left, top, right, bottom) in px, by
    default the whole frame; the region may reach outside it. `seed` draws the ids.

    Raises ValueError for less than one row, column or frame, for more samples than MAX_SAMPLES, and for a region
    without area. Source: the paper
    conditions on 50 x 50 CoTracker3 grids (arXiv 2511.01266).
    """
    for name, count in (("rows", rows), ("columns", columns), ("num_frames", num_frames)):
        if count < 1:
            raise ValueError(f"{name} is {count}; it must be at least 1")
    require_budget(rows * columns, num_frames)
    left, top, right, bottom = region or (0.0, 0.0, float(width), float(height))
    if not (left < right and top < bottom):
        raise ValueError(
            f"region is {region}; it must be (left, top, right, bottom) px with left < right, top < bottom"
        )
    x = left + (torch.arange(columns, dtype=torch.float64) + 0.5) * (right - left) / columns
    y = top + (torch.arange(rows, dtype=torch.float64) + 0.5) * (bottom - top) / rows
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    points = torch.stack([grid_x, grid_y], dim=-1).reshape(1, rows * columns, 2).float().repeat(num_frames, 1, 1)
    visibility = torch.ones(num_frames, rows * columns, dtype=torch.bool)
    return Tracks(points, visibility, height, width, assign_ids(rows * columns, seed))
