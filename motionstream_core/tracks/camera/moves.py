"""Moves of a camera as on a film set, and what they do to points on a plane: docs/tracks-format.md, "Camera".

Axes as in OpenCV: x right, y down, z forward. The world is the camera's own frame before it moves, and its unit is the
distance of the point that it looks at then. A crane swings the rig about that point (orbit), a slide carries the camera
on the rig (truck, pedestal, dolly), a head turns it (pan, then tilt, then roll), a lens frames (zoom). Moves of one
kind add up, zooms multiply, so their order in a list means nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..easing import EASINGS, eased, progress
from ..parse import MAX_COORDINATE_PX
from ..spline import Array
from ..tracks import TrackFormatError

AMOUNTS: dict[str, tuple[float, float]] = {
    "pan": (-360, 360),
    "tilt": (-360, 360),
    "roll": (-360, 360),
    "dolly": (-100, 100),
    "truck": (-100, 100),
    "pedestal": (-100, 100),
    "orbit": (-360, 360),
    "zoom": (0.01, 100),
    "handheld": (0, 45),
}
"""Every move and the least and largest `amount` of it: degrees, distances of the plane, a factor, degrees."""
MOVES = tuple(AMOUNTS)
MAX_SEED = 2**32 - 1
NEAR = 1e-3
"""In distances of the plane. What is nearer to the camera's own plane, or behind it, cannot be seen."""
SHAKE_FADE_FRAMES = 4
SHAKE_CYCLES_PER_FRAME = (0.0271, 0.0523, 0.0897, 0.1531)
SHAKE_WEIGHTS = (0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True)
class Move:
    """One move over the frames [start, start + duration]; before it there is none of it, after it all of it.

    move, amount: see AMOUNTS. Positive is: pan right, tilt up, roll clockwise, dolly forward, truck right, pedestal
        up, orbit to the right about the point that is looked at; zoom above 1 magnifies; handheld is the amplitude.
    easing: as tracks have; a handheld move has none but "linear", and fades in and out instead.
    seed: of a handheld move; others leave it 0.

    Raises TrackFormatError for another name, and for values out of range.
    """

    move: str
    amount: float
    start: float
    duration: float
    easing: str = "linear"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, options in (("move", self.move, MOVES), ("easing", self.easing, EASINGS)):
            if value not in options:
                raise TrackFormatError(f"{name}: {value!r}: it must be one of {', '.join(options)}")
        low, high = AMOUNTS[self.move]
        for name, value, least, most in (
            ("amount", self.amount, low, high),
            ("start", self.start, -1e6, 1e6),
            ("duration", self.duration, 0, 1e6),
            ("seed", self.seed, 0, MAX_SEED),
        ):
            if not least <= value <= most:
                raise TrackFormatError(f"{name}: {value!r}: for {self.move} it must be from {least:g} to {most:g}")
        if self.move == "handheld" and self.easing != "linear":
            raise TrackFormatError(f"easing: {self.easing!r}: a handheld move has no easing; leave it out")

    def share(self, frames: Array) -> Array:
        """How much of it is done at `frames` (t), from 0 to 1: (t)."""
        return eased(progress(frames - self.start, self.duration), self.easing)

    def shake(self, frames: Array) -> Array:
        """Degrees of pan, tilt and roll of a handheld move at `frames` (t): (t 3), within the amount, roll half."""
        since = frames - self.start
        fade = min(SHAKE_FADE_FRAMES, self.duration / 2)
        if fade <= 0:
            return np.zeros((len(frames), 3))
        rise, fall = (np.clip(each / fade, 0.0, 1.0) for each in (since, self.duration - since))
        envelope = eased(rise, "ease_in_out") * eased(fall, "ease_in_out")
        waves = np.zeros((len(frames), 3))
        for axis in range(3):
            for k, (cycles, weight) in enumerate(zip(SHAKE_CYCLES_PER_FRAME, SHAKE_WEIGHTS, strict=True)):
                waves[:, axis] += weight * np.sin(2 * np.pi * (cycles * since + shake_phase(self.seed, 4 * axis + k)))
        return self.amount * envelope[:, None] * waves * (1.0, 1.0, 0.5)


def shake_phase(seed: int, index: int) -> float:
    """Phase of wave `index` in [0, 1): murmur3's 32-bit finalizer of seed + (index + 1) 0x9E3779B9, over 2^32."""
    h = (seed + (index + 1) * 0x9E3779B9) % 2**32
    h = (h ^ h >> 16) * 0x85EBCA6B % 2**32
    h = (h ^ h >> 13) * 0xC2B2AE35 % 2**32
    return (h ^ h >> 16) / 2**32


@dataclass(frozen=True)
class Poses:
    """Where a camera is: rotation (t 3 3) and centre (t 3), camera to world, and factors of the focal length (t)."""

    rotation: Array
    centre: Array
    zoom: Array


def poses_of(moves: Sequence[Move], frames: Array) -> Poses:
    """Poses of all `moves` together at `frames` (t)."""
    totals = {kind: np.zeros(len(frames)) for kind in MOVES}
    zoom = np.ones(len(frames))
    for each in moves:
        if each.move == "zoom":
            zoom *= each.amount ** each.share(frames)
        elif each.move == "handheld":
            for kind, degrees in zip(("pan", "tilt", "roll"), each.shake(frames).T, strict=True):
                totals[kind] += degrees
        else:
            totals[each.move] += each.amount * each.share(frames)
    crane = _rotation(-totals["orbit"], 1)
    head = _rotation(totals["pan"], 1) @ _rotation(totals["tilt"], 0) @ _rotation(totals["roll"], 2)
    on_rig = np.stack([totals["truck"], -totals["pedestal"], totals["dolly"] - 1], axis=-1)  # from the point
    centre = (crane @ on_rig[..., None])[..., 0] + (0.0, 0.0, 1.0)
    return Poses(crane @ head, centre, zoom)


def plane_seen(
    points: Array, moves: Sequence[Move], frames: Array, width: float, height: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Points (t n 2) px, drawn on the plane at distance 1, as the moved camera sees them at `frames` (t).

    Its focal length is `width` px at first (53.13 degrees across), its middle that of the width x height px.
    Returns points (t n 2), within 1e6 px, and whether they lie NEAR or further before the camera (t n).
    """
    poses, middle = poses_of(moves, frames), np.array([width / 2, height / 2])
    on_plane = np.concatenate([(points - middle) / width, np.ones((*points.shape[:2], 1))], axis=-1)
    seen = (on_plane - poses.centre[:, None]) @ poses.rotation  # row vectors: the inverse rotation
    depth = seen[..., 2:]
    placed = middle + width * poses.zoom[:, None, None] * seen[..., :2] / np.maximum(depth, NEAR)
    return placed.clip(-MAX_COORDINATE_PX, MAX_COORDINATE_PX), depth[..., 0] >= NEAR


def _rotation(degrees: Array, axis: int) -> Array:
    """Right-handed rotations (t 3 3) about `axis`."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    made = np.zeros((len(degrees), 3, 3))
    made[:, axis, axis] = 1
    made[:, a, a], made[:, a, b], made[:, b, a], made[:, b, b] = cos, -sin, sin, cos
    return made
