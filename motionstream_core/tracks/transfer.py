"""Motion of one video given to the image of another: tracks laid from the reference's frame over the target's."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from .retime import resample, retime
from .select import covered, select
from .tracks import Tracks
from .transform import Placement, transform

Fit = Literal["fit", "fill", "stretch", "pixels"]
FITS: tuple[Fit, ...] = get_args(Fit)


def transfer(tracks: Tracks, height: int, width: int, fit: str = "fit", placement: Placement | None = None) -> Tracks:
    """`tracks` of a reference video, over a target of `height` x `width` px; ids stay.

    fit: how the reference's frame comes to lie on the target's, middle on middle. "fit": scaled until all of it is
        inside; "fill": until it covers the target; "stretch": onto it, sides by themselves; "pixels": 1 px is 1 px.
    placement: a further alignment by hand, about the target's middle, in px of the target.

    A point that comes to lie outside the target is invisible there; it may come in later. Tracks that are seen
    nowhere in the target are dropped. Raises ValueError for an unknown fit.
    """
    laid = laid_over(tracks, height, width, fit, placement)
    return select(laid, laid.visibility.any(dim=0))


def laid_over(tracks: Tracks, height: int, width: int, fit: str = "fit", placement: Placement | None = None) -> Tracks:
    """`transfer` that keeps every track, seen or not: for a video that is still coming in."""
    laid = fitted(tracks, height, width, fit)
    if placement is not None:
        laid = transform(laid, placement, torch.tensor([width / 2, height / 2], dtype=torch.float64))
    return Tracks(laid.points, laid.visibility & laid.in_frame(), height, width, laid.ids)


def fitted(tracks: Tracks, height: int, width: int, fit: str) -> Tracks:
    """Tracks, on the CPU, in a frame of another size, middle on middle (`transfer` tells of `fit`).

    Visibility stays: some points may come to lie outside.
    """
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    scale = torch.tensor(_scale(tracks, height, width, fit), dtype=torch.float64)
    middle = torch.tensor([tracks.width / 2, tracks.height / 2], dtype=torch.float64)
    points = ((tracks.points.cpu().double() - middle) * scale + centre).float()
    return Tracks(points, tracks.visibility.cpu(), height, width, tracks.ids.cpu())


def only_in(tracks: Tracks, mask: Tensor) -> Tracks:
    """The tracks that begin on `mask` (h w) of the target image: seen in the first frame, on a value from 0.5 on.

    What comes in later has no place in the image and is left out. Raises ValueError where nothing is left.
    """
    kept = covered(tracks, mask, 0)
    if not kept.any():
        raise ValueError(
            f"mask: none of the {tracks.num_tracks} tracks begins on it; move or scale the tracks onto it, or mark more"
        )
    return select(tracks, kept)


def over_time(tracks: Tracks, num_frames: int, time: str, source_fps: float = 0.0, fps: float = 0.0) -> Tracks:
    """`tracks` of the reference's frames as tracks of `num_frames` frames of the new video.

    time: "stretch": the whole reference over the whole video; "frames": frame k stays frame k; "seconds": the speed
        stays, by the two frame rates. Where the reference ends first, its points are let go (invisible).
    Raises ValueError for an unknown time, and for "seconds" without two rates above 0.
    """
    if time == "stretch":
        return resample(tracks, num_frames)
    if time not in ("frames", "seconds"):
        raise ValueError(f"time is {time!r}; it must be stretch, frames or seconds")
    if time == "seconds" and not (source_fps > 0 and fps > 0):
        raise ValueError(f"time 'seconds' needs both frame rates, got {source_fps} (reference) and {fps} (new video)")
    speed = source_fps / fps if time == "seconds" else 1.0
    return retime(tracks, num_frames, speed=speed, after="hide")


def _scale(tracks: Tracks, height: int, width: int, fit: str) -> tuple[float, float]:
    across, down = width / tracks.width, height / tracks.height
    scales = {
        "fit": (min(across, down),) * 2,
        "fill": (max(across, down),) * 2,
        "stretch": (across, down),
        "pixels": (1.0, 1.0),
    }
    if fit not in scales:
        raise ValueError(f"fit is {fit!r}; it must be one of {', '.join(FITS)}")
    return scales[fit]
