"""What goes along with points, against cut-outs whose outline is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from motionstream_core.demo.example import drawn_example
from motionstream_core.tracks.cutout import cut_out
from motionstream_core.tracks.plain import Plain

SIZE, REACH = 128, 12.0
NO_OTHERS = torch.zeros(0, 2)


def texture(seed: int, colour: tuple[float, float, float]) -> Tensor:
    """A picture (3 h w) of a colour, lighter and darker in places, so that there are edges everywhere."""
    coarse = torch.rand(1, 1, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(seed)) - 0.5
    light = torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[0]
    return (torch.tensor(colour)[:, None, None] + 0.5 * light).clamp(0, 1)


def disc(x: float, y: float, radius: float) -> Tensor:
    """Which pixels (h w) lie within `radius` of (x, y)."""
    line = torch.arange(SIZE) + 0.5
    return (line - x).square() + (line[:, None] - y).square() < radius**2


def about(x: float, y: float) -> Tensor:
    """Nine points on a disc there."""
    return torch.tensor([[x + dx, y + dy] for dx in (-10.0, 0, 10) for dy in (-10.0, 0, 10)])


def overlap(share: Tensor, truth: Tensor) -> float:
    """IoU of a share and the truth."""
    return float(torch.minimum(share, truth.float()).sum() / torch.maximum(share, truth.float()).sum())


@pytest.mark.parametrize("radius", [18, 22, 26])
def test_a_textured_thing_is_told_from_its_textured_ground(radius: int) -> None:
    truth = disc(60, 64, radius)
    picture = torch.where(truth, texture(1, (0.7, 0.4, 0.2)), texture(2, (0.2, 0.5, 0.4)))
    (piece,) = cut_out(Plain(picture, REACH), [about(60, 64)], NO_OTHERS)
    share = piece.share
    assert share[truth].min() > 0.8
    assert overlap(share, truth) > 0.9


def test_neighbours_are_cut_apart_and_share_nothing() -> None:
    left, right = disc(40, 64, 20), disc(84, 64, 20)
    picture = torch.where(left, texture(1, (0.7, 0.4, 0.2)), texture(2, (0.2, 0.5, 0.4)))
    picture = torch.where(right, texture(3, (0.5, 0.3, 0.7)), picture)
    shares = [piece.share for piece in cut_out(Plain(picture, REACH), [about(40, 64), about(84, 64)], NO_OTHERS)]
    assert torch.stack(shares).sum(0).max() <= 1 + 1e-6
    assert overlap(shares[0], left) > 0.8 and overlap(shares[1], right) > 0.8


def test_what_came_there_together_is_cut_out_again_whatever_its_colours() -> None:
    picture, came = texture(1, (0.5, 0.5, 0.5)), disc(60, 64, 20)
    before = came.byte() * 3
    (piece,) = cut_out(Plain(picture, REACH), [about(50, 60)], NO_OTHERS, before)
    assert overlap(piece.share, came) > 0.9
    by_colour = cut_out(Plain(picture, REACH), [about(50, 60)], NO_OTHERS)[0].share
    assert overlap(by_colour, came) < 0.7
    beside = about(60, 92), about(28, 64)  # whose middle is not on it, though others of its points are
    for points in beside:
        (piece,) = cut_out(Plain(picture, REACH), [points], NO_OTHERS, before)
        assert torch.equal(piece.share, cut_out(Plain(picture, REACH), [points], NO_OTHERS)[0].share)


def test_two_who_take_one_thing_tear_it_and_an_anchor_on_it_holds() -> None:
    picture, before = texture(1, (0.5, 0.5, 0.5)), disc(64, 64, 26).byte()
    groups, anchor = [about(52, 64), about(76, 64)], torch.tensor([[80.0, 64]])
    for again, as_ever in zip(
        [
            *cut_out(Plain(picture, REACH), groups, NO_OTHERS, before),
            *cut_out(Plain(picture, REACH), groups[:1], anchor, before),
        ],
        [*cut_out(Plain(picture, REACH), groups, NO_OTHERS), *cut_out(Plain(picture, REACH), groups[:1], anchor)],
        strict=True,
    ):
        assert torch.equal(again.share, as_ever.share)


def test_a_point_at_rest_keeps_its_place() -> None:
    picture, rest = texture(1, (0.5, 0.5, 0.5)), torch.tensor([[80.0, 64]])
    (piece,) = cut_out(Plain(picture, REACH), [about(60, 64)], rest)
    share = piece.share
    assert share[64, 80] < 0.5 < share[64, 60]


@pytest.mark.parametrize("spacing", [3, 4])
def test_ground_between_a_thing_and_the_pictures_edge_is_no_part_of_it(spacing: int) -> None:
    """A purple square and a green triangle near the left edge, where the ground is lightest and darkest."""
    picture = torch.from_numpy(drawn_example(2).image).movedim(2, 0).float() / 255
    red, green, blue = picture
    for thing in (green > red + 0.2, blue > green + 0.2):
        inside = torch.nonzero(thing).flip(1)
        points = inside[(inside % spacing == 0).all(1)] + 0.5
        (piece,) = cut_out(Plain(picture, REACH), [points], NO_OTHERS)
        assert overlap(piece.share, thing) > 0.7


def test_a_grids_corners_that_stand_beside_a_thing_take_no_ground_along() -> None:
    """A hand's upright grid over a square that stands on its corner."""
    picture = torch.from_numpy(drawn_example(2).image).movedim(2, 0).float() / 255
    thing = picture[2] > picture[1] + 0.2
    line = torch.linspace(-13, 13, 5)
    middle = torch.nonzero(thing).float().mean(0).flip(0)
    grid = middle + torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    (piece,) = cut_out(Plain(picture, REACH), [grid], NO_OTHERS)
    assert overlap(piece.share, thing) > 0.77


def test_points_all_over_the_picture_take_all_of_it() -> None:
    line = torch.arange(8.0, SIZE, 16)
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)
    (piece,) = cut_out(Plain(texture(1, (0.5, 0.5, 0.5)), REACH), [grid], NO_OTHERS)
    share = piece.share
    assert share.min() > 0.99


def test_the_same_points_cut_out_the_same() -> None:
    """GrabCut's random starts are fixed: a stream that is replayed is the same stream."""
    picture = torch.where(disc(60, 64, 20), texture(1, (0.6, 0.5, 0.4)), texture(2, (0.5, 0.5, 0.5)))
    first, again = (cut_out(Plain(picture, REACH), [about(60, 64)], NO_OTHERS)[0].share for _ in range(2))
    assert torch.equal(first, again)


def test_points_beyond_the_picture_take_nothing_of_it() -> None:
    away = about(60, 64) + torch.tensor([300.0, 0])
    (piece,) = cut_out(Plain(texture(1, (0.5, 0.5, 0.5)), REACH), [away], NO_OTHERS)
    share = piece.share
    assert not share.any()


@pytest.mark.parametrize("size", [1, 4, 16])
def test_a_small_picture_is_cut_too(size: int) -> None:
    picture = texture(1, (0.5, 0.5, 0.5))[:, :size, :size]
    for points in (torch.zeros(1, 2), torch.tensor([[0.0, 0], [size, size]])):
        (piece,) = cut_out(Plain(picture, REACH * size / SIZE), [points], NO_OTHERS)
        share = piece.share
        assert share.shape == (size, size) and ((share >= 0) & (share <= 1)).all()
