"""Every spelling of tracks survives a round trip; every malformed one is an error that names its place."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import (
    TrackFormatError,
    Tracks,
    load_npz,
    parse_tracks,
    save_npz,
    to_ati,
    to_coordinate_json,
)

HEIGHT, WIDTH = 480, 832
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
pixels = st.floats(-1e6, 1e6, width=32)


def as_sample_lists(tracks: Tracks) -> list[list[dict[str, Any]]]:
    points, visibility = tracks.points.tolist(), tracks.visibility.tolist()
    return [
        [{"x": points[t][n][0], "y": points[t][n][1], "v": int(visibility[t][n])} for t in range(tracks.num_frames)]
        for n in range(tracks.num_tracks)
    ]


def assert_same(actual: Tracks, expected: Tracks) -> None:
    assert torch.equal(actual.points, expected.points)
    assert torch.equal(actual.visibility, expected.visibility)
    assert (actual.height, actual.width) == (expected.height, expected.width)


@st.composite
def clips(draw: st.DrawFn, num_frames: int | None = None, num_tracks: int | None = None) -> Tracks:
    t = num_frames or draw(st.integers(1, 6))
    n = num_tracks or draw(st.integers(1, 4))
    coordinates = draw(st.lists(pixels, min_size=t * n * 2, max_size=t * n * 2))
    seen = draw(st.lists(st.booleans(), min_size=t * n, max_size=t * n))
    points = torch.tensor(coordinates, dtype=torch.float32).reshape(t, n, 2)
    ids = draw(st.lists(st.integers(0, 99_999), min_size=n, max_size=n, unique=True))
    return Tracks(points, torch.tensor(seen).reshape(t, n), HEIGHT, WIDTH, torch.tensor(ids))


@quick
@given(clips())
def test_every_spelling_of_the_same_samples_reads_alike(tracks: Tracks) -> None:
    lists = as_sample_lists(tracks)
    triples = [[[s["x"], s["y"], s["v"]] for s in track] for track in lists]
    for source in (
        lists,
        triples,
        tuple(tuple(map(tuple, track)) for track in triples),
        json.dumps(lists),
        f"\n {json.dumps(triples, indent=1)} \n",
        str(lists),  # single quotes
        str([[(s["x"], s["y"], bool(s["v"])) for s in track] for track in lists]),
        [json.dumps(track) for track in lists],
        [str(track) for track in lists],
        json.dumps([json.dumps(track) for track in lists]),
        tracks.to_payload(),
    ):
        assert_same(parse_tracks(source, height=HEIGHT, width=WIDTH), tracks)


@quick
@given(clips(num_tracks=1))
def test_one_flat_track(tracks: Tracks) -> None:
    (flat,) = as_sample_lists(tracks)
    for source in (flat, json.dumps(flat), str(flat), [json.dumps([flat])], [[s["x"], s["y"], s["v"]] for s in flat]):
        assert_same(parse_tracks(source, height=HEIGHT, width=WIDTH), tracks)


@quick
@given(clips())
def test_npz_keeps_everything(tracks: Tracks) -> None:
    file = io.BytesIO()
    save_npz(tracks, file)
    for read in (load_npz(file.getvalue()), parse_tracks(file.getvalue(), height=HEIGHT, width=WIDTH)):
        assert_same(read, tracks)
        assert torch.equal(read.ids, tracks.ids)


@quick
@given(clips())
def test_emitted_json_keeps_what_can_be_seen_and_holds_the_rest(tracks: Tracks) -> None:
    text = to_coordinate_json(tracks)
    read = parse_tracks(text, height=HEIGHT, width=WIDTH)
    assert torch.equal(read.visibility, tracks.visibility)
    assert torch.equal(read.points[tracks.visibility], tracks.points[tracks.visibility])
    assert {len(track) for track in json.loads(text)} == {tracks.num_frames}
    for n in range(tracks.num_tracks):
        seen = [t for t in range(tracks.num_frames) if tracks.visibility[t, n]]
        for t in range(tracks.num_frames):
            if seen:
                source = max((s for s in seen if s <= t), default=seen[0])
                assert torch.equal(read.points[t, n], tracks.points[source, n])


def test_emitted_json_is_short_and_valid_without_tracks_or_finite_points() -> None:
    tracks = Tracks(torch.tensor([[[0.1, 2.5]]]), torch.tensor([[True]]), 8, 8)
    assert to_coordinate_json(tracks) == '[[{"x":0.1,"y":2.5,"v":1}]]'
    assert to_coordinate_json(Tracks.empty(3, 8, 8)) == "[]"
    unseen = Tracks(torch.full((2, 1, 2), float("nan")), torch.zeros(2, 1, dtype=torch.bool), 8, 8)
    assert json.loads(to_coordinate_json(unseen)) == [[{"x": 0.0, "y": 0.0, "v": 0}] * 2]


@quick
@given(clips(num_frames=121, num_tracks=1))
def test_ati_round_trip(tracks: Tracks) -> None:
    read = parse_tracks(to_ati(tracks), height=HEIGHT, width=WIDTH)
    assert torch.equal(read.visibility, tracks.visibility)
    assert torch.equal(read.points[tracks.visibility], tracks.points[tracks.visibility])


def test_ati_is_121_samples_and_nothing_else() -> None:
    clip = Tracks(torch.tensor([[[0.0, 8.0]], [[120.0, 8.0]]]), torch.ones(2, 1, dtype=torch.bool), HEIGHT, WIDTH)
    (exported,) = json.loads(to_ati(clip))
    assert [sample["x"] for sample in exported] == list(range(121))


def test_shorter_tracks_end_invisible_at_their_last_point() -> None:
    tracks = parse_tracks("[[[1, 2], [3, 4], [5, 6]], [[7, 8]]]", height=HEIGHT, width=WIDTH)
    assert tracks.points[:, 1].tolist() == [[7.0, 8.0]] * 3
    assert tracks.visibility.tolist() == [[True, True], [True, False], [True, False]]


def test_missing_v_is_visible() -> None:
    tracks = parse_tracks([{"x": 1, "y": 2}, {"x": 1, "y": 2, "v": 0}, [1, 2]], height=HEIGHT, width=WIDTH)
    assert tracks.visibility[:, 0].tolist() == [True, False, True]


def test_no_tracks_are_an_error_in_words() -> None:
    for source in ("", "  \n", "\ufeff", "[]", [], ()):
        with pytest.raises(TrackFormatError, match=r"^there are no tracks; give at least one: \[\["):
            parse_tracks(source, height=HEIGHT, width=WIDTH)


GOOD = {"x": 1, "y": 2}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            [[GOOD], [GOOD, {"x": 1, "y": "abc"}]],
            r"^track 1, sample 1: field 'y' is 'abc'; it must be a finite number of p",
        ),
        ('[{"x": NaN, "y": 2}]', "track 0, sample 0: field 'x' is nan; it must be a finite"),
        ('[{"x": 1, "y": -Infinity}]', "track 0, sample 0: field 'y' is -inf"),
        ('[{"x": 1, "y": 1e999}]', "track 0, sample 0: field 'y' is inf"),
        ([GOOD, {"x": 1, "y": 1_000_001}], "track 0, sample 1: field 'y' is 1000001.*-1000000 to 1000000"),
        ([{"x": 10**5000, "y": 2}], "track 0, sample 0: field 'x' is a huge int"),
        ([{"x": 1, "y": True}], "track 0, sample 0: field 'y' is True"),
        ([[1, False]], "track 0, sample 0: field 'y' is False"),
        ([{"x": None, "y": 2}], "track 0, sample 0: field 'x' is None"),
        ([{"x": 1j, "y": 2}], "track 0, sample 0: field 'x' is 1j"),
        ([GOOD, {"y": 2}], "track 0, sample 1: field 'x' is missing"),
        ([GOOD, {"x": 2, "v": 1}], "track 0, sample 1: field 'y' is missing"),
        ([{"x": 1, "y": 2, "v": 0.5}], "track 0, sample 0: field 'v' is 0.5; it must be 1"),
        ([{"x": 1, "y": 2, "v": "1"}], "track 0, sample 0: field 'v' is '1'"),
        ([{"x": 1, "y": 2, "v": None}], "track 0, sample 0: field 'v' is None"),
        ([{"x": 1, "y": 2, "visible": 0}], "track 0, sample 0: field 'visible' is unknown"),
        ('[{"x": 1, "x": 3, "y": 2}]', "track 0, sample 0: field 'x' is given twice"),
        ('[[{"x": 1, "y": 2}], [{"x": 1, "y": 2}, {"x": 1, "y": 2, "y": 3}]]', "track 1, sample 1: field 'y' is given"),
        ("[{'x': 1, 'y': 2}, {'x': 1, 'x': 1, 'y': 2}]", "track 0, sample 1: field 'x' is given twice"),
        ("[[{'x': 1, 'y': 2}], [{'x': 1, 'v': 1, 'y': 2, 'v': 0}]]", "track 1, sample 0: field 'v' is given twice"),
        ([GOOD, 5], "track 0, sample 1: found 5"),
        ([[GOOD], 5], "track 1 is 5; it must be a list of samples"),
        ([[GOOD], [5]], "track 1, sample 0: found 5"),
        ([1, 2], "track 0 is 1; it must be a list of samples"),
        ([[1, 2, 1, 4]], r"track 0, sample 0: found \[1, 2, 1, 4\]"),
        ([[[1]]], r"track 0, sample 0: found \[1\]"),
        ([[[[1, 2], [3, 4]]]], r"track 0, sample 0: field 'x' is \[1, 2\]"),
        ([[[GOOD]]], "track 0, sample 0: found"),
        ([GOOD, [GOOD]], "track 0, sample 1: found"),
        ([[GOOD], GOOD], "track 1 is .* it must be a list of samples"),
        ([[GOOD], []], "track 1 has no samples"),
        ("[[]]", "track 0 has no samples"),
        (GOOD, "where a list of tracks is needed"),
        ('{"tracks": []}', r"where a list of tracks is needed: \[\[sample, \.\.\.\], \.\.\.\]$"),
        (
            '{"format": "motionstream-tracks"}',
            "where a list of tracks is needed.*a drawing of the Track Editor goes into",
        ),
        ("5", "found 5 where a list of tracks is needed"),
        (5, "found 5 where a list of tracks is needed"),
        (None, "found None where"),
        ("[null]", "track 0 is None"),
        ('[{"x": 1, "y": 2}', "neither JSON .* nor a Python literal"),
        ('[{"x": 1, "y": 2}] trailing', "neither JSON"),
        ('[{"x": 1, "y": 2}],', "one list and nothing after it"),
        ('[[{"x": 1, "y": 2}]][[{"x": 1, "y": 2}]]', "neither JSON"),
        ("[{'x': 1, 'y': 2}], [{'x': 1, 'y': 2}]", "one list and nothing after it"),
        ("[{'x': 1, 'y': 2}]  # comment", "one list and nothing after it"),
        ("[{'x': 1, 'y': 2}]\n[{'x': 1, 'y': 2}]", "neither JSON"),
        ("[" * 100_000, "neither JSON"),
        ("[" + "-" * 100_000 + "1]", "neither JSON"),
        ("\x00", "neither JSON"),
        ([json.dumps([GOOD]), [GOOD]], "entry 1 is .* among texts"),
        ([json.dumps([GOOD]), ""], r"text 1 is \[\]"),
        ([json.dumps([GOOD]), "7"], "text 1 is 7"),
        (["[[1, 2], [3, 4]]", '[{"x": 1, "y": "z"}]'], "track 1, sample 0: field 'y' is 'z'"),
    ],
)
def test_malformed_tracks_are_named(source: object, message: str) -> None:
    with pytest.raises(TrackFormatError, match=message):
        parse_tracks(source, height=HEIGHT, width=WIDTH)


def test_text_is_never_run(tmp_path: Path) -> None:
    victim = tmp_path / "ran"
    with pytest.raises(TrackFormatError):
        parse_tracks(f"[__import__('pathlib').Path({str(victim)!r}).touch()]", height=HEIGHT, width=WIDTH)
    assert not victim.exists()


def test_npz_goes_to_the_very_path_and_names_what_is_wrong(tmp_path: Path) -> None:
    tracks = Tracks(torch.ones(2, 1, 2), torch.ones(2, 1, dtype=torch.bool), HEIGHT, WIDTH)
    path = tmp_path / "tracks.part"
    save_npz(tracks, path)
    assert_same(load_npz(path), tracks)
    assert_same(load_npz(str(path)), tracks)
    assert_same(parse_tracks(path, height=HEIGHT, width=WIDTH), tracks)
    assert_same(parse_tracks(path, height=64, width=64), tracks)  # it keeps the size that it names
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "none.npz")


def npz(**changes: np.ndarray | None) -> bytes:
    arrays: dict[str, np.ndarray | None] = {
        "points": np.zeros((2, 1, 2), np.float32),
        "visibility": np.ones((2, 1), np.bool_),
        "ids": np.zeros(1, np.int64),
        "height": np.int64(8) * np.ones((), np.int64),
        "width": np.int64(8) * np.ones((), np.int64),
        **changes,
    }
    file = io.BytesIO()
    np.savez(file, **{name: array for name, array in arrays.items() if array is not None})  # type: ignore[arg-type]
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no readable npz"),
        (b"not a file", "no readable npz"),
        (npz()[:200], "no readable npz"),
        (npy(np.zeros(3)), "single npy array"),
        (npz(visibility=None), "'visibility' is missing"),
        (npz(points=np.zeros((2, 1, 2))), "'points' is float64; it must be float32"),
        (npz(ids=np.array([{}], dtype=object)), "array 'ids' is object; it must be int64"),
        (npz(height=np.zeros(2, np.int64)), "'height' has shape"),
        (npz(height=np.zeros((), np.int64)), "npz: height is 0"),
        (npz(points=np.zeros((2, 3, 2), np.float32)), "npz: visibility has shape"),
    ],
)
def test_foreign_npz_is_refused(content: bytes, message: str) -> None:
    load_npz(npz())  # the unchanged file is good: it is the change that is refused
    with pytest.raises(TrackFormatError, match=message):
        load_npz(content)
