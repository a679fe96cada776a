"""Holes are filled by patches of the rest: what repeats goes on, what is rough stays rough, all else to the bit."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from motionstream_core.tracks.inpaint import inpainted
from motionstream_core.tracks.warp import filled


def _box(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    hole = torch.zeros(height, width, dtype=torch.bool)
    hole[rows, columns] = True
    return hole


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _fine(picture: Tensor) -> Tensor:
    return picture - F.avg_pool2d(F.pad(picture[None], (2,) * 4, mode="replicate"), 5, 1)[0]


@pytest.mark.parametrize("period", [4, 6])
def test_stripes_go_on_through_a_hole(period: int) -> None:
    stripes = (0.5 + 0.4 * torch.sin(torch.arange(64) * 2 * math.pi / period)).expand(3, 64, 64)
    hole = _box(64, 64, slice(20, 40), slice(24, 44))
    shown = inpainted(stripes * ~hole, hole)
    smooth = filled(stripes[None], 1 - hole[None, None].float())[0]
    assert _rms((shown - stripes)[:, hole]) < 0.25 * _rms((smooth - stripes)[:, hole])


def test_rough_ground_stays_rough_beside_flat_one() -> None:
    generator = torch.Generator().manual_seed(0)
    picture = torch.full((3, 96, 96), 0.5)
    picture[:, 48:] += 0.15 * torch.randn(3, 48, 96, generator=generator)
    hole = _box(96, 96, slice(60, 84), slice(36, 60))  # within the rough half
    shown = inpainted(picture * ~hole, hole)
    assert 0.4 < _rms(_fine(shown)[:, hole]) / _rms(_fine(picture)[:, hole]) < 1.3
    hole = _box(96, 96, slice(12, 36), slice(36, 60))  # within the flat one
    shown = inpainted(picture * ~hole, hole)
    assert _rms(shown[:, hole] - 0.5) < 0.02


def test_an_edge_that_a_hole_cuts_is_joined() -> None:
    picture = torch.zeros(3, 64, 64)
    picture[0], picture[2, :, 32:] = 0.8, 0.9
    hole = _box(64, 64, slice(24, 40), slice(22, 42))
    shown = inpainted(picture * ~hole, hole)
    assert ((shown - picture).abs().amax(0) < 0.2)[hole].float().mean() > 0.9


@pytest.mark.parametrize(
    "hole",
    [
        _box(48, 33, slice(10, 30), slice(0, 12)),  # at the rim, sides that halve to no whole numbers
        _box(48, 33, slice(20, 21), slice(9, 10)),  # one pixel: no hole is left in the half size
        _box(48, 33, slice(0, 48), slice(0, 24)),  # most of the picture
        _box(48, 33, slice(0, 48), slice(0, 33)),  # all of it
        _box(48, 33, slice(0, 0), slice(0, 0)),  # nothing
    ],
)
def test_what_is_no_hole_stays_to_the_bit_and_the_rest_is_a_colour_of_the_picture(hole: Tensor) -> None:
    picture = torch.rand(3, 48, 33, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    shown = inpainted(picture, hole)
    assert torch.equal(shown[:, ~hole], picture[:, ~hole])
    if not hole.all():
        assert shown.min() > 0.24 and shown.max() < 0.76
    assert torch.equal(shown, inpainted(picture, hole))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (8, 8)])
def test_small_pictures_are_filled_from_around(size: tuple[int, int]) -> None:
    picture = torch.full((3, *size), 0.4)
    hole = _box(*size, slice(0, 1), slice(0, 1))
    assert torch.allclose(inpainted(picture, hole)[:, ~hole], picture[:, ~hole])
    assert inpainted(picture, hole).isfinite().all()


def test_what_was_in_the_hole_does_not_matter() -> None:
    picture = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    hole = _box(64, 64, slice(20, 44), slice(20, 44))
    assert torch.equal(inpainted(picture * ~hole, hole)[:, hole], inpainted(picture, hole)[:, hole])
