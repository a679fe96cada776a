"""The procedural world on which the bundled model is trained and judged, with ground-truth tracks."""

from .render import Clip, render
from .scene import (
    EFFECTS,
    LEVELS,
    Camera,
    Level,
    Motion,
    Path,
    Scene,
    Sprite,
    mirrored,
    panned,
    sample_motion,
    sample_scene,
)

__all__ = [
    "EFFECTS",
    "LEVELS",
    "Camera",
    "Clip",
    "Level",
    "Motion",
    "Path",
    "Scene",
    "Sprite",
    "mirrored",
    "panned",
    "render",
    "sample_motion",
    "sample_scene",
]
