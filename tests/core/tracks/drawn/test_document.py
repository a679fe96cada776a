"""The trajectory document: what it samples to, and everything that it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import Canvas, Document, TrackFormatError, parse_document
from tests.data.mutate_document import mutated, well_formed

DATA = json.loads((Path(__file__).parents[3] / "data" / "documents.json").read_text("utf-8"))
CANVAS = Canvas(64, 48, 9, 16)
CAMERA = json.loads((Path(__file__).parents[3] / "data" / "camera.json").read_text("utf-8"))["valid"]
VALID = {case["name"]: case["document"] for case in DATA["valid"]}


def parse(document: Any) -> Document:
    return parse_document(document if isinstance(document, str) else json.dumps(document), CANVAS)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    document = next(iter(VALID.values()))
    points = parse(document).sample().points
    assert (parse("\ufeff" + json.dumps(document)).sample().points == points).all()
    assert parse("\ufeff").tracks == ()


@pytest.mark.parametrize("case", DATA["valid"], ids=lambda case: case["name"])
def test_samples_agree_with_the_reference(case: dict[str, Any]) -> None:
    tracks = parse(case["document"]).sample()
    expected = np.array(case["points"], dtype=float).reshape(*tracks.points.shape)
    assert np.abs(tracks.points.numpy() - expected).max(initial=0) < DATA["tolerance_px"]
    assert tracks.visibility.int().tolist() == case["visibility"]


@pytest.mark.parametrize("case", DATA["invalid"], ids=lambda case: case["place"])
def test_what_is_wrong_is_refused_at_its_place(case: dict[str, Any]) -> None:
    with pytest.raises(TrackFormatError, match=re.escape(case["place"])):
        parse(case["document"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[[1, 2], [3, 4]]", "document: [[1, 2], [3, 4]]"),
        ("[" * 100_000, "is not JSON"),
        ('{"format": NaN}', "format"),
        ('{"version": 1, "version": 2}', "'version' is given twice"),
        (json.dumps(VALID["one straight path"]).replace("220", "NaN"), "points[1][0]: nan"),
        (json.dumps(VALID["one straight path"]).replace("220", "Infinity"), "points[1][0]: inf"),
        (json.dumps(VALID["one straight path"]).replace("220", "1" + "0" * 400), "points[1][0]"),
        (json.dumps(VALID["one straight path"]).replace("220", "1" * 5000), "is not JSON"),
        (json.dumps(VALID["one straight path"]).replace('"start"', '"start": 1, "start"'), "'start' is given twice"),
        (json.dumps(VALID["one straight path"]) + "[]", "is not JSON"),
    ],
)
def test_text_that_is_no_document(text: str, words: str) -> None:
    with pytest.raises(TrackFormatError) as caught:
        parse(text)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_empty_text_is_a_document_without_tracks(text: str) -> None:
    document = parse(text)
    assert document == Document(CANVAS)
    tracks = document.sample()
    assert (tracks.num_frames, tracks.num_tracks, tracks.height, tracks.width) == (9, 0, 48, 64)


def test_another_size_and_length() -> None:
    document = parse(VALID["one straight path"])  # (20, 30) to (220, 30) over frames 0..24 of 320 x 200 px
    tracks = document.sample(num_frames=49, height=100, width=640)
    assert tracks.points[:, 0, 0].numpy() == pytest.approx(np.linspace(40, 440, 49), abs=1e-3)
    assert tracks.points[:, 0, 1].numpy() == pytest.approx(np.full(49, 15.0), abs=1e-3)
    kept = document.sample(num_frames=49, keep_time=True)
    assert kept.points[:, 0, 0].numpy() == pytest.approx(np.interp(range(49), [0, 24], [20, 220]), abs=1e-3)
    assert document.sample(num_frames=10, keep_time=True).num_frames == 10


@pytest.mark.parametrize("num_frames", [2, 7, 49, 97, 121])
def test_a_stretched_clip_keeps_what_is_hidden(num_frames: int) -> None:
    """Frames that fall onto a border of a span count as within it, however the division rounds."""
    document = parse(VALID["occluded twice"])
    seen = document.sample(num_frames=num_frames).visibility[:, 0].tolist()
    for frame, visible in enumerate(seen):
        numerator = frame * 24  # exact: the time in the document is numerator / (num_frames - 1)
        inside = any(a * (num_frames - 1) <= numerator <= b * (num_frames - 1) for a, b in ((3, 6), (10, 10)))
        assert visible == (not inside)


def test_too_many_points_are_refused() -> None:
    document = parse(json.dumps(VALID["a grid that moves as one"]).replace('"columns": 3', '"columns": 1000'))
    with pytest.raises(TrackFormatError, match="use fewer points or frames"):
        document.sample(num_frames=1_000_000)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_mutated_documents_are_refused_or_well_formed(seed: int) -> None:
    """No crash, and nothing wrong gets through: what passes obeys the rules of the page, checked independently."""
    text = mutated(seed, [*VALID.values(), *(case["document"] for case in CAMERA)])
    try:
        document = parse(text)
    except TrackFormatError:
        assert not well_formed(text), text
        return
    assert well_formed(text), text
    points = document.sample(num_frames=5).points
    assert points.isfinite().all()
