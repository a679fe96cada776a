"""The held-out cases of the procedural world, and their counterfactuals: same first frame, other tracks.

plain     the clip's own motion
mirrored  every displacement mirrored left to right
panned    nothing moves by itself, the whole view slides
drag      one sprite is led by a single point, nothing is said of the rest
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..world import LEVELS, Clip, Motion, Scene, mirrored, panned, render, sample_motion, sample_scene
from ..world.scene import Path

CaseKind = Literal["plain", "mirrored", "panned", "drag"]
CASE_KINDS: tuple[CaseKind, ...] = get_args(CaseKind)
HELD_OUT = 900_001  # first word of every held-out seed; training seeds begin with other words
POINTS_PER_OBJECT = 5
MIN_TRAVEL_PX = 6.0
MIN_COVERAGE = 0.9


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
) -> Case:
    """Held-out case number `index`; all kinds of one index share scene and first frame."""
    rng = np.random.default_rng((HELD_OUT, index))
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
    clip = render(scene, motion, size_px)
    judged = np.zeros(len(scene.sprites), bool)
    judged[led if kind == "drag" else slice(None)] = True
    told = _told(clip, kind, led)
    travel = np.linalg.norm(clip.centers - clip.centers[:1], axis=-1).max(0)
    counted = (clip.coverage >= MIN_COVERAGE) & (judged & (travel > MIN_TRAVEL_PX))[None]
    counted[0] = False  # the first frame is given
    return Case(kind, scene, clip, told, counted)


def _told(clip: Clip, kind: CaseKind, led: int) -> NDArray[np.int64]:
    if kind == "drag":
        return np.flatnonzero(clip.owner == led)[:1]
    chosen = [np.flatnonzero(clip.owner == sprite)[:POINTS_PER_OBJECT] for sprite in range(clip.centers.shape[1])]
    if kind == "panned":
        chosen.append(np.flatnonzero(clip.owner == -1)[::6])
    return np.concatenate(chosen)


def _only(motion: Motion, led: int) -> Motion:
    """The motion with every sprite but `led` at rest, without turn or growth of the one that moves, camera at rest."""
    frames = motion.num_frames
    paths = []
    for index, path in enumerate(motion.paths):
        center = path.center if index == led else np.repeat(path.center[:1], frames, 0)
        paths.append(Path(center, np.repeat(path.angle[:1], frames), np.repeat(path.scale[:1], frames)))
    camera = motion.camera
    still = type(camera)(np.zeros_like(camera.offset), np.ones_like(camera.zoom))
    return Motion(tuple(paths), still)
