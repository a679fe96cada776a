"""The Tracks type: what it refuses, and what its operations keep."""

from __future__ import annotations

import pytest
import torch

from motionstream_core.tracks import NUM_IDS, TrackFormatError, Tracks, assign_ids, point_grid, resample


def make(num_frames: int = 4, num_tracks: int = 3, height: int = 48, width: int = 64) -> Tracks:
    generator = torch.Generator().manual_seed(num_frames * 100 + num_tracks)
    points = torch.rand(num_frames, num_tracks, 2, generator=generator) * torch.tensor([width, height])
    visibility = torch.rand(num_frames, num_tracks, generator=generator) > 0.3
    return Tracks(points, visibility, height, width)


def test_ids_are_distinct_in_range_seeded_and_extend() -> None:
    ids = assign_ids(5000, seed=3)
    assert ids.dtype == torch.int64
    assert len(set(ids.tolist())) == 5000
    assert int(ids.min()) >= 0
    assert int(ids.max()) < NUM_IDS
    assert torch.equal(assign_ids(20, seed=3), ids[:20])
    assert not torch.equal(assign_ids(20, seed=4), ids[:20])
    assert torch.equal(make(num_tracks=7).ids, assign_ids(7))
    with pytest.raises(ValueError, match="100001"):
        assign_ids(NUM_IDS + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": torch.zeros(4, 3)}, r"points has shape \(4, 3\)"),
        ({"points": torch.zeros(0, 3, 2)}, "t at least 1"),
        ({"points": torch.zeros(4, 3, 2, dtype=torch.float64)}, r"points is torch.float64.*\.to\(torch.float32\)"),
        ({"visibility": torch.ones(4, 2, dtype=torch.bool)}, r"visibility has shape \(4, 2\).*\(4, 3\)"),
        ({"visibility": torch.ones(4, 3)}, "visibility is torch.float32"),
        ({"ids": torch.tensor([1, 2])}, r"ids has shape \(2,\)"),
        ({"ids": torch.tensor([1, 2, 3], dtype=torch.int32)}, "ids is torch.int32"),
        ({"ids": torch.tensor([1, 2, 100_000])}, "ids run from 1 to 100000; use 0 to 99999"),
        ({"ids": torch.tensor([-1, 2, 3])}, "ids run from -1"),
        ({"ids": torch.tensor([5, 2, 5])}, "ids repeat"),
        ({"height": 0}, "height is 0"),
        ({"width": 64.0}, "width is 64.0"),
    ],
)
def test_refuses_what_is_no_tracks(change: dict[str, object], message: str) -> None:
    good = make()
    values = {"points": good.points, "visibility": good.visibility, "height": 48, "width": 64, "ids": good.ids}
    with pytest.raises(ValueError, match=message):
        Tracks(**{**values, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_points_must_be_finite_only_where_visible(bad: float) -> None:
    points = torch.zeros(3, 2, 2)
    points[2, 1, 0] = bad
    visibility = torch.ones(3, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"at frame 2, track 1.*make it invisible there"):
        Tracks(points, visibility, 8, 8)
    visibility[2, 1] = False
    tracks = Tracks(points, visibility, 8, 8)
    assert not tracks.in_frame()[2, 1]
    assert tracks.to_payload()["track_path"].isfinite().all()


def test_in_frame_is_half_open() -> None:
    x = torch.tensor([-0.01, 0.0, 63.99, 64.0, 5.0, 5.0])
    y = torch.tensor([5.0, 0.0, 47.99, 5.0, -0.01, 48.0])
    tracks = Tracks(torch.stack([x, y], -1)[None], torch.ones(1, 6, dtype=torch.bool), 48, 64)
    assert tracks.in_frame().tolist() == [[False, True, True, False, False, False]]


def test_rescaled_maps_edges_to_edges_and_keeps_the_rest() -> None:
    points = torch.tensor([[[0.0, 0.0], [64.0, 48.0], [0.5, 0.5]]])
    tracks = Tracks(points, torch.tensor([[True, False, True]]), 48, 64)
    large = tracks.rescaled(24, 192)
    assert large.points.tolist() == [[[0.0, 0.0], [192.0, 24.0], [1.5, 0.25]]]
    assert (large.height, large.width) == (24, 192)
    assert torch.equal(large.visibility, tracks.visibility)
    assert torch.equal(tracks.rescaled(48, 64).points, tracks.points)


def test_an_id_stays_with_its_track() -> None:
    tracks = make(num_frames=9)
    for derived in (tracks.slice(2, 5), tracks.rescaled(10, 20), resample(tracks, 31), resample(tracks, 1)):
        assert torch.equal(derived.ids, tracks.ids)


def test_slice_takes_its_frames_and_refuses_others() -> None:
    tracks = make(num_frames=9)
    part = tracks.slice(2, 5)
    assert torch.equal(part.points, tracks.points[2:5])
    assert torch.equal(part.visibility, tracks.visibility[2:5])
    for start, stop in ((-1, 3), (3, 3), (4, 10)):
        with pytest.raises(ValueError, match=r"\[0, 9\)"):
            tracks.slice(start, stop)


def test_concatenate_keeps_first_holders_and_redraws_repeats_the_same_way() -> None:
    a, b = make(num_tracks=3), make(num_tracks=5)
    assert torch.equal(a.ids, b.ids[:3])  # both drew from seed 0: the case at hand
    joined = Tracks.concatenate([a, b])
    assert torch.equal(joined.points, torch.cat([a.points, b.points], dim=1))
    assert torch.equal(joined.visibility, torch.cat([a.visibility, b.visibility], dim=1))
    assert torch.equal(joined.ids[:3], a.ids)
    assert torch.equal(joined.ids[6:], b.ids[3:])
    assert len(set(joined.ids.tolist())) == 8
    assert torch.equal(joined.ids, Tracks.concatenate([a, b]).ids)
    distinct = Tracks(b.points, b.visibility, 48, 64, torch.arange(5) + 7)
    assert torch.equal(Tracks.concatenate([a, distinct]).ids, torch.cat([a.ids, distinct.ids]))


def test_concatenate_refuses_unequal_clips() -> None:
    with pytest.raises(ValueError, match=r"parts\[1\] has 5 frames.*resample"):
        Tracks.concatenate([make(4), make(5)])
    with pytest.raises(ValueError, match=r"parts\[1\] is for 32x48 px.*rescaled"):
        Tracks.concatenate([make(4), make(4, width=32)])
    with pytest.raises(ValueError, match="parts is empty"):
        Tracks.concatenate([])


def test_empty_has_frames_and_no_tracks() -> None:
    empty = Tracks.empty(5, 48, 64)
    assert (empty.num_frames, empty.num_tracks, empty.height, empty.width) == (5, 0, 48, 64)
    assert Tracks.concatenate([empty, make(5)]).num_tracks == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_payload_accepts_every_form_that_nodes_emit(dtype: torch.dtype) -> None:
    path = torch.arange(12).reshape(3, 2, 2).to(dtype)
    column = torch.tensor([[True], [False], [True]])
    cases: list[tuple[dict[str, object], list[list[bool]]]] = [
        ({}, [[True, True]] * 3),
        ({"track_visibility": None}, [[True, True]] * 3),
        ({"track_visibility": column}, [[True, True], [False, False], [True, True]]),
        (
            {"track_visibility": torch.tensor([[0.0, 1.0], [0.49, 0.5], [1.0, 0.2]])},
            [[False, True]] * 2 + [[True, False]],
        ),
        ({"track_visibility": column.expand(3, 2), "other_pack": 1}, [[True, True], [False, False], [True, True]]),
    ]
    for extra, visibility in cases:
        tracks = Tracks.from_payload({"track_path": path, **extra}, 8, 9)
        assert torch.equal(tracks.points, path.float())
        assert tracks.visibility.tolist() == visibility
        assert (tracks.height, tracks.width) == (8, 9)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({}, "needs 'track_path'"),
        ({"track_path": [[[1.0, 2.0]]]}, "track_path is a list"),
        ({"track_path": torch.zeros(3, 2, 2, dtype=torch.int64)}, "torch.int64"),
        ({"track_path": torch.zeros(1, 3, 2, 2)}, "take its batch axis off"),
        ({"track_path": torch.zeros(3, 2, 3)}, r"\(3, 2, 3\)"),
        ({"track_path": torch.full((3, 2, 2), float("nan"))}, "frame 0, track 0"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.ones(3)}, r"\(3, 2\) or \(3, 1\)"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.ones(1, 2)}, r"shape \(1, 2\)"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.ones(3, 2).long()}, "bool or floating"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.full((3, 2), 1.5)}, "outside 0..1"),
        ({"track_path": torch.zeros(3, 2, 2), "track_visibility": torch.full((3, 2), float("nan"))}, "nan"),
    ],
)
def test_payload_refuses_the_rest(payload: dict[str, object], message: str) -> None:
    with pytest.raises(TrackFormatError, match=message):
        Tracks.from_payload(payload, 8, 8)


def test_grid_lies_on_cell_centres() -> None:
    grid = point_grid(40, 60, rows=2, columns=3, num_frames=4)
    row = [[10.0, 10.0], [30.0, 10.0], [50.0, 10.0], [10.0, 30.0], [30.0, 30.0], [50.0, 30.0]]
    assert grid.points.tolist() == [row] * 4
    assert grid.visibility.all()
    assert point_grid(480, 832).num_tracks == 2500
    inset = point_grid(40, 60, rows=1, columns=2, region=(20, 10, 40, 14))
    assert inset.points.tolist() == [[[25.0, 12.0], [35.0, 12.0]]]
    with pytest.raises(ValueError, match="rows is 0"):
        point_grid(40, 60, rows=0)
    with pytest.raises(ValueError, match="left < right"):
        point_grid(40, 60, region=(5, 5, 5, 9))
