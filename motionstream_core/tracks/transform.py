"""Tracks scaled, turned and shifted about a point: at once over the whole clip, or little by little."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .easing import EASINGS, eased, progress
from .tracks import Tracks


@dataclass(frozen=True)
class Placement:
    """Where points go: scaled about a point, then turned about it, then shifted. The default leaves them.

    scale_x, scale_y: factors; below 0 they mirror. rotation_deg: degrees, clockwise as seen on the screen (x right,
    y down). shift_x_px, shift_y_px: right and down. Raises ValueError for a value that is not finite.
    """

    scale_x: float = 1.0
    scale_y: float = 1.0
    rotation_deg: float = 0.0
    shift_x_px: float = 0.0
    shift_y_px: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not math.isfinite(value):
                raise ValueError(f"{name} is {value}; it must be a finite number")

    def values(self) -> Tensor:
        """float64 (5), in the order of the fields."""
        return torch.tensor(list(vars(self).values()), dtype=torch.float64)


@dataclass(frozen=True)
class Span:
    """The frames over which a placement comes about: nothing of it at `start` and before, all of it from `stop` on.

    easing: one of timing.EASINGS. start and stop in frames, fractions allowed; where they are equal, the placement
    holds from that frame on. Raises ValueError for a stop before start and an unknown easing.
    """

    start: float
    stop: float
    easing: str = "linear"

    def __post_init__(self) -> None:
        if not self.start <= self.stop:
            raise ValueError(f"start is frame {self.start}, stop frame {self.stop}; start must not lie after stop")
        if self.easing not in EASINGS:
            raise ValueError(f"easing is {self.easing!r}; it must be one of {', '.join(EASINGS)}")

    def shares(self, num_frames: int) -> Tensor:
        """How much of the placement holds in each frame: float64 (t) in [0, 1]."""
        frames = np.arange(num_frames, dtype=np.float64)
        elapsed = progress(frames - self.start, self.stop - self.start)
        return torch.from_numpy(eased(elapsed, self.easing))


def transform(tracks: Tracks, target: Placement, about: Tensor, span: Span | None = None) -> Tracks:
    """`tracks` placed as `target` says, about a point.

    about: floating (2) px, or (t 2) for a point that moves. span: None places every frame alike; else scales, angle
    and shift run straight from "left alone" to `target` over the span, so a turn is an arc and not its chord.

    Visibility, size and ids stay; points may leave the frame. Raises ValueError for `about` of another shape.
    """
    if about.shape not in ((2,), (tracks.num_frames, 2)):
        raise ValueError(f"about has shape {tuple(about.shape)}; it must be (2) or ({tracks.num_frames}, 2)")
    device = tracks.points.device
    centre = about.to(device, torch.float64).expand(tracks.num_frames, 2)[:, None]
    shares = torch.ones(tracks.num_frames, dtype=torch.float64) if span is None else span.shares(tracks.num_frames)
    values = torch.lerp(Placement().values(), target.values(), shares[:, None]).to(device)
    scale, angle, shift = values[:, None, 0:2], values[:, 2:3].deg2rad(), values[:, None, 3:5]
    x, y = ((tracks.points.double() - centre) * scale).unbind(-1)
    rotated = torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()], dim=-1)
    return Tracks((rotated + centre + shift).float(), tracks.visibility, tracks.height, tracks.width, tracks.ids)


def middle_of(tracks: Tracks) -> Tensor:
    """The mean of the points in each frame: float64 (t 2) px, what an object turns about while it moves.

    A point that is hidden for a while counts where it would be if it went straight from where it was seen last to
    where it is seen next (at the ends: where it is seen nearest), so that the middle does not jump. Tracks that are
    never visible do not count. Raises ValueError where none is visible.
    """
    seen = tracks.visibility.any(dim=0)
    if not seen.any():
        raise ValueError("no point is ever visible, so the tracks have no middle; give a point to transform about")
    visibility = tracks.visibility[:, seen]
    frames = torch.arange(tracks.num_frames, device=visibility.device)[:, None].expand_as(visibility)
    before = torch.where(visibility, frames, -1).cummax(dim=0).values
    after = torch.where(visibility, frames, tracks.num_frames).flip(0).cummin(dim=0).values.flip(0)
    before, after = torch.where(before < 0, after, before), torch.where(after >= tracks.num_frames, before, after)
    weight = (frames - before).double() / (after - before).clamp(min=1)
    points = tracks.points[:, seen].double()
    start, end = (points.gather(0, which[..., None].expand_as(points)) for which in (before, after))
    return torch.lerp(start, end, weight[..., None]).mean(dim=1)
