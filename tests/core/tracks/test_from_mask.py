"""Points in masks: inside, as many as asked, evenly spread, and moving with a mask that moves."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import at_rest, grid_in_mask, spread_in_mask, with_mask


def disc(height: int, width: int, x: float, y: float, radius: float) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    return ((columns - x) ** 2 + (rows - y) ** 2 <= radius**2).float()


def test_the_grid_fills_a_box_with_the_same_room_on_all_sides() -> None:
    mask = torch.zeros(40, 60)
    mask[10:30, 5:45] = 1
    points = grid_in_mask(mask, 8)
    assert sorted(set(points[:, 0].tolist())) == [9, 17, 25, 33, 41]  # 5 + 4 ... 45 - 4
    assert sorted(set(points[:, 1].tolist())) == [16, 24]  # 20 px hold two, 6 px from either side
    assert len(points) == 10


@settings(max_examples=30, deadline=None)
@given(st.floats(1.5, 30), st.floats(2, 30), st.floats(2, 20))
def test_grid_points_lie_inside_and_none_is_missing(spacing: float, x: float, radius: float) -> None:
    mask = disc(40, 60, x, 20, radius)
    try:
        points = grid_in_mask(mask, spacing)
    except ValueError:
        assert spacing > radius / 2  # a disc that large holds a point of any grid of that spacing
        return
    assert mask[points[:, 1].long(), points[:, 0].long()].bool().all()
    pairs = torch.cdist(points, points) + torch.eye(len(points)) * 1e6
    assert pairs.min() >= spacing - 1e-3
    if spacing < radius / 3:
        assert len(points) == pytest.approx(mask.sum().item() / spacing**2, rel=0.5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(0, 10), st.floats(4, 18))
def test_a_count_is_spread_so_that_no_gap_is_wider_than_the_nearest_pair(count: int, seed: int, radius: float) -> None:
    mask = disc(40, 60, 25, 20, radius)
    points = spread_in_mask(mask, count, seed)
    assert len(points) == min(count, int(mask.sum()))
    assert mask[points[:, 1].long(), points[:, 0].long()].bool().all()
    if count == 1:
        return
    pairs = torch.cdist(points, points) + torch.eye(len(points)) * 1e6
    pixels = mask.nonzero().flip(-1).float() + 0.5
    widest_gap = torch.cdist(pixels, points).min(dim=1).values.max()
    assert pairs.min() >= widest_gap - 1e-4
    assert torch.equal(points, spread_in_mask(mask, count, seed))
    assert torch.equal(points[: count - 1], spread_in_mask(mask, count - 1, seed))


def test_seeds_differ() -> None:
    mask = torch.ones(30, 30)
    assert not torch.equal(spread_in_mask(mask, 9, 0), spread_in_mask(mask, 9, 1))


def test_a_large_mask_is_thinned_but_still_evenly_covered() -> None:
    points = spread_in_mask(torch.ones(300, 400, dtype=torch.bool), 48, 5)
    pixels = torch.ones(300, 400).nonzero().flip(-1).float() + 0.5
    assert torch.cdist(pixels, points).min(dim=1).values.max() < 1.2 * math.sqrt(300 * 400 / 48)


@pytest.mark.parametrize("points_of", [lambda m: grid_in_mask(m, 3, 4), lambda m: spread_in_mask(m, 40, 0, 4)])
def test_the_margin_keeps_points_from_the_masks_edge_but_not_from_the_frames(points_of) -> None:
    mask = torch.zeros(40, 60)
    mask[:, 20:50] = 1
    points = points_of(mask)
    assert points[:, 0].min() >= 24
    assert points[:, 0].max() <= 46
    assert points[:, 1].min() < 4


def test_points_at_rest() -> None:
    tracks = at_rest(torch.tensor([[3.5, 4.5], [6.0, 7.0]]), 5, 40, 60)
    assert tracks.points.tolist() == [[[3.5, 4.5], [6.0, 7.0]]] * 5
    assert tracks.visibility.all()
    assert (tracks.height, tracks.width) == (40, 60)


def test_points_move_with_the_mask_and_hide_where_it_is_gone() -> None:
    masks = torch.stack([disc(40, 80, 15 + 6 * t, 20 - t, 8) for t in range(6)])
    masks[3] = 0
    points = spread_in_mask(masks[0], 7, 0)
    tracks = with_mask(points, masks)
    for t in (0, 1, 2, 4, 5):
        assert torch.allclose(tracks.points[t], points + torch.tensor([6.0 * t, -1.0 * t]), atol=1e-3)
    assert torch.equal(tracks.points[3], tracks.points[2])
    assert tracks.visibility[:, 0].tolist() == [True, True, True, False, True, True]


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: grid_in_mask(torch.zeros(8, 8), 2), "the mask covers nothing"),
        (lambda: spread_in_mask(torch.full((8, 8), 0.4), 2, 0), "the mask covers nothing"),
        (lambda: grid_in_mask(torch.ones(2, 8, 8), 2), "it must be one mask"),
        (lambda: grid_in_mask(torch.ones(8, 8), 0), "spacing_px is 0"),
        (lambda: grid_in_mask(torch.ones(4000, 4000), 0.1), "give a larger one"),
        (lambda: grid_in_mask(torch.ones(400, 400), 1), "only 100000 ids"),
        (lambda: grid_in_mask(disc(40, 40, 20, 20, 15) - disc(40, 40, 20, 20, 8), 60), "no point of the grid"),
        (lambda: grid_in_mask(disc(40, 40, 20, 20, 5), 2, 9), "margin_px 9 leaves nothing"),
        (lambda: grid_in_mask(torch.ones(8, 8), 2, -1), "margin_px is -1"),
        (lambda: spread_in_mask(torch.ones(8, 8), 0, 0), "count is 0"),
        (lambda: at_rest(torch.zeros(1, 2), 0, 8, 8), "num_frames is 0"),
        (lambda: with_mask(torch.zeros(1, 2), torch.zeros(2, 8, 8)), "the first mask covers nothing"),
    ],
)
def test_refusals(work, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        work()
