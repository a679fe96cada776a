"""The nodes that choose points, without a host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]
FILTER = {
    "keep": "in mask",
    "invert": False,
    "frame": 0,
    "min_visible": 0.5,
    "count": 2,
    "seed": 0,
    "width": 0,
    "height": 0,
}
FROM_MASK = {
    "place": "grid",
    "spacing": 8.0,
    "count": 5,
    "seed": 0,
    "length": 4,
    "follow": False,
    "margin": 0,
    "width": 0,
    "height": 0,
}


def row(num_tracks: int = 8) -> dict[str, torch.Tensor]:
    """Points at x = 4, 12, 20, ... of 64 px in the first of two frames, 8 px further right in the second; the last
    point is seen in the second frame only."""
    x = 8 * torch.arange(num_tracks) + 4.0
    path = torch.stack([torch.stack([x, torch.full_like(x, 16)], -1), torch.stack([x + 8, torch.full_like(x, 16)], -1)])
    seen = torch.ones(2, num_tracks, dtype=torch.bool)
    seen[0, -1] = False
    return {"track_path": path, "track_visibility": seen}


def filtered(pack: Pack, **changes: Any) -> tuple[list[float], list[float]]:
    node = pack("nodes.tracks.filter").MotionStreamFilterTracks
    kept, rest = node.execute(row(), **{**FILTER, **changes}).args
    return kept["track_path"][0, :, 0].tolist(), rest["track_path"][0, :, 0].tolist()


def left_half(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, :, : width // 2] = 1
    return mask


def test_by_mask(pack: Pack) -> None:
    assert filtered(pack, mask=left_half(32, 64)) == ([4, 12, 20, 28], [36, 44, 52, 60])
    assert filtered(pack, mask=left_half(32, 64), invert=True) == ([36, 44, 52, 60], [4, 12, 20, 28])
    assert filtered(pack, mask=left_half(32, 64), frame=-1)[0] == [4, 12, 20]
    # A mask of a quarter of the size is laid over the whole frame.
    assert filtered(pack, mask=left_half(8, 16), width=64, height=32)[0] == [4, 12, 20, 28]
    assert filtered(pack, mask=torch.cat([left_half(32, 64), 1 - left_half(32, 64)]), frame=1)[0] == [28, 36, 44, 52]
    everything = torch.ones(32, 64)
    assert filtered(pack, mask=everything) == ([4, 12, 20, 28, 36, 44, 52], [60])  # the last one is not seen


def test_by_visibility_and_by_lot(pack: Pack) -> None:
    assert filtered(pack, keep="visible", min_visible=0.51)[1] == [60]
    assert filtered(pack, keep="visible")[1] == []
    kept, rest = filtered(pack, keep="random", count=3)
    assert (len(kept), len(rest)) == (3, 5)
    assert kept == sorted(kept)
    assert filtered(pack, keep="random", count=3, invert=True) == (rest, kept)
    assert {tuple(filtered(pack, keep="random", count=3, seed=seed)[0]) for seed in range(5)} != {tuple(kept)}


def test_by_motion(pack: Pack) -> None:
    """All go 8 px to the right, but the last, which is seen in one frame only."""
    assert filtered(pack, keep="moving") == ([4, 12, 20, 28, 36, 44, 52], [60])
    assert filtered(pack, keep="moving", min_motion=8.0)[0] == []
    assert filtered(pack, keep="moving", min_motion=7.5, invert=True)[0] == [60]


def test_the_largest_seed_is_taken(pack: Pack) -> None:
    assert len(filtered(pack, keep="random", seed=0xFFFFFFFFFFFFFFFF)[0]) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "mask: nothing is connected"),
        ({"mask": torch.ones(3, 8, 8)}, "there are 3 masks for 2 frames"),
        ({"mask": torch.ones(1, 8, 8, 3)}, "it must be"),
        ({"mask": torch.ones(1, 8, 8), "frame": 2}, "frame is 2; the tracks have frames 0 to 1"),
        ({"mask": torch.ones(2, 8, 8), "frame": -3}, "frame is -3; the tracks have frames 0 to 1"),
    ],
)
def test_refusals(pack: Pack, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filtered(pack, **changes)


def from_mask(pack: Pack, mask: torch.Tensor, **changes: Any) -> dict[str, torch.Tensor]:
    node = pack("nodes.tracks.filter").MotionStreamTracksFromMask
    return node.execute(mask, **{**FROM_MASK, **changes}).args[0]


def test_a_grid_in_a_mask(pack: Pack) -> None:
    tracks = from_mask(pack, left_half(16, 32))
    assert tracks["track_path"].tolist() == [[[4, 4], [12, 4], [4, 12], [12, 12]]] * 4
    assert tracks["track_visibility"].all()


def test_a_mask_of_another_size_is_brought_to_the_videos(pack: Pack) -> None:
    """Spacing and margin are px of the video, whatever the mask's size."""
    tracks = from_mask(pack, left_half(4, 8), width=32, height=16)
    assert tracks["track_path"][0].tolist() == [[4, 4], [12, 4], [4, 12], [12, 12]]
    assert from_mask(pack, left_half(64, 128), width=32, height=16)["track_path"].shape == (4, 4, 2)
    assert from_mask(pack, left_half(4, 8), width=32, height=16, margin=6)["track_path"][0, :, 0].max() <= 10


def test_a_mask_is_made_smaller_by_its_mean(pack: Pack) -> None:
    """One column of four is covered: a quarter, and so nothing, though every fourth pixel says otherwise."""
    mask = torch.zeros(1, 64, 128)
    mask[:, :, ::4] = 1
    with pytest.raises(ValueError, match="the mask covers nothing"):
        from_mask(pack, mask, width=32, height=16)


def test_a_count_in_a_mask(pack: Pack) -> None:
    tracks = from_mask(pack, left_half(16, 32), place="count")
    assert tracks["track_path"].shape == (4, 5, 2)
    assert (tracks["track_path"][..., 0] < 16).all()
    other = from_mask(pack, left_half(16, 32), place="count", seed=1)
    assert not torch.equal(tracks["track_path"], other["track_path"])


def test_points_follow_masks_over_the_length(pack: Pack) -> None:
    masks = torch.zeros(3, 16, 64)
    for t in range(3):
        masks[t, :, 16 * t : 16 * t + 16] = 1
    still = from_mask(pack, masks, length=5)
    moving = from_mask(pack, masks, length=5, follow=True)
    assert still["track_path"][:, 0, 0].tolist() == [4] * 5
    assert moving["track_path"][:, 0, 0].tolist() == [4, 12, 20, 28, 36]


def test_an_empty_mask_is_refused(pack: Pack) -> None:
    with pytest.raises(ValueError, match="the mask covers nothing"):
        from_mask(pack, torch.zeros(1, 8, 8))
