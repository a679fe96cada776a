"""What is clear in a text of coordinates is read; what may mean two things is refused, and the choice named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

from motionstream_core.tracks import TrackFormatError, Tracks, read_coordinates, read_points, require_inside

HEIGHT, WIDTH = 200, 400


def read(value: Any, **choices: str) -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    return read_coordinates(text, height=HEIGHT, width=WIDTH, remedy="give the size", **choices)


def frames(num_frames: int = 24) -> list[list[list[float]]]:
    """Three things far from each other, a few px further in every frame: one list per frame."""
    return [[[45 + 2 * t, 35], [165 - 2 * t, 45 + t], [75 + 3 * t, 95]] for t in range(num_frames)]


def test_shares_of_the_frame_are_known_by_lying_inside_it() -> None:
    found = read([[{"x": 0.2, "y": 0.5}, {"x": 0.8, "y": 0.5}]])
    assert found.tracks.points[:, 0].tolist() == [[pytest.approx(80), 100], [pytest.approx(320), 100]]
    assert found.told == ("1 point of 2 samples; units: normalised, assumed: 0..1 is the frame of 400 x 200 px")


@pytest.mark.parametrize(
    "value",
    [
        [[[0.25, 0.5], [80, 20]]],
        [[[1, 2], [3, 4]]],
        [[[-3.5, 0.5], [0.5, 0.5]]],
        [[[0, 0]]],  # the same place in both
    ],
)
def test_px_are_left_as_they_are(value: Any) -> None:
    found = read(value)
    assert found.tracks.points[:, 0].tolist() == [each[:2] for each in value[0]]
    assert "units: px, assumed" in found.told


def test_what_cannot_be_seen_says_nothing_of_the_units() -> None:
    assert read([[[0.5, 0.5], [700, 20, 0]]]).tracks.points[0, 0].tolist() == [200, 100]


@pytest.mark.parametrize(
    "value", [[[[0, 0], [1, 1]]], [[[0, 1]]], [[[-0.2, 0.5], [1.1, 0.5]]], [[[0.5, 1.5], [0.5, 0.5]]]]
)
def test_what_may_be_both_is_asked_about(value: Any) -> None:
    with pytest.raises(TrackFormatError, match=r"may be px in the frame's corner or shares.*choose units px or n"):
        read(value)
    assert read(value, units="px").tracks.points[0, 0].tolist() == pytest.approx(value[0][0])
    scaled = read(value, units="normalised").tracks.points[0, 0].tolist()
    assert scaled == pytest.approx([value[0][0][0] * WIDTH, value[0][0][1] * HEIGHT])


def test_shares_that_are_px_are_refused() -> None:
    with pytest.raises(TrackFormatError, match=r"units is normalised.*but a coordinate is -150; choose units px"):
        read([[[0.5, -150]]], units="normalised")


def test_lists_by_frame_are_asked_about_and_read_when_told() -> None:
    with pytest.raises(TrackFormatError, match=r"these are 24 lists of 3 places.*choose order 'by frame', or 'by p"):
        read(frames())
    found = read(frames(), order="by frame").tracks
    assert found.points.shape == (24, 3, 2)
    assert found.points[:, 1].tolist() == [each[1] for each in frames()]
    assert read(frames(), order="by point").tracks.points.shape == (3, 24, 2)
    many = [[[20 * n + t, 50 + 5 * n] for n in range(15)] for t in range(9)]  # more points than frames
    with pytest.raises(TrackFormatError, match="these are 9 lists of 15 places"):
        read(many)
    trembling = [[[50 * n + (7 * t + n) % 3 / 2, 60 * n + 5 * t % 3 / 2] for n in range(4)] for t in range(12)]
    with pytest.raises(TrackFormatError, match="these are 12 lists of 4 places"):
        read(trembling)


@pytest.mark.parametrize(
    "lists",
    [
        [[[20, 40 + 8 * n], [300, 40 + 8 * n]] for n in range(3)],  # three beside each other: too few for frames
        [[[20 * i + t, 20 * j] for t in range(13)] for i in range(9) for j in range(7)],  # a grid that drifts
        [[[12 * i, 12 * j], [12 * i + 40, 12 * j]] for j in range(10) for i in range(10)],  # first and last sample
        [[[100 + 50 * math.cos(n + t / 9), 100 + 50 * math.sin(n + t / 9)] for t in range(49)] for n in range(9)],
        [[[50 + 6 * i, 50 + 6 * j], [150 + 6 * i, 70 + 6 * j]] for j in range(3) for i in range(3)],  # a brushed object
        [[[100 + n, 50]] for n in range(20)],  # a sample each
        [[[45, 35]] * (2 + n % 2) for n in range(20)],  # unequal
    ],
    ids=["few", "grid", "jump", "circles", "object", "at rest", "unequal"],
)
def test_lists_by_point_stay_so(lists: Any) -> None:
    assert read(lists).tracks.num_tracks == len(lists)


def test_frames_must_have_all_points() -> None:
    lists = frames()
    del lists[4][2]
    with pytest.raises(TrackFormatError, match="order is by frame, but the lists have 2 to 3 points; give every frame"):
        read(lists, order="by frame")


def test_most_tracks_outside_the_frame_were_made_for_another() -> None:
    inside, outside = [[10, 10], [500, 10]], [[420, 10], [500, 300]]
    assert read([inside, outside]).tracks.num_tracks == 2  # half of them
    with pytest.raises(TrackFormatError, match=r"67% of the tracks \(2 of 3\) never lie inside the frame of 400 x 200"):
        read([inside, outside, outside])
    hidden = [[10, 10, 0], [20, 20, 0]]  # says nothing
    with pytest.raises(TrackFormatError, match=r"100% of the tracks \(1 of 1\).*; give the size"):
        read([outside, hidden])
    require_inside(Tracks.empty(3, 8, 8), "")
    crossing = [[-300, 100], [700, 100]]  # of two samples; it is inside between them
    assert read([crossing]).tracks.num_tracks == 1
    assert read([[[400, 200]]]).tracks.num_tracks == 1  # the far corner
    assert read([hidden]).tracks.visibility.sum() == 0


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('[{"x": 45, "y": 35}, {"x": 93, "y": 36}]', [[45, 35], [93, 36]]),
        ("[[45, 35], [93, 36]]", [[45, 35], [93, 36]]),
        ("[[[45, 35], [46, 36]], [[93, 36]]]", [[45, 35], [93, 36]]),
        ("[[0.5, 0.5], [0.25, 1]]", [[200, 100], [100, 200]]),
    ],
)
def test_points_are_a_flat_list_or_one_list_each(text: str, places: Any) -> None:
    found = (
        read_points(text, height=201, width=WIDTH, remedy="")
        if "0.25" not in text
        else read_points(text, height=HEIGHT, width=WIDTH, remedy="")
    )
    assert found.tracks.points.tolist() == [places]


def test_points_are_read_as_strictly() -> None:
    with pytest.raises(TrackFormatError, match="track 0, sample 1: field 'y' is missing"):
        read_points('[{"x": 45, "y": 35}, {"x": 93}]', height=8, width=8, remedy="")
    with pytest.raises(TrackFormatError, match=r"these are 24 lists of 3 places.*give the points of one frame alone"):
        read_points(json.dumps(frames()), height=HEIGHT, width=WIDTH, remedy="")
    with pytest.raises(TrackFormatError, match="there are no tracks"):
        read_points("[]", height=8, width=8, remedy="")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (
            [[{"x": "45", "y": "35"}]],
            r"track 0, sample 0: field 'x' is '45'; it must be.*, written without quotes",
        ),
        ([[["45", "35"]]], r"track 0, sample 0: field 'x' is '45'; .* written without quotes"),
        ([["45", "35"]], r"track 0, sample 0: found '45'.*numbers are written without quotes"),
        (
            [{"points": [{"x": 45, "y": 35}], "name": "Spline 1"}],
            r"an object with 'points'.*give the list of its ",
        ),
    ],
)
def test_strings_and_named_points_are_refused_with_the_remedy(value: Any, words: str) -> None:
    with pytest.raises(TrackFormatError, match=words):
        read(value)


def test_points_in_a_tensor_of_a_known_size() -> None:
    clip = Tracks(torch.full((2, 3, 2), 9.0), torch.ones(2, 3, dtype=torch.bool), 8, 8)
    with pytest.raises(TrackFormatError, match=r"100% of the tracks \(3 of 3\) never lie inside the frame of 8 x 8 px"):
        require_inside(clip, "bring them to it")
