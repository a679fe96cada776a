"""Trimming, speed, reversal and rests against a frame-by-frame statement of the rules."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motionstream_core.tracks import Tracks, resample, retime

quick = settings(max_examples=100, deadline=None)


def ramp(num_frames: int, hidden: tuple[int, ...] = ()) -> Tracks:
    """One point whose x is its frame's number squared, nan where hidden."""
    x = torch.tensor([math.nan if t in hidden else float(t * t) for t in range(num_frames)])
    return Tracks(torch.stack([x, -x], dim=-1)[:, None], x.isfinite()[:, None], 64, 64, torch.tensor([77]))


HIDDEN = -1.0


def x_of(tracks: Tracks) -> list[float]:
    values = zip(tracks.points[:, 0, 0].tolist(), tracks.visibility[:, 0].tolist(), strict=True)
    return [value if seen else HIDDEN for value, seen in values]


def slow(kept: list[int], num_frames: int, speed: Fraction | None, rest: tuple[int, int]) -> list[float]:
    """Where the squared ramp is, in exact fractions: `kept` frame numbers in the order of playing."""
    motion = num_frames - sum(rest)
    result = []
    for frame in range(num_frames):
        since = min(max(frame - rest[0], 0), motion - 1)
        pace = Fraction(len(kept) - 1, max(motion - 1, 1)) if speed is None else speed
        at = min(since * pace, Fraction(len(kept) - 1))
        left, right = kept[math.floor(at)], kept[math.ceil(at)]
        result.append(float(left**2 + (at - math.floor(at)) * (right**2 - left**2)))
    return result


@quick
@given(st.data())
def test_equals_the_slow_reference(data: st.DataObject) -> None:
    length = data.draw(st.integers(1, 12))
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    speed = data.draw(st.none() | st.fractions(Fraction(1, 8), 4, max_denominator=8))
    reverse = data.draw(st.booleans())
    rest = (data.draw(st.integers(0, 4)), data.draw(st.integers(0, 4)))
    num_frames = data.draw(st.integers(sum(rest) + 1, 24))
    result = retime(
        ramp(length),
        num_frames,
        start=start,
        stop=stop,
        speed=None if speed is None else float(speed),
        reverse=reverse,
        rest_before=rest[0],
        rest_after=rest[1],
    )
    kept = list(range(start, stop))[:: -1 if reverse else 1]
    assert x_of(result) == pytest.approx(slow(kept, num_frames, speed, rest), rel=1e-6)
    assert result.ids.tolist() == [77]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_frames": 3, "start": 2}, [4, 9, 16]),
        ({"num_frames": 2, "start": -2}, [9, 16]),
        ({"num_frames": 4, "stop": -1}, [0, 1, 4, 9]),
        ({"num_frames": 5, "reverse": True}, [16, 9, 4, 1, 0]),
        ({"num_frames": 3}, [0, 4, 16]),
        ({"num_frames": 6, "speed": 2.0}, [0, 4, 16, 16, 16, 16]),
        ({"num_frames": 6, "speed": 2.0, "after": "hide"}, [0, 4, 16, HIDDEN, HIDDEN, HIDDEN]),
        ({"num_frames": 3, "speed": 0.5}, [0, 0.5, 1]),
        ({"num_frames": 7, "rest_before": 1, "rest_after": 1, "before": "hide"}, [HIDDEN, 0, 1, 4, 9, 16, 16]),
        ({"num_frames": 5, "rest_after": 3, "speed": 1.0, "after": "hide"}, [0, 1, HIDDEN, HIDDEN, HIDDEN]),
        ({"num_frames": 5, "rest_after": 3, "speed": 1.0}, [0, 1, 1, 1, 1]),
        ({"num_frames": 3, "start": 2, "stop": 3}, [4, 4, 4]),
    ],
)
def test_by_hand(options: dict[str, Any], expected: list[float]) -> None:
    assert x_of(retime(ramp(5), **options)) == expected


def test_a_frame_is_met_in_spite_of_rounding() -> None:
    """In floating point 100 * 0.55 is more than 55: frame 55 must still be shown, seen beside a hidden one."""
    assert 100 * 0.55 > 55
    slow_motion = retime(ramp(61, hidden=(56,)), 105, speed=0.55)
    assert x_of(slow_motion)[99:103] == [pytest.approx(54.45**2, abs=0.5), 55.0**2, HIDDEN, HIDDEN]


@quick
@given(st.integers(1, 30), st.integers(1, 60))
def test_the_whole_clip_is_resample(length: int, num_frames: int) -> None:
    tracks = ramp(length, hidden=tuple(range(3, length, 4)))
    mine, other = retime(tracks, num_frames), resample(tracks, num_frames)
    assert torch.equal(mine.visibility, other.visibility)
    assert x_of(mine) == pytest.approx(x_of(other), rel=1e-6)


@quick
@given(st.integers(1, 30))
def test_twice_reversed_is_the_same(length: int) -> None:
    tracks = ramp(length, hidden=(1, 4))
    back = retime(retime(tracks, length, reverse=True), length, reverse=True)
    assert x_of(back) == x_of(tracks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_frames": 0}, "num_frames 0"),
        ({"num_frames": 5, "start": 9}, "start 9 and stop None keep none of the 5 frames"),
        ({"num_frames": 5, "start": 3, "stop": 3}, "keep none"),
        ({"num_frames": 5, "rest_before": 2, "rest_after": 3}, "at least one frame must be left"),
        ({"num_frames": 5, "rest_before": -1}, "-1 frames of rest"),
        ({"num_frames": 5, "speed": -1.0}, "to play backwards, use reverse"),
        ({"num_frames": 5, "speed": math.nan}, "speed is nan"),
        ({"num_frames": 5, "after": "vanish"}, "after is 'vanish'"),
    ],
)
def test_refusals(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        retime(ramp(5), **options)
