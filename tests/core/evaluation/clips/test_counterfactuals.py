"""Other motions for the same frame, in closed form."""

from __future__ import annotations

import pytest
import torch

from motionstream_core.evaluation.clips.counterfactuals import counterfactual
from motionstream_core.tracks import Tracks

T, H, W = 5, 100, 200


@pytest.fixture
def tracks() -> Tracks:
    """Three points: at rest in the corner, one that goes 30 px right and 8 down, one near it that goes 4 px down."""
    u = torch.linspace(0, 1, T)[:, None, None]
    points = torch.tensor([[[10.0, 10.0], [150.0, 50.0], [146.0, 53.0]]]) + u * torch.tensor(
        [[[0, 0], [30, 8], [0, 4]]]
    )
    visibility = torch.ones(T, 3, dtype=torch.bool)
    visibility[2, 2] = False
    return Tracks(points, visibility, H, W)


def test_mirrored_goes_left_where_it_went_right(tracks: Tracks) -> None:
    made = counterfactual("mirrored", tracks)
    assert made.points[-1].tolist() == [[10, 10], [120, 58], [146, 57]]
    assert made.visibility.equal(tracks.visibility) and made.ids.equal(tracks.ids)


def test_pan_moves_all_alike_until_they_leave(tracks: Tracks) -> None:
    made = counterfactual("pan", tracks)
    moved = made.points - tracks.points[:1]
    # a fifth of the width, at half of it in the middle frame
    assert moved[0].abs().max() == 0
    torch.testing.assert_close(moved[2], torch.tensor([[20.0, 0.0]]).expand(3, 2))
    torch.testing.assert_close(moved[-1], torch.tensor([[40.0, 0.0]]).expand(3, 2))
    gone = counterfactual("pan", Tracks(tracks.points + torch.tensor([15.0, 0.0]), tracks.visibility, H, W))
    assert gone.visibility[-1].tolist() == [True, False, False]  # 165 + 40 and 161 + 40 px of 200


def test_zoom_grows_about_the_middle(tracks: Tracks) -> None:
    made = counterfactual("zoom", tracks)
    expected = torch.tensor([100.0, 50.0]) + 1.3 * (tracks.points[0] - torch.tensor([100.0, 50.0]))
    torch.testing.assert_close(made.points[-1], expected)
    assert made.visibility[-1].tolist() == [False, True, True]  # the corner's point is pushed out


def test_drags_lead_the_liveliest_point_towards_the_middle(tracks: Tracks) -> None:
    dense, handle = counterfactual("dense", tracks), counterfactual("handle", tracks)
    assert handle.num_tracks == 1 and handle.ids.tolist() == tracks.ids[1:2].tolist()
    torch.testing.assert_close(handle.points[:, 0], dense.points[:, 1])
    # a fifth of 100 px along (100, 50) - (150, 50)
    torch.testing.assert_close(handle.points[-1, 0], torch.tensor([130.0, 50.0]))
    # its neighbour within 18 px goes along, what is far is told to rest
    torch.testing.assert_close(dense.points[-1], torch.tensor([[10.0, 10.0], [130.0, 50.0], [126.0, 53.0]]))
    assert dense.visibility.all()


def test_another_clips_motion_is_brought_to_this_length(tracks: Tracks) -> None:
    other = Tracks(torch.rand(9, 2, 2) * 90, torch.ones(9, 2, dtype=torch.bool), H, W)
    made = counterfactual("other", tracks, other)
    torch.testing.assert_close(made.points, other.points[::2])
    with pytest.raises(ValueError, match="two clips"):
        counterfactual("other", tracks)
    with pytest.raises(ValueError, match="'sideways'; known are mirrored"):
        counterfactual("sideways", tracks)
