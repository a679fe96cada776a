"""The held-out cases of the procedural world, and their counterfactuals: same first frame, other tracks.

plain     the clip's own motion
mirrored  every displacement mirrored left to right
panned    nothing moves by itself, the whole view slides
drag      one sprite is led by a single point, nothing is said of the rest
crossing  the sprite at the back passes behind another one and is judged when it has come out again
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...world import LEVELS, Camera, Clip, Level, Motion, Scene, mirrored, panned, render, sample_motion, sample_scene
from ...world.scene import Path

CaseKind = Literal["plain", "mirrored", "panned", "drag", "crossing"]
CASE_KINDS: tuple[CaseKind, ...] = get_args(CaseKind)
HELD_OUT = 900_001  # first word of every held-out seed; training seeds begin with other words
POINTS_PER_OBJECT = 5
MIN_TRAVEL_PX = 6.0
MIN_COVERAGE = 0.9
HIDDEN = 0.6  # a sprite of which less was in view has been hidden


@dataclass(frozen=True)
class Case:
    """A held-out clip with the tracks that are told (indices into its points) and the sprites that are judged.

    counted: bool (t s), where a sprite moves, is judged, and at least MIN_COVERAGE of it is in view.
    """

    kind: CaseKind
    scene: Scene
    clip: Clip
    told: NDArray[np.int64]
    counted: NDArray[np.bool_]


def held_out_case(
    index: int,
    kind: CaseKind,
    num_frames: int = 49,
    level_weights: tuple[float, float, float] = (0.7, 0.2, 0.1),
    size_px: int = 128,
    level: Level | None = None,
) -> Case:
    """Held-out case number `index`; all kinds of one index share scene and first frame.

    level: of every case, in place of a random one by `level_weights`.
    """
    rng = np.random.default_rng((HELD_OUT, index))
    if level is None:
        level = LEVELS[str(rng.choice(list(LEVELS), p=level_weights))]
    scene = sample_scene(rng, level, size_px)
    motion = sample_motion(rng, scene, level, num_frames, size_px)
    led = int(rng.integers(len(scene.sprites)))
    angle = rng.uniform(0, 2 * np.pi)
    if kind == "mirrored":
        motion = mirrored(motion)
    elif kind == "panned":
        motion = panned(motion, (24 * np.cos(angle) * size_px / 128, 24 * np.sin(angle) * size_px / 128))
    elif kind == "drag":
        motion = _only(motion, led)
    elif kind == "crossing":
        led, motion = 0, _crossing(motion, scene, size_px)
    clip = render(scene, motion, size_px)
    judged = np.zeros(len(scene.sprites), bool)
    judged[led if kind in ("drag", "crossing") else slice(None)] = True
    told = _told(clip, kind, led)
    travel = np.linalg.norm(clip.centers - clip.centers[:1], axis=-1).max(0)
    counted = (clip.coverage >= MIN_COVERAGE) & (judged & (travel > MIN_TRAVEL_PX))[None]
    counted[0] = False  # the first frame is an input
    if kind == "crossing":
        hidden = np.flatnonzero(clip.coverage[:, led] < HIDDEN)
        counted[: hidden[-1] + 1 if len(hidden) else num_frames] = False
    return Case(kind, scene, clip, told, counted)


def _told(clip: Clip, kind: CaseKind, led: int) -> NDArray[np.int64]:
    if kind == "drag":
        return np.flatnonzero(clip.owner == led)[:1]
    chosen = [np.flatnonzero(clip.owner == sprite)[:POINTS_PER_OBJECT] for sprite in range(clip.centers.shape[1])]
    if kind == "panned":
        chosen.append(np.flatnonzero(clip.owner == -1)[::6])
    return np.concatenate(chosen)


def _only(motion: Motion, led: int) -> Motion:
    """The motion of sprite `led` alone, without rotation or growth: all others and the camera are at rest."""
    frames = motion.num_frames
    paths = []
    for index, path in enumerate(motion.paths):
        center = path.center if index == led else np.repeat(path.center[:1], frames, 0)
        paths.append(Path(center, np.repeat(path.angle[:1], frames), np.repeat(path.scale[:1], frames)))
    return Motion(tuple(paths), Camera.at_rest(frames))


def _crossing(motion: Motion, scene: Scene, size_px: int) -> Motion:
    """Sprite 0, drawn first, goes straight on behind the sprite that leaves it most room; all others rest."""
    frames = motion.num_frames
    resting = _only(motion, 0)
    start = motion.paths[0].center[0].astype(np.float64)
    best, target = -np.inf, start
    for other, path in zip(scene.sprites[1:], motion.paths[1:], strict=True):
        way = path.center[0] - start
        length = np.linalg.norm(way)
        beyond = start + way / max(length, 1e-6) * (length + scene.sprites[0].radius_px + other.radius_px + 8)
        room = min(beyond.min(), (size_px - beyond).min())
        if room > best:
            best, target = room, beyond
    target = np.clip(target, 0, size_px)
    along = np.linspace(0, 1, frames)[:, None]
    center = (start + (target - start) * along).astype(np.float32)
    return replace(resting, paths=(replace(resting.paths[0], center=center), *resting.paths[1:]))
