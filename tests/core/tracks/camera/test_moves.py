"""The camera layer of a document: its moves against an independent reference, and all that is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionstream_core.tracks import Canvas, TrackFormatError, parse_document
from motionstream_core.tracks.camera.moves import AMOUNTS, Move, plane_seen, poses_of, shake_phase
from motionstream_core.tracks.camera.parse import read_moves

DATA = json.loads((Path(__file__).parents[3] / "data" / "camera.json").read_text("utf-8"))
CANVAS = Canvas(64, 48, 9, 16)
CENTRE = np.array([[[160.0, 100.0], [200.0, 100.0], [160.0, 60.0]]])  # of 320 x 200 px, right of it, above it


def seen(kind: str, amount: float) -> np.ndarray:
    """Where CENTRE's points are after one whole move, less where they were."""
    moves = [Move(kind, amount, 0, 1)]
    return (plane_seen(CENTRE, moves, np.ones(1), 320, 200)[0] - CENTRE)[0]


@pytest.mark.parametrize("case", DATA["valid"], ids=lambda case: case["name"])
def test_the_layer_agrees_with_the_reference(case: dict[str, Any]) -> None:
    tracks = parse_document(json.dumps(case["document"]), CANVAS).sample()
    assert tracks.visibility.int().tolist() == case["visibility"]
    expected = np.array(case["points"], dtype=float).reshape(*tracks.points.shape)
    apart = np.abs(tracks.points.numpy() - expected)[tracks.visibility.numpy()]
    assert apart.max(initial=0) < DATA["tolerance_px"]
    assert tracks.points.isfinite().all()


@pytest.mark.parametrize("case", DATA["invalid"], ids=lambda case: case["place"])
def test_what_is_wrong_is_refused_at_its_place(case: dict[str, Any]) -> None:
    with pytest.raises(TrackFormatError, match=re.escape(case["place"]) + ":"):
        parse_document(json.dumps(case["document"]), CANVAS)


def test_shakes_agree_with_the_reference() -> None:
    for case in DATA["shakes"]:
        (move,) = read_moves([case["move"]])
        assert move.shake(np.array(case["frames"], dtype=float)) == pytest.approx(np.array(case["degrees"]), abs=2e-9)


def test_the_phases_come_from_murmur3() -> None:
    """fmix32's published values: 1 gives 0x514e28b7, 2 gives 0x30f4c306."""
    step = 0x9E3779B9
    assert shake_phase((1 - step) % 2**32, 0) == 0x514E28B7 / 2**32
    assert shake_phase((2 - 3 * step) % 2**32, 2) == 0x30F4C306 / 2**32


def test_a_shake_stays_within_its_amount_and_is_smooth() -> None:
    frames = np.arange(0, 400, 0.25)
    for seed in range(20):
        degrees = Move("handheld", 3, 20, 300, seed=seed).shake(frames)
        assert (np.abs(degrees) <= (3, 3, 1.5)).all()
        assert (np.abs(degrees).max(axis=0) > (1.5, 1.5, 0.75)).all()
        assert (degrees[(frames <= 20) | (frames >= 320)] == 0).all()
        assert np.abs(np.diff(degrees, axis=0)).max() < 0.6  # a quarter of a frame


def test_the_signs() -> None:
    """What every positive move does to the picture: px down and right are positive."""
    assert seen("pan", 10)[0] == pytest.approx([-320 * np.tan(np.radians(10)), 0])  # what is right comes to the middle
    assert seen("tilt", 10)[0] == pytest.approx([0, 320 * np.tan(np.radians(10))])
    assert seen("roll", 90)[1] == pytest.approx([-40, -40])  # the right of the picture turns up
    assert seen("dolly", 0.5)[1] == pytest.approx([40, 0])
    assert seen("truck", 0.1) == pytest.approx(np.full((3, 2), [-32, 0]))
    assert seen("pedestal", 0.1) == pytest.approx(np.full((3, 2), [0, 32]))
    assert seen("zoom", 3)[2] == pytest.approx([0, -80])
    # A camera to the right of the point sees what lies right of it as nearer: it is larger.
    assert seen("orbit", 30)[0] == pytest.approx([0, 0])
    right, left = (plane_seen(CENTRE * (s, 1) + (160 - 160 * s, 0), [Move("orbit", 30, 0, 1)], np.ones(1), 320, 200)[0]
                   for s in (1, -1))  # fmt: skip
    assert right[0, 1, 0] - 160 == pytest.approx(320 * 0.125 * np.cos(np.radians(30)) / (1 - 0.125 * 0.5))
    assert 160 - left[0, 1, 0] == pytest.approx(320 * 0.125 * np.cos(np.radians(30)) / (1 + 0.125 * 0.5))


def test_order_means_nothing_and_shares_add_up() -> None:
    one = [Move("pan", 5, 0, 10), Move("orbit", 20, 0, 10), Move("truck", 0.3, 2, 5), Move("zoom", 2, 0, 4)]
    frames = np.linspace(-3, 15, 37)
    forward, backward = poses_of(one, frames), poses_of(one[::-1], frames)
    assert np.abs(forward.rotation - backward.rotation).max() < 1e-12
    assert np.abs(forward.centre - backward.centre).max() < 1e-12
    halves = poses_of([Move("pan", 2.5, 0, 10)] * 2 + [Move("zoom", 2**0.5, 0, 10)] * 2, frames)
    whole = poses_of([Move("pan", 5, 0, 10), Move("zoom", 2, 0, 10)], frames)
    assert np.abs(halves.rotation - whole.rotation).max() < 1e-12
    assert halves.zoom == pytest.approx(whole.zoom)


def test_the_camera_sees_the_canvas_however_the_clip_is_sampled() -> None:
    """Size and length of the node change nothing about where, on the canvas, a point is at a time of the clip."""
    case = next(case for case in DATA["valid"] if case["name"] == "everything")
    document = parse_document(json.dumps(case["document"]), CANVAS)
    whole, other = document.sample(), document.sample(num_frames=49, height=50, width=640)
    assert np.abs(other.points[::2].numpy() / (2, 0.25) - whole.points.numpy()).max() < 1e-3
    kept = document.sample(num_frames=12, keep_time=True)
    assert (kept.points == whole.points[:12]).all()


def test_moves_out_of_range_are_refused() -> None:
    for kind, (low, high) in AMOUNTS.items():
        for amount in (low - 1, high + 1, float("nan")):
            with pytest.raises(TrackFormatError, match="amount"):
                Move(kind, amount, 0, 1)
    for fields in ({"duration": -1.0}, {"start": float("nan")}, {"easing": "bounce"}):
        with pytest.raises(TrackFormatError, match=next(iter(fields))):
            Move(**{"move": "pan", "amount": 1, "start": 0, "duration": 1, **fields})
    with pytest.raises(TrackFormatError, match="easing"):
        Move("handheld", 1, 0, 1, easing="ease_in")
    with pytest.raises(TrackFormatError, match="'fly'"):
        Move("fly", 1, 0, 1)
