"""Where the sprites of a known scene are in any video of it: colour centroids.

Sprites of one scene differ in hue, and nothing else in the world is saturated, so a sprite's place is the centroid of
the pixels of its hue. The judge sees the video and the scene, never the true positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .scene import HUES, Array, Scene

MIN_SHARE = 0.25  # of a sprite's area in the first frame; with less in view it counts as lost
HUE_TOLERANCE = 26.0  # degrees


def locate(frames: NDArray[np.uint8], scene: Scene) -> tuple[Array, NDArray[np.bool_]]:
    """Centre (t s 2) px of every sprite in frames (t h w 3), and whether it was found (t s).

    A lost sprite is reported where it was last seen.
    """
    rgb = frames.astype(np.float32) / 255
    value, low = rgb.max(-1), rgb.min(-1)
    chroma = value - low
    saturation = chroma / np.maximum(value, 1e-3)
    weight = np.clip((saturation - 0.38) / 0.2, 0, 1) * np.clip((value - 0.06) / 0.06, 0, 1)
    hue = _hue(rgb, value, chroma)
    height, width = frames.shape[1:3]
    ys, xs = np.arange(height, dtype=np.float32) + 0.5, np.arange(width, dtype=np.float32) + 0.5
    centers = np.zeros((len(frames), len(scene.sprites), 2), np.float32)
    found = np.zeros(centers.shape[:2], bool)
    for index, sprite in enumerate(scene.sprites):
        distance = np.abs((hue - HUES[sprite.color] + 180) % 360 - 180)
        mine = weight * (distance < HUE_TOLERANCE)
        mass = mine.sum((1, 2))
        found[:, index] = mass > np.maximum(MIN_SHARE * mass[0], 4)
        safe = np.maximum(mass, 1e-3)
        centers[:, index, 0] = (mine.sum(1) @ xs) / safe
        centers[:, index, 1] = (mine.sum(2) @ ys) / safe
        for t in range(1, len(frames)):
            if not found[t, index]:
                centers[t, index] = centers[t - 1, index]
    return centers, found


def _hue(rgb: Array, value: Array, chroma: Array) -> Array:
    """Hue in degrees, as in HSV."""
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    safe = np.maximum(chroma, 1e-6)
    sixth = np.where(
        value == red,
        ((green - blue) / safe) % 6,
        np.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return sixth * 60
