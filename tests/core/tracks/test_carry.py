"""The picture that its tracks drag, against pictures that were drawn in the places where it should be."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from motionstream_core.demo.example import drawn_example
from motionstream_core.tracks import Tracks
from motionstream_core.tracks import carry as carry_module
from motionstream_core.tracks.carry import CarriedPicture
from motionstream_core.tracks.cutout import cut_out

SIZE = 128


def noise(seed: int = 0) -> Tensor:
    """A picture (3 h w) in which every place is unlike every other, smooth over some pixels."""
    coarse = torch.rand(1, 3, SIZE // 4, SIZE // 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, (SIZE, SIZE), mode="bilinear")[0]


def tracks_of(points: Tensor, ids: list[int] | None = None, visibility: Tensor | None = None) -> Tracks:
    seen = torch.ones(points.shape[:2], dtype=torch.bool) if visibility is None else visibility
    return Tracks(points.float(), seen, SIZE, SIZE, None if ids is None else torch.tensor(ids))  # type: ignore[arg-type]


def grid(spacing: float = 16.0) -> Tensor:
    line = torch.arange(spacing / 2, SIZE, spacing)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).reshape(-1, 2)


def along(start: Tensor, way: tuple[float, float], num_frames: int) -> Tensor:
    """Points (t n 2) that go from `start` (n 2) by `way`, evenly."""
    return start + torch.linspace(0, 1, num_frames)[:, None, None] * torch.tensor(way)


def smooth(picture: Tensor) -> Tensor:
    """A picture that can be read between its pixels."""
    return torch.nn.functional.avg_pool2d(picture[None], 7, 1, 3, count_include_pad=False)[0]


def shifted(picture: Tensor, dx: float, dy: float) -> Tensor:
    """The picture, moved by less than a pixel or more."""
    line = torch.arange(SIZE) + 0.5
    y, x = torch.meshgrid(line - dy, line - dx, indexing="ij")
    back = torch.stack([x, y], dim=-1)[None] / (SIZE / 2) - 1
    return torch.nn.functional.grid_sample(picture[None], back, align_corners=False)[0]


def piece(picture: Tensor, x: float, y: float, radius: int = 14) -> tuple[Tensor, Tensor]:
    """A square of noise about (x, y), whole px, drawn over the picture; the points that a hand would set on it."""
    drawn, texture = picture.clone(), noise(9)[:, : 2 * radius, : 2 * radius]
    drawn[:, int(y) - radius : int(y) + radius, int(x) - radius : int(x) + radius] = texture
    offsets = torch.tensor([[-7.0, -7.0], [7, -7], [-7, 7], [7, 7]])
    return drawn, torch.tensor([x, y]) + offsets


def inner(frame: Tensor, x: float, y: float, radius: int = 10) -> Tensor:
    return frame[:, int(y) - radius : int(y) + radius, int(x) - radius : int(x) + radius]


def test_without_tracks_the_picture_stays() -> None:
    carried = CarriedPicture(noise()).carry(Tracks.empty(5, SIZE, SIZE))
    assert torch.equal(carried.frames, noise()[:, None].expand(-1, 5, -1, -1))
    assert not carried.came.any() and not carried.went.any()


def test_what_stands_still_is_the_picture_itself() -> None:
    carried = CarriedPicture(noise()).carry(tracks_of(grid().expand(4, -1, -1)))
    torch.testing.assert_close(carried.frames, noise()[:, None].expand(-1, 4, -1, -1), atol=1e-4, rtol=0)
    assert not carried.went.any()


def test_a_pan_moves_all_of_it() -> None:
    carried = CarriedPicture(noise()).carry(tracks_of(along(grid(), (6, -4), 3)))
    expected = torch.roll(noise(), (-4, 6), dims=(1, 2))
    assert (carried.frames[:, 2] - expected)[:, 12:-12, 12:-12].abs().max() < 0.01
    assert (carried.came[2, 12:-12, 12:-12] > 0.99).all()


@pytest.mark.parametrize("num_frames", [5, 13])
def test_a_pan_that_begins_slowly_is_sharp_from_its_first_frame(num_frames: int) -> None:
    picture = smooth(noise())
    frames = CarriedPicture(picture).carry(tracks_of(along(grid(), (3, -2), num_frames))).frames
    for frame, share in zip(frames.unbind(1), torch.linspace(0, 1, num_frames).tolist(), strict=True):
        assert (frame - shifted(picture, 3 * share, -2 * share))[:, 12:-12, 12:-12].abs().max() < 0.03


def test_a_piece_that_has_hardly_moved_lets_nothing_through() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    picture = smooth(picture)
    frames = CarriedPicture(picture).carry(tracks_of(along(points, (3, 0), 13))).frames
    for frame, share in zip(frames.unbind(1), torch.linspace(0, 1, 13).tolist(), strict=True):
        assert (inner(frame, 40, 60) - inner(shifted(picture, 3 * share, 0), 40, 60)).abs().max() < 0.03


def test_a_hand_on_a_plain_thing_leaves_its_neighbour_and_no_haze() -> None:
    """The purple square is swayed by a hand's grid; the red triangle beside it stays, and the ground has no purple."""
    picture = torch.from_numpy(drawn_example(2).image).movedim(2, 0).float() / 255
    purple = picture[2] > picture[1] + 0.2
    line = torch.linspace(-13, 13, 5)
    points = torch.nonzero(purple).float().mean(0).flip(0) + torch.stack(
        torch.meshgrid(line, line, indexing="xy"), dim=-1
    ).reshape(-1, 2)
    carry, frames = CarriedPicture(picture), list[Tensor]()
    ways = (along(points, (24, 8), 13), along(points + torch.tensor([24.0, 8.0]), (-20, 10), 13))
    for hand, moved in enumerate(ways):
        ids = [hand + 1000 * k for k in range(len(points))]
        frames += [carry.carry(tracks_of(moved, ids)).frames, carry.carry(Tracks.empty(2, SIZE, SIZE)).frames]
    red = (picture[0] > picture[1] + 0.4) & (picture[0] > picture[2] + 0.4)
    for frame in torch.cat(frames, dim=1).unbind(1):
        assert (frame - picture)[:, red].abs().max() < 0.1
        tinged = frame[2] > frame[1] + 0.06
        assert tinged.sum() < 1.25 * purple.sum()


def test_a_zoom_about_the_middle_is_the_enlarged_picture() -> None:
    middle = torch.tensor([SIZE / 2, SIZE / 2])
    points = torch.stack([middle + (grid() - middle) * factor for factor in (1.0, 1.1)])
    carried = CarriedPicture(noise()).carry(tracks_of(points))
    y, x = torch.meshgrid(torch.arange(SIZE) + 0.5, torch.arange(SIZE) + 0.5, indexing="ij")
    back = ((torch.stack([x, y], dim=-1) - middle) / 1.1 + middle) / SIZE * 2 - 1
    expected = torch.nn.functional.grid_sample(noise()[None], back[None], align_corners=False)[0]
    error = (carried.frames[:, 1] - expected)[:, 12:-12, 12:-12].square().mean().sqrt()
    still = (noise() - expected)[:, 12:-12, 12:-12].square().mean().sqrt()
    assert error < 0.25 * still


@pytest.mark.parametrize("held", [False, True])
def test_a_dragged_piece_arrives_whole_and_the_hole_closes(held: bool) -> None:
    ground = torch.full((3, SIZE, SIZE), 0.5)
    picture, points = piece(ground, 40, 60)
    arrived, _ = piece(ground, 76, 66)
    moved = along(points, (36, 6), 13)
    tracks = tracks_of(moved)
    if held:  # points at rest all around, hidden where the hand is over them
        rest = grid()[((grid() - torch.tensor([40.0, 60])).abs() > 24).any(-1)]
        seen = ((rest - moved.mean(1, keepdim=True)).abs() > 24).any(-1)
        both = torch.cat([moved, rest.expand(13, -1, -1)], dim=1)
        tracks = tracks_of(both, visibility=torch.cat([torch.ones(13, 4, dtype=torch.bool), seen], dim=1))
    carry = CarriedPicture(picture)
    carry.carry(tracks.slice(0, 1))
    carried = carry.carry(tracks.slice(1, 13))
    last = carried.frames[:, -1]
    assert (inner(last, 76, 66) - inner(arrived, 76, 66)).abs().max() < 0.02
    assert inner(carried.came[-1:], 76, 66).min() > 0.99
    assert inner(carried.went[-1:], 40, 60).min() > 0.9
    left = inner(last, 40, 60)[:, :, :8]  # the side that nothing lies over again
    assert (left - 0.5).abs().mean() < 0.25 * (inner(picture, 40, 60)[:, :, :8] - 0.5).abs().mean()


def test_under_a_camera_what_lay_behind_is_textured_and_goes_along_with_its_ground() -> None:
    picture, points = piece(noise(), 40, 60)
    rests = grid(12)[(grid(12) - torch.tensor([40.0, 60])).abs().amax(1) > 20]
    moved = torch.cat([along(points, (44, 0), 13), along(rests, (12, 0), 13)], dim=1)
    carried = CarriedPicture(picture).carry(tracks_of(moved))
    behind = [inner(carried.frames[:, k], 32 + k, 60, 6) for k in (9, 12)]  # within the piece's place, 3 px further on
    assert carried.went[-1, 54:66, 38:50].min() > 0.9
    torch.testing.assert_close(behind[1], behind[0], atol=0.03, rtol=0)
    assert behind[1].std() > 0.5 * noise().std()


def test_what_was_let_go_stays_and_can_be_taken_back() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    carry = CarriedPicture(picture)
    carry.carry(tracks_of(along(points, (36, 0), 13), ids=[1, 2, 3, 4]))
    let_go = carry.carry(Tracks.empty(4, SIZE, SIZE))
    assert (inner(let_go.frames[:, -1], 76, 60) - inner(picture, 40, 60)).abs().max() < 0.02
    back = carry.carry(tracks_of(along(points + torch.tensor([36.0, 0]), (-36, 0), 13), ids=[5, 6, 7, 8]))
    assert (inner(back.frames[:, -1], 40, 60) - inner(picture, 40, 60)).abs().max() < 0.02


def test_a_stroke_that_begins_later_takes_what_is_there_then() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    moved, seen = torch.cat([points.expand(6, -1, -1), along(points, (30, 0), 13)]), torch.ones(19, 4, dtype=torch.bool)
    seen[:6] = False
    carry = CarriedPicture(picture)
    tracks = tracks_of(moved, visibility=seen)
    carry.carry(tracks.slice(0, 1))
    carried = carry.carry(tracks.slice(1, 19)).frames
    assert torch.equal(carried[:, :5], picture[:, None].expand(-1, 5, -1, -1))
    assert (inner(carried[:, -1], 70, 60) - inner(picture, 40, 60)).abs().max() < 0.02


def test_a_point_that_comes_out_of_a_hole_carries_nothing() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    moved = along(points, (40, 0), 13)
    behind = along(torch.tensor([[38.0, 56.0]]), (0, 9), 13)  # seen once the piece has gone
    seen = torch.ones(13, 5, dtype=torch.bool)
    seen[:8, 4] = False
    alone = CarriedPicture(picture).carry(tracks_of(moved, ids=[1, 2, 3, 4]))
    both = tracks_of(torch.cat([moved, behind], dim=1), ids=[1, 2, 3, 4, 5], visibility=seen)
    assert torch.equal(CarriedPicture(picture).carry(both).frames, alone.frames)


def test_a_hidden_point_goes_along_with_its_neighbour() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    moved, seen = along(points, (36, 0), 13), torch.ones(13, 4, dtype=torch.bool)
    seen[4:, 1:] = False
    moved = torch.where(seen[..., None], moved, torch.nan).nan_to_num(-500.0)
    last = CarriedPicture(picture).carry(tracks_of(moved, visibility=seen)).frames[:, -1]
    assert (inner(last, 76, 60) - inner(picture, 40, 60)).abs().max() < 0.02


def test_a_copy_goes_its_own_way() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    one = CarriedPicture(picture)
    one.carry(tracks_of(along(points, (10, 0), 13), ids=[1, 2, 3, 4]))
    other = one.copy()
    rest = tracks_of(along(points + torch.tensor([10.0, 0]), (10, 0), 12), ids=[1, 2, 3, 4])
    expected = one.carry(rest)
    other.copy().carry(tracks_of(along(points + torch.tensor([10.0, 0]), (0, 30), 12), ids=[1, 2, 3, 4]))
    again = other.carry(rest)
    assert torch.equal(again.frames, expected.frames) and torch.equal(again.went, expected.went)


def test_a_thing_in_hand_is_cut_out_once_whatever_comes_and_goes_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, points = piece(noise(), 40, 60)
    rests = grid()[(grid() - torch.tensor([40.0, 60])).abs().amax(1) > 20]
    places = torch.cat([along(points, (30, 0), 25), rests.expand(25, -1, -1)], dim=1)
    cuts = Mock(wraps=cut_out)
    monkeypatch.setattr(carry_module, "cut_out", cuts)
    carry, seen = CarriedPicture(picture), torch.ones(25, 4 + len(rests), dtype=torch.bool)
    seen[5:, 4:] = torch.rand(20, len(rests), generator=torch.Generator().manual_seed(3)) > 0.3
    for start in range(0, 25, 5):
        part, told = slice(start, start + 5), 4 + len(rests) - start
        fewer = tracks_of(places[part, :told], list(range(told)), seen[part, :told])
        again, expected = replace(carry.copy(), _shares=(None, [])).carry(fewer), carry.carry(fewer)
        assert torch.equal(again.frames, expected.frames)  # and what was forgotten comes out again as it was
    assert (inner(expected.frames[:, -1], 70, 60) - inner(picture, 40, 60)).abs().max() < 0.02
    assert cuts.call_count == 1 + 5


def test_a_drag_that_begins_where_another_ended_is_cut_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The old hand's points are told no more from the chunk in which the new one sets off."""
    picture, points = piece(noise(), 40, 60)
    cuts = Mock(wraps=cut_out)
    monkeypatch.setattr(carry_module, "cut_out", cuts)
    carry = CarriedPicture(picture)
    carry.carry(tracks_of(along(points, (30, 0), 13), ids=[1, 2, 3, 4]))
    there, left = points + torch.tensor([30.0, 0]), carry.shown
    assert torch.equal(carry.copy().carry(Tracks.empty(2, SIZE, SIZE)).frames[:, -1], left)
    for start in range(0, 24, 4):  # hardly moved at first, so that it is alike to what rests about it
        way = along(there, (0, 40), 24)[start : start + 4]
        rests = grid()[(grid() - there[0]).abs().amax(1) > 30].expand(4, -1, -1)[:, start // 4 :]
        ids = [5, 6, 7, 8, *range(100 + start // 4, 100 + start // 4 + rests.shape[1])]
        last = carry.carry(tracks_of(torch.cat([way, rests], dim=1), ids)).frames[:, -1]
    assert cuts.call_count == 2
    assert torch.equal(carry.picture, left)
    assert (inner(last, 70, 100) - inner(picture, 40, 60)).abs().max() < 0.05


def test_what_was_dragged_is_taken_again_as_the_same_piece() -> None:
    """Of a ground like itself, in which no colour says how far it reaches."""
    picture, points = piece(noise(), 40, 60)
    carry = CarriedPicture(picture)
    carry.carry(tracks_of(along(points, (24, 10), 13), ids=[1, 2, 3, 4]))
    first = carry._shares[1][0].share
    there = points[:1] + torch.tensor([24.0, 10])  # by one of its corners
    for hand, way in enumerate(((20.0, -20.0), (-30.0, 4.0), (0.0, 30.0)), start=5):
        last = carry.carry(tracks_of(along(there, way, 13), ids=[hand])).frames[:, -1]
        again = carry._shares[1][0].share
        assert 0.95 < again.sum() / first.sum() < 1.05
        there = there + torch.tensor(way)
    assert carry._pieces_shown.max() == 1
    assert (inner(last, 54, 84) - inner(picture, 40, 60)).abs().max() < 0.1  # four times read between its pixels


def test_pieces_that_lie_over_each_other() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    picture, others = piece(picture, 90, 60)
    carry = CarriedPicture(picture)
    carry.carry(tracks_of(along(points, (0, 30), 13), ids=[1, 2, 3, 4]))
    carry.carry(tracks_of(along(others, (-40, 36), 13), ids=[5, 6, 7, 8]))  # over the first one's corner
    pieces = carry._pieces_shown
    assert pieces.unique().tolist() == [0, 1, 2]
    assert pieces[96, 50] == 2 and pieces[84, 30] == 1 and pieces[60, 40] == 0


def test_a_camera_whose_middle_is_on_a_piece_moves_all_of_the_picture() -> None:
    picture, points = piece(noise(), 40, 60)
    carry, moved = CarriedPicture(picture), grid()
    carry.carry(tracks_of(along(points, (20, 0), 13), ids=[1, 2, 3, 4]))
    left = carry.shown
    assert (carry._pieces_shown[48:72, 48:72] == 1).all()
    last = carry.carry(tracks_of(along(moved, (8, 0), 13), ids=list(range(100, 100 + len(moved))))).frames[:, -1]
    torch.testing.assert_close(last[:, 10:-10, 20:-10], left[:, 10:-10, 12:-18], atol=0.02, rtol=0)
    assert not carry._pieces_shown.any()  # nothing is remembered under a camera


def test_a_point_in_a_hole_carries_nothing_when_it_leaves_it_either() -> None:
    picture, points = piece(0.3 * noise(), 40, 60)
    carry, moved = CarriedPicture(picture), along(points, (40, 0), 13)
    carry.carry(tracks_of(moved, ids=[1, 2, 3, 4]))
    late, rest = along(torch.tensor([[40.0, 60.0]]), (0, 60), 4), moved[-1:].expand(4, -1, -1)
    alone = carry.copy().carry(tracks_of(rest, ids=[1, 2, 3, 4]))
    both = carry.carry(tracks_of(torch.cat([rest, late], dim=1), ids=[1, 2, 3, 4, 5]))
    assert torch.equal(both.frames, alone.frames)


def test_what_is_remembered_does_not_grow_without_end() -> None:
    carry, generator = CarriedPicture(noise()), torch.Generator().manual_seed(2)
    for hand in range(6):
        points = torch.rand(9, 2, generator=generator) * SIZE
        way = (torch.rand(2, generator=generator) * 40 - 20).tolist()
        carry.carry(tracks_of(along(points, (way[0], way[1]), 3), ids=list(range(9 * hand, 9 * hand + 9))))
    assert carry._ids and set(carry._ids) <= set(range(9 * 5, 9 * 6))  # some lay in holes
    assert len(carry._anchors) == len(carry._places) == len(carry._groups) == len(carry._ids)


def test_points_that_were_let_go_where_they_were_are_forgotten() -> None:
    carry = CarriedPicture(noise())
    carry.carry(tracks_of(grid().expand(2, -1, -1)))
    carry.carry(Tracks.empty(2, SIZE, SIZE))
    assert not carry._ids


def test_neighbours_that_part_each_keep_what_is_theirs() -> None:
    ground = torch.full((3, SIZE, SIZE), 0.5)
    picture, left = piece(ground, 44, 64, radius=9)
    picture[:, 55:73, 55:73] = torch.tensor([0.9, 0.2, 0.1])[:, None, None]  # beside it, about (64, 64)
    right = left + torch.tensor([20.0, 0.0])
    both = torch.cat([along(left, (-24, -20), 13), along(right, (30, 24), 13)], dim=1)
    last = CarriedPicture(picture).carry(tracks_of(both)).frames[:, -1]
    assert (inner(last, 94, 88, 7) - inner(picture, 64, 64, 7)).abs().max() < 0.02
    assert (inner(last, 20, 44, 7) - inner(picture, 44, 64, 7)).abs().max() < 0.02
    red = (last[0] - last[1] > 0.4).sum() / (picture[0] - picture[1] > 0.4).sum()
    assert 0.9 < red < 1.15  # once, and nowhere else


def test_under_a_camera_the_hole_takes_the_grounds_colour() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 40, 60)
    rest = grid()[((grid() - torch.tensor([40.0, 60])).abs() > 20).any(-1)]
    both = torch.cat([along(points, (40, 10), 13), along(rest, (-8, 0), 13)], dim=1)
    last = CarriedPicture(picture).carry(tracks_of(both)).frames[:, -1]
    assert (inner(last, 80, 70) - inner(picture, 40, 60)).abs().max() < 0.02
    assert (inner(last, 32, 60) - 0.5).abs().mean() < 0.05  # where the ground under the piece is now


def test_a_hidden_point_of_one_thing_is_not_spoken_for_by_another() -> None:
    """What passes in front does not take along, or unveil, what it hides."""
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 80, 64, radius=9)
    picture[:, 55:73, 31:49] = torch.tensor([0.9, 0.2, 0.1])[:, None, None]
    front = torch.tensor([40.0, 64]) + (points - torch.tensor([80.0, 64]))
    moved = torch.cat([along(front, (72, 0), 25), along(points, (0, 3), 25)], dim=1)
    seen = torch.ones(25, 8, dtype=torch.bool)
    seen[10:18, 4:] = False
    frames = CarriedPicture(picture).carry(tracks_of(moved, visibility=seen)).frames
    assert (inner(frames[:, -1], 112, 64, 7) - inner(picture, 40, 64, 7)).abs().max() < 0.02
    assert (inner(frames[:, -1], 80, 67, 6) - inner(picture, 80, 64, 6)).abs().max() < 0.05


def test_what_comes_in_from_the_edge_brings_no_mirror_of_itself() -> None:
    picture, points = piece(torch.full((3, SIZE, SIZE), 0.5), 14, 60, radius=9)
    last = CarriedPicture(picture).carry(tracks_of(along(points, (40, 0), 13))).frames[:, -1]
    assert (inner(last, 54, 60, 8) - inner(picture, 14, 60, 8)).abs().max() < 0.02
    assert (last[:, 51:69, 17:36] - 0.5).abs().mean() < 0.01  # where its mirror would be


def test_under_a_camera_a_thing_that_moves_otherwise_leaves_no_ghost() -> None:
    """Red over a grey slope: what is not where the red has come to is nowhere red, in any frame."""
    slope = torch.linspace(0.4, 0.8, SIZE).expand(3, SIZE, SIZE).clone()
    picture, near = slope.clone(), ((grid() - torch.tensor([96.0, 48])).abs().amax(-1) < 20)
    picture[:, 36:60, 84:108] = torch.tensor([0.8, 0.1, 0.1])[:, None, None]
    offsets = torch.tensor([[0.0, 0], [-7, 0], [7, 0], [0, -7], [0, 7]])
    ground, red = along(grid()[~near], (12, 8), 25), along(torch.tensor([96.0, 48]) + offsets, (-10, 50), 25)
    tracks = tracks_of(torch.cat([ground, red], dim=1))
    carry = CarriedPicture(picture)
    frames = torch.cat(
        [carry.carry(tracks.slice(start, stop)).frames for start, stop in ((0, 1), (1, 13), (13, 25))], 1
    )
    redness = frames[0] - frames[1:].mean(0)
    for number, (x, y) in enumerate(red[:, 0].round().int().tolist()):
        redness[number, max(0, y - 16) : y + 16, max(0, x - 16) : x + 16] = 0
    assert redness.max() < 0.06


def test_what_hangs_on_a_dragged_end_is_drawn_after_it() -> None:
    """A bar through the picture, its left end dragged up: no gap anywhere, and the right end rests."""
    bar, picture = torch.tensor([0.9, 0.5, 0.3])[:, None], torch.full((3, SIZE, SIZE), 0.2)
    picture[:, 50:78, 8:] = (bar + 0.05 * torch.sin(torch.arange(SIZE - 8) * 0.8))[:, None]
    start = torch.tensor([[x, y] for x in (12.0, 20) for y in (54.0, 64, 74)])
    carry = CarriedPicture(picture)
    carry.carry(tracks_of(start[None]))
    last = carry.carry(tracks_of(along(start, (0, -16), 13))).frames[:, -1]
    assert (last[:, 37:59, 10:22] - picture[:, 53:75, 10:22]).abs().max() < 0.05
    torch.testing.assert_close(last[:, :, 118:], picture[:, :, 118:], atol=0.02, rtol=0)
    is_bar = (last - bar[:, None]).abs().amax(0) < 0.2
    assert (is_bar[:, 10:].sum(0) >= 14).all()
    height = (torch.arange(SIZE)[:, None] * is_bar).sum(0) / is_bar.sum(0).clamp(min=1)
    assert height[10:].diff().abs().max() < 5  # under the end the hole goes on with a little of the bar
