"""Which tracks are kept, against looking at the mask point by point."""

from __future__ import annotations

import math

import pytest
import torch

from motionstream_core.tracks import Tracks, assign_ids, covered, drawn_by_lot, farthest, select, visible_share


def scattered(num_frames: int = 3, num_tracks: int = 200) -> Tracks:
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(num_frames, num_tracks, 2, generator=generator) * torch.tensor([80.0, 60.0]) - 8
    visibility = torch.rand(num_frames, num_tracks, generator=generator) > 0.2
    return Tracks(points, visibility, 48, 64, assign_ids(num_tracks, 4))


@pytest.mark.parametrize("size", [(48, 64), (12, 128), (7, 5)])
@pytest.mark.parametrize("frame", [0, 2, -1])
def test_covered_is_what_the_pixel_under_the_point_says(size: tuple[int, int], frame: int) -> None:
    tracks, (height, width) = scattered(), size
    mask = torch.rand(size, generator=torch.Generator().manual_seed(1))
    result = covered(tracks, mask, frame).tolist()
    expected = []
    for (x, y), seen in zip(tracks.points[frame].tolist(), tracks.visibility[frame].tolist(), strict=True):
        in_frame = 0 <= x < 64 and 0 <= y < 48
        column, row = math.floor(x * width / 64), math.floor(y * height / 48)
        expected.append(seen and in_frame and mask[row, column].item() >= 0.5)
    assert result == expected
    assert 20 < sum(result) < 180


def test_a_point_that_is_nowhere_is_not_covered() -> None:
    tracks = Tracks(torch.full((1, 1, 2), math.nan), torch.zeros(1, 1, dtype=torch.bool), 8, 8)
    assert covered(tracks, torch.ones(8, 8), 0).tolist() == [False]


def test_selection_keeps_order_and_ids() -> None:
    tracks = scattered()
    kept = torch.arange(200) % 3 == 0
    result = select(tracks, kept)
    assert result.ids.tolist() == tracks.ids.tolist()[::3]
    assert torch.equal(result.points, tracks.points[:, ::3])
    assert torch.equal(result.visibility, tracks.visibility[:, ::3])
    assert torch.equal(select(tracks, ~kept).points[:, :2], tracks.points[:, 1:3])


def test_visible_share() -> None:
    visibility = torch.tensor([[1, 1, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]]).bool()
    assert visible_share(Tracks(torch.zeros(4, 3, 2), visibility, 8, 8)).tolist() == [1.0, 0.25, 0.0]


def test_farthest_is_of_visible_frames_and_from_the_first_of_them() -> None:
    """A point at rest, one that goes 3-4-5 and comes back, one whose leap is hidden, one seen from the second frame
    on, one that is nowhere."""
    nan = math.nan
    points = torch.tensor(
        [
            [[5, 5], [0, 0], [0, 0], [90, 90], [nan, nan]],
            [[5, 5], [3, 4], [70, 0], [1, 1], [nan, nan]],
            [[5, 5], [0, 0], [0, 2], [1, 7], [nan, nan]],
        ]
    ).float()
    seen = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 1, 0]]).bool()
    assert farthest(Tracks(points, seen, 100, 100)).tolist() == [0, 5, 2, 6, 0]


def test_lots_are_seeded_grow_and_are_fair() -> None:
    tracks = scattered()
    lot = drawn_by_lot(tracks, 30, 7)
    assert lot.sum() == 30
    assert torch.equal(lot, drawn_by_lot(tracks, 30, 7))
    assert not torch.equal(lot, drawn_by_lot(tracks, 30, 8))
    assert (drawn_by_lot(tracks, 31, 7) & lot).sum() == 30
    assert drawn_by_lot(tracks, 1000, 7).all()
    assert not drawn_by_lot(tracks, 0, 7).any()
    times = torch.stack([drawn_by_lot(tracks, 50, seed) for seed in range(400)]).sum(dim=0).double()
    assert times.mean() == 100
    assert times.std().item() == pytest.approx((400 * 0.25 * 0.75) ** 0.5, rel=0.2)  # binomial


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (lambda: select(scattered(), torch.ones(200)), "kept is torch.float32"),
        (lambda: select(scattered(), torch.ones(3, dtype=torch.bool)), r"it must be bool \(200\)"),
        (lambda: covered(scattered(), torch.ones(1, 8, 8), 0), "one mask"),
        (lambda: covered(scattered(), torch.ones(8, 8), 3), "frame is 3; the tracks have frames 0 to 2"),
        (lambda: drawn_by_lot(scattered(), -1, 0), "count is -1"),
    ],
)
def test_refusals(work, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        work()
