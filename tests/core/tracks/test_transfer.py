"""Motion laid from one frame over another, against numbers written by hand."""

from __future__ import annotations

import pytest
import torch

from motionstream_core.tracks import Placement, Tracks
from motionstream_core.tracks.transfer import only_in, over_time, transfer


def reference() -> Tracks:
    """In 200 x 100 px: a point from the left edge's middle to the frame's centre, and one that rests in a corner."""
    x = torch.tensor([0.0, 50.0, 100.0])
    moving = torch.stack([x, torch.full((3,), 50.0)], dim=-1)
    points = torch.stack([moving, torch.tensor([[199.0, 99.0]]).expand(3, 2)], dim=1)
    return Tracks(points, torch.tensor([[1, 1], [1, 0], [1, 1]]).bool(), 100, 200, torch.tensor([7, 3]))


@pytest.mark.parametrize(
    ("fit", "expected"),
    [
        ("fit", [[0, 50], [25, 50], [50, 50]]),  # half the size, a band in the middle
        ("fill", [[-50, 50], [0, 50], [50, 50]]),  # the full height, both sides cut
        ("stretch", [[0, 50], [25, 50], [50, 50]]),
        ("pixels", [[-50, 50], [0, 50], [50, 50]]),
    ],
)
def test_the_reference_frame_lies_on_the_targets(fit: str, expected: list[list[float]]) -> None:
    tracks = transfer(reference(), 100, 100, fit)
    assert tracks.points[:, 0].tolist() == expected
    assert (tracks.height, tracks.width) == (100, 100)
    assert tracks.visibility[:, 0].tolist() == [x >= 0 for x, _ in expected]
    assert tracks.ids[0] == 7


def test_corners_by_each_fit() -> None:
    assert transfer(reference(), 100, 100, "fit").points[0, 1].tolist() == [99.5, 74.5]
    assert transfer(reference(), 100, 100, "stretch").points[0, 1].tolist() == [99.5, 99]
    assert transfer(reference(), 100, 100, "fill").ids.tolist() == [7]  # outside throughout: dropped
    assert transfer(reference(), 100, 200).visibility[:, 1].tolist() == [True, False, True]  # occlusion stays


def test_a_hand_set_similarity_goes_about_the_targets_middle() -> None:
    placed = Placement(scale_x=0.5, scale_y=0.5, rotation_deg=90, shift_x_px=10, shift_y_px=-5)
    tracks = transfer(reference(), 100, 100, "fit", placed)
    # from the middle: (-50, 0) -> halved (-25, 0) -> a quarter turn clockwise on screen (0, -25) -> shifted
    assert torch.allclose(tracks.points[0, 0], torch.tensor([60.0, 20.0]), atol=1e-4)
    assert torch.allclose(tracks.points[2, 0], torch.tensor([60.0, 45.0]), atol=1e-4)


def test_a_mask_keeps_what_begins_on_it() -> None:
    mask = torch.zeros(100, 100)
    mask[40:60, :30] = 1
    assert only_in(transfer(reference(), 100, 100), mask).ids.tolist() == [7]
    with pytest.raises(ValueError, match="none of the 1 tracks begins on it"):
        only_in(transfer(reference(), 100, 100, "fill"), mask)  # begins outside, passes the mask later


def test_time() -> None:
    tracks = reference()
    assert over_time(tracks, 5, "stretch").points[:, 0, 0].tolist() == [0, 25, 50, 75, 100]
    kept = over_time(tracks, 5, "frames")
    assert kept.points[:3, 0, 0].tolist() == [0, 50, 100]
    assert kept.visibility[:, 0].tolist() == [True] * 3 + [False] * 2
    slower = over_time(tracks, 5, "seconds", source_fps=8, fps=16)
    assert slower.points[:, 0, 0].tolist() == [0, 25, 50, 75, 100]
    assert over_time(tracks, 2, "frames").points[:, 0, 0].tolist() == [0, 50]


def test_what_is_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="fit is 'crop'"):
        transfer(reference(), 10, 10, "crop")
    with pytest.raises(ValueError, match="time is 'loop'"):
        over_time(reference(), 3, "loop")
    with pytest.raises(ValueError, match="needs both frame rates"):
        over_time(reference(), 3, "seconds", fps=16)
