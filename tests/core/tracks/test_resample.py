"""Re-sampling against a slow reference, and the drawn trajectories of real users landing in the right cells."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from motionstream_core.tracks import Tracks, parse_tracks, resample

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
STRIDE_PX = 8

quick = settings(max_examples=60, deadline=None)
points_in_time = st.tuples(st.floats(-1000, 1000, width=32), st.floats(-1000, 1000, width=32), st.booleans())


def slow_resample(samples: list[tuple[float, float, bool]], num_frames: int) -> list[tuple[float, float, bool]]:
    """One track, one frame at a time, in exact fractions."""
    frames = []
    for frame in range(num_frames):
        at = Fraction(frame * (len(samples) - 1), num_frames - 1) if num_frames > 1 else Fraction(0)
        left = samples[math.floor(at)]
        right = samples[math.ceil(at)]
        share = at - math.floor(at)
        x, y = (
            float(Fraction(a) * (1 - share) + Fraction(b) * share) for a, b in zip(left[:2], right[:2], strict=True)
        )
        frames.append((x, y, left[2] and right[2]))
    return frames


@quick
@given(st.lists(points_in_time, min_size=1, max_size=9), st.integers(1, 25))
def test_equals_the_slow_reference(samples: list[tuple[float, float, bool]], num_frames: int) -> None:
    points = torch.tensor([[[x, y], [-y, x]] for x, y, _ in samples], dtype=torch.float32)
    visibility = torch.tensor([[v, True] for _, _, v in samples])
    result = resample(Tracks(points, visibility, 480, 832), num_frames)
    expected = slow_resample(samples, num_frames)
    wanted = torch.tensor([[[x, y], [-y, x]] for x, y, _ in expected], dtype=torch.float64)
    assert torch.allclose(result.points.double(), wanted, rtol=1e-7, atol=1e-30)
    assert result.visibility.tolist() == [[v, True] for _, _, v in expected]


@quick
@given(st.lists(points_in_time, min_size=1, max_size=9))
def test_equal_counts_are_the_identity(samples: list[tuple[float, float, bool]]) -> None:
    points = torch.tensor([[[x, y]] for x, y, _ in samples], dtype=torch.float32)
    tracks = Tracks(points, torch.tensor([[v] for _, _, v in samples]), 480, 832)
    same = resample(tracks, len(samples))
    assert torch.equal(same.points, tracks.points)
    assert torch.equal(same.visibility, tracks.visibility)


@quick
@given(points_in_time, st.integers(1, 30), st.integers(2, 40))
def test_a_point_at_rest_stays_to_the_last_bit(
    sample: tuple[float, float, bool], num_samples: int, num_frames: int
) -> None:
    points = torch.tensor(sample[:2], dtype=torch.float32).expand(num_samples, 1, 2)
    result = resample(Tracks(points, torch.ones(num_samples, 1, dtype=torch.bool), 480, 832), num_frames)
    assert (result.points == points[0]).all()
    assert result.points.shape == (num_frames, 1, 2)


def test_unseen_nan_does_not_leak_into_seen_frames() -> None:
    points = torch.tensor([[[0.0, 0.0]], [[math.nan, math.nan]], [[4.0, 8.0]]])
    result = resample(Tracks(points, torch.tensor([[True], [False], [True]]), 8, 8), 5)
    assert result.visibility[:, 0].tolist() == [True, False, False, False, True]
    assert result.points[4, 0].tolist() == [4.0, 8.0]


def test_no_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="num_frames is 0"):
        resample(Tracks.empty(3, 8, 8), 0)


@pytest.mark.parametrize("name", ["bear", "fish", "giraffe"])
def test_drawn_trajectories_land_in_the_right_cells(name: str) -> None:
    source, photo = SHARED / "tracks" / f"{name}.json", SHARED / "images" / f"{name}.jpg"
    if not source.exists() or not photo.exists():
        pytest.skip(f"the drawn trajectories are not here: {source} and {photo} are needed")
    with Image.open(photo) as image:
        width, height = image.size
    text = source.read_text()
    tracks = resample(parse_tracks(text, height=height, width=width), 81)
    shown = tracks.visibility & tracks.in_frame()
    cells = (tracks.points / STRIDE_PX).floor()

    num_shown = 0
    for n, samples in enumerate(json.loads(text)):
        for j in range(41):  # of 121 samples on 81 frames, frame 2j lies exactly on sample 3j
            sample = samples[3 * j]
            inside = 0 <= sample["x"] < width and 0 <= sample["y"] < height
            assert bool(tracks.visibility[2 * j, n]) == bool(sample["v"])
            assert bool(shown[2 * j, n]) == (bool(sample["v"]) and inside)
            if sample["v"]:
                cell = [math.floor(sample["x"] / STRIDE_PX), math.floor(sample["y"] / STRIDE_PX)]
                assert cells[2 * j, n].tolist() == cell
                num_shown += inside
    assert num_shown > 50
