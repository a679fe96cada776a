"""Other motions for the same first frame: what tells a model that follows its tracks from one that knows the clip.

mirrored  every point goes left where it went right
pan       the whole view slides to the right
zoom      the whole view grows about its middle
dense     one round region is led, everything else is told to rest
handle    one point is led along the same way, nothing is said of the rest
other     the motion of another clip, point by point of the same grid
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ...tracks import Tracks, resample, select

Counterfactual = Literal["mirrored", "pan", "zoom", "dense", "handle", "other"]
COUNTERFACTUALS: tuple[Counterfactual, ...] = get_args(Counterfactual)
PAN_SHARE = 0.2  # of the frame's width, over the clip
ZOOM = 1.3
DRAG_SHARE = 0.2  # of the shorter side
REGION_SHARE = 0.18  # radius of the region that is led, of the shorter side


def counterfactual(kind: str, tracks: Tracks, other: Tracks | None = None) -> Tracks:
    """`tracks`, which all begin visible, replaced by another motion of the same frame and length.

    A point is visible while it is in the frame ("mirrored": and was visible before). other: tracks of another clip in
    the same frame size. Raises ValueError for an unknown kind, or "other" without another clip.
    """
    if kind == "mirrored":
        x, y = tracks.points.unbind(-1)
        return _seen(tracks, torch.stack([2 * x[:1] - x, y], dim=-1), tracks.visibility)
    if kind == "pan":
        shift = torch.tensor([PAN_SHARE * tracks.width, 0.0])
        return _seen(tracks, tracks.points[:1] + _progress(tracks)[:, None, None] * shift)
    if kind == "zoom":
        middle = torch.tensor([tracks.width / 2, tracks.height / 2])
        growth = ZOOM ** _progress(tracks)[:, None, None]
        return _seen(tracks, middle + (tracks.points[:1] - middle) * growth)
    if kind in ("dense", "handle"):
        led = _led(tracks)
        moving = tracks.points[0] - tracks.points[0, led]
        share = (moving.norm(dim=-1) <= REGION_SHARE * min(tracks.height, tracks.width)).float()
        points = tracks.points[:1] + (share[:, None] * _drag(tracks, led)[:, None])
        dragged = _seen(tracks, points)
        return dragged if kind == "dense" else select(dragged, torch.arange(tracks.num_tracks) == led)
    if kind == "other":
        if other is None:
            raise ValueError("the counterfactual 'other' needs the tracks of another clip; give two clips or more")
        return resample(other, tracks.num_frames)
    raise ValueError(f"counterfactual is {kind!r}; known are {', '.join(COUNTERFACTUALS)}")


def _progress(tracks: Tracks) -> Tensor:
    """(t) from 0 to 1, slow at both ends."""
    u = torch.linspace(0, 1, tracks.num_frames)
    return u * u * (3 - 2 * u)


def _led(tracks: Tracks) -> int:
    """The point that goes farthest while it is visible: most likely on the thing that the clip is about."""
    away = (tracks.points - tracks.points[:1]).norm(dim=-1)
    return int(torch.where(tracks.visibility, away, away.new_zeros(())).amax(0).argmax())


def _drag(tracks: Tracks, led: int) -> Tensor:
    """Way (t 2) of the led point: towards the frame's middle, so that it stays in view."""
    start, middle = tracks.points[0, led], torch.tensor([tracks.width / 2, tracks.height / 2])
    way = middle - start
    length = way.norm()
    direction = way / length if length > 1 else torch.tensor([1.0, 0.0])
    return _progress(tracks)[:, None] * direction * DRAG_SHARE * min(tracks.height, tracks.width)


def _seen(tracks: Tracks, points: Tensor, visible: Tensor | None = None) -> Tracks:
    made = Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), tracks.height, tracks.width, tracks.ids)
    seen = made.in_frame() if visible is None else made.in_frame() & visible
    return Tracks(points, seen, tracks.height, tracks.width, tracks.ids)
