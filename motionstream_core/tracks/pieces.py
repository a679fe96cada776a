"""What of a picture went along together, remembered as a number for each of its pixels: 0 came there with nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

MOST = 255
"""Numbers of one byte."""


def pieces_after(before: Tensor, were: Sequence[Tensor], are: Sequence[Tensor]) -> Tensor:
    """The numbers (h w) of a frame, of those before (h w) and of shares (h w) where what has moved was and is.

    Who comes later lies on top. Of too many pieces the oldest are forgotten.
    """
    pieces = before.long()
    for share in were:
        pieces[share > 0.5] = 0
    for number, share in enumerate(are, int(pieces.max()) + 1):
        pieces[share > 0.5] = number
    numbers = torch.unique(F.pad(pieces.flatten(), (1, 0)), return_inverse=True)[1][1:].view(pieces.shape)
    return (numbers - (numbers.max() - MOST).clamp(min=0)).clamp(min=0).byte()


def taken_again(before: Tensor, groups: Sequence[Tensor], others: Tensor) -> list[int]:
    """Of every group of points (m 2) px the number of what its middle stands on, 0 where others stand there, too."""
    taken = [_numbers(before, each) for each in groups]
    found = [int(numbers[middle_of(each)]) for each, numbers in zip(groups, taken, strict=True)]
    told = torch.cat([_numbers(before, others), *taken])
    return [
        number if (told == number).sum() == (own == number).sum() else 0
        for number, own in zip(found, taken, strict=True)
    ]


def middle_of(points: Tensor) -> int:
    """Which of points (m 2) is nearest to their middle: there a hand is on its thing, or it drags the ground."""
    return int((points - points.mean(0)).norm(dim=-1).argmin())


def _numbers(before: Tensor, points: Tensor) -> Tensor:
    """The numbers (m) at points (m 2); 0 beyond the picture."""
    x, y = points.floor().long().unbind(-1)
    inside = (x >= 0) & (y >= 0) & (x < before.shape[1]) & (y < before.shape[0])
    return torch.where(inside, before[y.clamp(0, before.shape[0] - 1), x.clamp(0, before.shape[1] - 1)], 0)
