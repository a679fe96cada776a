"""Pictures that are read elsewhere than at their pixels: warped by a coarse field of ways, enlarged, closed."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .cutout import centers

FIELD_STRIDE = 4
"""Px between the cells of a field."""
TOGETHER = 0.03
"""Cells that are no farther apart, from 0 to 1, share one way."""


def enlarged(values: Tensor, height: int, width: int) -> Tensor:
    """Values (t c y x) of cells, between them in a straight line."""
    larger = F.interpolate(values, scale_factor=FIELD_STRIDE, mode="bilinear", align_corners=False)
    return larger[..., :height, :width]


def window_of(cells: Tensor, height: int, width: int) -> tuple[slice, slice]:
    """Rows and columns of the pixels that lie in marked cells (y x) or next to one; none where none is marked."""
    sides = []
    for axis, length in ((1, height), (0, width)):
        marked = torch.nonzero(cells.any(axis))[:, 0].tolist() or [0, -2]
        sides.append(slice(max(marked[0] - 1, 0) * FIELD_STRIDE, min((marked[-1] + 2) * FIELD_STRIDE, length)))
    return sides[0], sides[1]


def compensated(picture: Tensor, way: Tensor, same_px: float, mirrored: bool, window: tuple[slice, slice]) -> Tensor:
    """Frames (c t y x), the rows and columns `window`, of a picture (c h w) under ways (t y x 2) px of cells.

    Beyond its edges the picture is mirrored, or else its last channel is 0.

    Every pixel lies between four cells. Where they go together its way is the mean of theirs; where they do not the
    pictures that they carry are mixed and not the ways, which would show what none of them carries (overlapped block
    motion compensation).
    """
    height, width = picture.shape[1:]
    way = way.movedim(3, 1)  # t 2 y x
    y, y_share = _between(height, way.shape[2], window[0])
    x, x_share = _between(width, way.shape[3], window[1])
    corners = [way[:, :, y[i]][..., x[j]] for i in range(2) for j in range(2)]
    shares = [y_share[i][:, None] * x_share[j] for i in range(2) for j in range(2)]
    mean = torch.zeros(())
    for corner, share in zip(corners, shares, strict=True):
        mean = mean + share * corner
    spread = torch.zeros(())
    for corner in corners:
        dx, dy = (corner - mean).unbind(1)
        spread = torch.maximum(spread, dx * dx + dy * dy)
    apart = 1 - torch.exp(spread / (-2 * same_px**2))[:, None]
    if not (apart > TOGETHER).any():
        corners, shares = [mean], [torch.ones(())]
    pixels = centers(height, width, 1).T.unflatten(1, (height, width))[:, window[0], window[1]]
    frames = torch.zeros(())
    for corner, share in zip(corners, shares, strict=True):
        at = pixels - torch.lerp(mean, corner, apart)
        sampled = sampled_at(picture, at)
        if not mirrored:
            sampled[-1] *= (at[:, 0] > 0) & (at[:, 0] < width) & (at[:, 1] > 0) & (at[:, 1] < height)
        frames = frames + share * sampled
    return frames


def _between(length: int, cells: int, window: slice) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """For every pixel of the window the cells before and after it, and their shares."""
    at = ((torch.arange(length)[window] + 0.5) / FIELD_STRIDE - 0.5).clamp(0, cells - 1)
    before = at.floor().long().clamp(max=max(cells - 2, 0))
    return (before, (before + 1).clamp(max=cells - 1)), (1 - (at - before), at - before)


def sampled_at(picture: Tensor, at: Tensor) -> Tensor:
    """Values (c t h w) of a picture (c h w) at places (t 2 h w) px; beyond its edges it is mirrored."""
    size = at.new_tensor([picture.shape[2], picture.shape[1]]) / 2
    grid = at.movedim(1, 3) / size - 1
    sampled = F.grid_sample(
        picture.expand(len(at), -1, -1, -1), grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return sampled.movedim(1, 0)


def looked_up(picture: Tensor, at: Tensor) -> Tensor:
    """Values (c p) of a picture (c h w) at places (p 2) px."""
    return sampled_at(picture, at.mT[None, :, None])[:, 0, 0]


def filled(pictures: Tensor, known: Tensor) -> Tensor:
    """Pictures (n c h w) where known (n 1 h w) is 1, and elsewhere what is around it (pull-push)."""
    height, width = pictures.shape[2:]
    weighted = torch.cat([pictures * known, known], dim=1)
    if min(height, width) > 1:
        coarse = F.avg_pool2d(weighted, 2, ceil_mode=True)
        around = filled(coarse[:, :-1] / coarse[:, -1:].clamp(min=1e-6), (coarse[:, -1:] * 4).clamp(max=1))
        around = F.interpolate(around, (height, width), mode="bilinear", align_corners=False)
    else:
        around = weighted[:, :-1] / weighted[:, -1:].clamp(min=1e-6)
    return torch.lerp(around, pictures, known)
