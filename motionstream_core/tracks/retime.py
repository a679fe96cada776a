"""Tracks over another time: the whole clip over more or fewer frames, or a part of it at a speed, between rests."""

from __future__ import annotations

import math

import torch

from .easing import FRAME_TOLERANCE, HOLDS
from .tracks import BLOCK_SAMPLES, Tracks, require_budget


def resample(tracks: Tracks, num_frames: int) -> Tracks:
    """The same motion over `num_frames` frames: first sample on first frame, last on last, linear between.

    A frame that falls on a sample takes that sample's point and visibility. Between two samples a point is visible
    where both are, since a point between a seen and an unseen one is a guess. One sample holds for every frame; one
    frame takes the first sample. Equal counts give the identity, exactly. height, width and ids stay.

    num_frames: at least 1. Raises ValueError otherwise, and where the tracks then have more than MAX_SAMPLES.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}; it must be at least 1")
    if num_frames == tracks.num_frames:
        return tracks
    require_budget(tracks.num_tracks, num_frames)
    # Frame i lies at sample i * (samples - 1) / (num_frames - 1). Whole numbers throughout, so that "falls on a
    # sample" is a fact and not a matter of rounding: 121 samples on 81 frames put frame 2j on sample 3j.
    device = tracks.points.device
    intervals = max(num_frames - 1, 1)
    position = torch.arange(num_frames, device=device) * (tracks.num_frames - 1)
    before = position.div(intervals, rounding_mode="floor")
    rest = position - before * intervals
    after = before + (rest > 0)
    weight = (rest.double() / intervals)[:, None, None]
    return _between(tracks, before, after, weight)


def retime(
    tracks: Tracks,
    num_frames: int,
    *,
    start: int = 0,
    stop: int | None = None,
    speed: float | None = None,
    reverse: bool = False,
    rest_before: int = 0,
    rest_after: int = 0,
    before: str = "hold",
    after: str = "hold",
) -> Tracks:
    """Frames [start, stop) of `tracks`, played within a clip of `num_frames` frames. Size and ids stay.

    start, stop: as Python's slices have them: below 0 they count from the end, None is the end.
    speed: frames of the tracks per frame of the clip, above 0; what then does not fit is cut, what is left over rests
        at the end. None: the speed at which the first kept frame falls on the first frame of the motion and the last
        on the last.
    reverse: the last kept frame comes first.
    rest_before, rest_after: frames of the clip in which the motion has not begun, and (with speed None) has ended.
    before, after: what points do there: "hold" (rest where the motion begins or ends) or "hide" (invisible).

    Between two frames of the tracks, points are interpolated, and visible where both frames show them, as in resample.
    Raises ValueError where nothing is kept, the rests leave no frame, or a value is out of range.
    """
    first, past = slice(start, stop).indices(tracks.num_frames)[:2]
    if first >= past:
        raise ValueError(f"start {start} and stop {stop} keep none of the {tracks.num_frames} frames")
    if num_frames < 1 or rest_before < 0 or rest_after < 0 or rest_before + rest_after >= num_frames:
        raise ValueError(
            f"num_frames {num_frames} with {rest_before} frames of rest before and {rest_after} after: at least one "
            f"frame must be left for the motion"
        )
    if speed is not None and not (0 < speed < math.inf):
        raise ValueError(f"speed is {speed}; it must be above 0 (1 is the tracks' own); to play backwards, use reverse")
    require_budget(tracks.num_tracks, num_frames)
    for name, choice in (("before", before), ("after", after)):
        if choice not in HOLDS:
            raise ValueError(f"{name} is {choice!r}; it must be one of {', '.join(HOLDS)}")
    intervals = past - first - 1
    motion_frames = num_frames - rest_before - rest_after
    since = torch.arange(num_frames, dtype=torch.float64) - rest_before
    played = since.clamp(0, motion_frames - 1)
    # Divided last, so that a whole quotient comes out whole.
    position = played * intervals / max(motion_frames - 1, 1) if speed is None else played * speed
    ended = (since > motion_frames - 1) | (position > intervals + FRAME_TOLERANCE)
    position = position.clamp(max=intervals)
    moved = _at(tracks, past - 1 - position if reverse else first + position)
    hidden = torch.zeros(num_frames, dtype=torch.bool)
    if before == "hide":
        hidden |= since < 0
    if after == "hide":
        hidden |= ended
    visibility = moved.visibility & ~hidden[:, None].to(moved.visibility.device)
    return Tracks(moved.points, visibility, tracks.height, tracks.width, tracks.ids)


def _at(tracks: Tracks, position: torch.Tensor) -> Tracks:
    """Tracks at positions (t) between their frames; within FRAME_TOLERANCE of a frame, that frame exactly."""
    nearest = position.round()
    position = torch.where((position - nearest).abs() <= FRAME_TOLERANCE, nearest, position).to(tracks.points.device)
    before, after = position.floor().long(), position.ceil().long()
    weight = (position - before)[:, None, None]
    return _between(tracks, before, after, weight)


def _between(tracks: Tracks, before: torch.Tensor, after: torch.Tensor, weight: torch.Tensor) -> Tracks:
    """Frames (t) between `before` and `after` (t) by `weight` (t 1 1), visible where both are."""
    # In float64, so that a point at rest stays at rest to the last bit. On a sample both neighbours are that sample,
    # so an unseen neighbour's nan cannot leak into a seen point.
    block = max(1, BLOCK_SAMPLES // max(1, tracks.num_tracks))  # of frames: doubles take seven times the result
    parts = zip(before.split(block), after.split(block), weight.split(block), strict=True)
    points = [torch.lerp(tracks.points[b].double(), tracks.points[a].double(), w).float() for b, a, w in parts]
    visibility = tracks.visibility[before] & tracks.visibility[after]
    return Tracks(torch.cat(points), visibility, tracks.height, tracks.width, tracks.ids)
