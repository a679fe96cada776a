"""The demo's own example: a first frame of the procedural world and trajectories drawn over it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ..tracks import Tracks
from ..world import LEVELS, Motion, Path, Scene, render, sample_motion, sample_scene
from ..world.scene import Camera

EXAMPLE_SEED = (31, 7)


@dataclass(frozen=True)
class Example:
    """image (h w 3) uint8; the drawn tracks; the scene, so that the judge knows what to look for."""

    scene: Scene
    image: np.ndarray
    tracks: Tracks
    prompt: str


def drawn_example(num_frames: int = 49, size_px: int = 128) -> Example:
    """Each object is led along its own curve: an arc, a wave, a loop; five points on each are tracked."""
    rng = np.random.default_rng(EXAMPLE_SEED)
    level = LEVELS["plain"]
    scene = sample_scene(rng, level, size_px)
    while len(scene.sprites) < 3:
        scene = sample_scene(rng, level, size_px)
    start = sample_motion(rng, scene, level, 2, size_px)
    u = np.linspace(0, 1, num_frames)
    eased = u * u * (3 - 2 * u)
    paths = []
    for index, path in enumerate(start.paths):
        # a third of the way round the middle of the frame, the second object in a wave
        arm = path.center[0] - size_px / 2
        angle = eased * 1.2
        rotated = np.stack(
            [np.cos(angle) * arm[0] - np.sin(angle) * arm[1], np.sin(angle) * arm[0] + np.cos(angle) * arm[1]], -1
        )
        swing = 1 - 0.35 * np.sin(np.pi * eased) ** 2 if index != 1 else 1 - 0.3 * np.sin(2 * np.pi * eased) ** 2
        center = size_px / 2 + rotated * swing[:, None]
        paths.append(
            Path(
                center.astype(np.float32),
                np.full(num_frames, path.angle[0], np.float32),
                np.ones(num_frames, np.float32),
            )
        )
    clip = render(scene, Motion(tuple(paths), Camera.at_rest(num_frames)), size_px)
    tracked = np.concatenate([np.flatnonzero(clip.owner == sprite)[:5] for sprite in range(3)])
    # a hand draws on without knowing what will be hidden: all points count as visible
    points = torch.from_numpy(clip.points[:, tracked]).float()
    tracks = Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), size_px, size_px)
    return Example(scene, clip.frames[0], tracks, clip.caption.split(" , ")[0] + " , still air")
