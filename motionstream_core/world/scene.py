"""What is in a clip of the procedural world, and how it moves.

A `Scene` is what the first frame shows plus what the caption asks for; a `Motion` is everything that only tracks
can tell. The two are drawn apart, so that the same first frame can be shown with several motions: without that a
model learns the clips and not the tracks (FastVideo docs/training/wantrack.md).
Coordinates are continuous pixels: pixel j covers [j, j + 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

HUES = {"red": 0.0, "yellow": 52.0, "green": 120.0, "cyan": 178.0, "blue": 226.0, "pink": 310.0}
SHAPES = ("circle", "square", "triangle", "star", "diamond", "cross")
EFFECTS = ("still air", "snow", "night falling", "a rainbow")
PATTERNS = ("plain", "stripes", "dots", "halves")


@dataclass(frozen=True)
class Level:
    """How rich the world is. Probabilities in [0, 1], radii in px of a 128 px frame."""

    name: str
    pattern_probability: float
    blobs: int
    texture: float
    camera_probability: float
    max_sprites: int = 3
    min_radius_px: float = 12.0
    max_radius_px: float = 21.0


LEVELS = {
    "plain": Level("plain", 0.0, 0, 0.0, 0.0),
    "patterned": Level("patterned", 0.6, 3, 0.0, 0.25),
    "textured": Level("textured", 0.6, 3, 0.06, 0.4),
}


@dataclass(frozen=True)
class Sprite:
    """One object: its colour's hue in degrees and name, shape, pattern, radius in px."""

    color: str
    shape: str
    pattern: str
    radius_px: float
    saturation: float
    value: float
    pattern_angle: float


@dataclass(frozen=True)
class Scene:
    """What stands in the first frame, back to front, and the effect that the caption asks for."""

    sprites: tuple[Sprite, ...]
    background_colors: Array  # (2 3) rgb 0..1, the two ends of the gradient
    background_angle: float
    blobs: Array  # (m 6): x, y, sigma in px, rgb offset as one grey step and two chroma steps
    texture: Array  # (m 5): wave numbers kx, ky per px, phase, amplitude, channel tilt
    effect: str
    effect_seed: int

    @property
    def caption(self) -> str:
        """What the scene shows and which effect sets in, in the text encoder's vocabulary."""
        things = [f"a {sprite.color} {sprite.shape}" for sprite in self.sprites]
        listing = " and ".join(things) if things else "an empty place"
        return f"{listing} , {self.effect}"


@dataclass(frozen=True)
class Path:
    """One object's way through the clip: centre (t 2) px, angle (t) rad, scale (t)."""

    center: Array
    angle: Array
    scale: Array


@dataclass(frozen=True)
class Camera:
    """View of the world: view = (world - offset - middle) * zoom + middle; offset (t 2) px, zoom (t)."""

    offset: Array
    zoom: Array

    @classmethod
    def at_rest(cls, num_frames: int) -> Camera:
        """A camera that stays where it is."""
        return cls(np.zeros((num_frames, 2), np.float32), np.ones(num_frames, np.float32))

    def to_view(self, points: Array, size_px: int) -> Array:
        """World points (t ... 2) in view coordinates of frame t."""
        extra = (1,) * (points.ndim - 2)
        offset = self.offset.reshape(-1, *extra, 2)
        zoom = self.zoom.reshape(-1, *extra, 1)
        return (points - offset - size_px / 2) * zoom + size_px / 2


@dataclass(frozen=True)
class Motion:
    """Every sprite's path, in the scene's order, and the camera's."""

    paths: tuple[Path, ...]
    camera: Camera

    @property
    def num_frames(self) -> int:
        return len(self.camera.zoom)


def sample_scene(rng: np.random.Generator, level: Level, size_px: int = 128) -> Scene:
    """A scene of 1..max_sprites objects of different colours on a background of the level's richness."""
    count = int(rng.integers(1, level.max_sprites + 1))
    colors = rng.permutation(list(HUES))[:count]
    unit = size_px / 128
    sprites = tuple(
        Sprite(
            color=str(color),
            shape=str(rng.choice(SHAPES)),
            pattern=str(rng.choice(PATTERNS[1:])) if rng.random() < level.pattern_probability else "plain",
            radius_px=float(rng.uniform(level.min_radius_px, level.max_radius_px) * unit),
            saturation=float(rng.uniform(0.72, 0.92)),
            value=float(rng.uniform(0.78, 0.98)),
            pattern_angle=float(rng.uniform(0, 2 * np.pi)),
        )
        for color in colors
    )
    base = rng.uniform(0.25, 0.85)
    ends = np.clip(base + rng.uniform(-0.2, 0.2, (2, 1)) + rng.uniform(-0.05, 0.05, (2, 3)), 0.05, 0.95)
    num_blobs = int(rng.integers(0, level.blobs + 1)) if level.blobs else 0
    blobs = np.concatenate(
        [
            rng.uniform(-0.3 * size_px, 1.3 * size_px, (num_blobs, 2)),
            rng.uniform(12, 30, (num_blobs, 1)) * unit,
            rng.uniform(-0.2, 0.2, (num_blobs, 1)) + rng.uniform(-0.04, 0.04, (num_blobs, 3)),
        ],
        axis=1,
    )
    num_waves = 8 if level.texture else 0
    wave_length = rng.uniform(16, 48, num_waves) * unit
    direction = rng.uniform(0, 2 * np.pi, num_waves)
    waves = np.stack(
        [
            2 * np.pi / wave_length * np.cos(direction),
            2 * np.pi / wave_length * np.sin(direction),
            rng.uniform(0, 2 * np.pi, num_waves),
            rng.uniform(0.2, 1.0, num_waves) * level.texture,
            rng.uniform(-0.15, 0.15, num_waves),
        ],
        axis=1,
    )
    return Scene(
        sprites=sprites,
        background_colors=ends.astype(np.float32),
        background_angle=float(rng.uniform(0, 2 * np.pi)),
        blobs=blobs.astype(np.float32),
        texture=waves.astype(np.float32),
        effect=str(rng.choice(EFFECTS, p=[0.4, 0.2, 0.2, 0.2])),
        effect_seed=int(rng.integers(1 << 31)),
    )


def sample_motion(
    rng: np.random.Generator,
    scene: Scene,
    level: Level,
    num_frames: int,
    size_px: int = 128,
    start: Motion | None = None,
) -> Motion:
    """Smooth random paths for the scene's sprites; with `start`, from that motion's first-frame poses."""
    if start is None:
        poses = _sample_starts(rng, scene, size_px)
    else:
        poses = [(path.center[0].astype(np.float64), float(path.angle[0])) for path in start.paths]
    paths = tuple(
        _sample_path(rng, sprite, num_frames, size_px, *pose) for sprite, pose in zip(scene.sprites, poses, strict=True)
    )
    return Motion(paths, _sample_camera(rng, level, num_frames, size_px))


def _sample_starts(rng: np.random.Generator, scene: Scene, size_px: int) -> list[tuple[NDArray[np.float64], float]]:
    """First-frame centre and angle of every sprite, the best separated of a few draws: the image shows them all."""
    radii = np.array([sprite.radius_px for sprite in scene.sprites])
    best, best_gap = np.zeros((len(radii), 2)), -np.inf
    for _ in range(12):
        centers = rng.uniform(radii[:, None] * 0.9, size_px - radii[:, None] * 0.9, (len(radii), 2))
        gaps = np.linalg.norm(centers[:, None] - centers[None], axis=-1) - radii[:, None] - radii[None]
        gap = gaps[~np.eye(len(radii), dtype=bool)].min(initial=np.inf)
        if gap > best_gap:
            best, best_gap = centers, gap
        if gap > 2:
            break
    return [(center, float(rng.uniform(0, 2 * np.pi))) for center in best]


def _sample_path(
    rng: np.random.Generator, sprite: Sprite, num_frames: int, size_px: int, start: NDArray[np.float64], angle: float
) -> Path:
    """Waypoints every 12..26 frames, inside the frame nine times in ten; one sprite in eight stays where it is."""
    margin = sprite.radius_px * 0.8
    if rng.random() < 0.125:
        return Path(
            (np.ones((num_frames, 1)) * start).astype(np.float32),
            np.full(num_frames, angle, np.float32),
            np.ones(num_frames, np.float32),
        )
    gap = rng.uniform(12, 26)
    count = int(np.ceil(num_frames / gap)) + 3
    reach = rng.uniform(0.12, 0.45) * size_px
    points = [start]
    for _ in range(count):
        leave = 1.4 * margin if rng.random() < 0.1 else 0.0
        candidate = points[-1]
        for _attempt in range(8):
            heading, length = rng.uniform(0, 2 * np.pi), reach * rng.uniform(0.5, 1.0)
            candidate = points[-1] + length * np.array([np.cos(heading), np.sin(heading)])
            if np.all(candidate > margin - leave) and np.all(candidate < size_px - margin + leave):
                break
        points.append(np.clip(candidate, margin - leave, size_px - margin + leave))
    rotation = rng.uniform(0, 0.7) if rng.random() < 0.6 else 0.0
    grow = rng.uniform(0, 0.2) if rng.random() < 0.4 else 0.0
    angles = angle + np.concatenate([[0], np.cumsum(rng.uniform(-rotation, rotation, count))])
    scales = np.concatenate([[1], np.exp(rng.uniform(-grow, grow, count))])
    times = np.arange(num_frames) / gap
    return Path(
        _smooth(np.array(points), times).astype(np.float32),
        _smooth(angles[:, None], times)[:, 0].astype(np.float32),
        _smooth(scales[:, None], times)[:, 0].astype(np.float32),
    )


def _sample_camera(rng: np.random.Generator, level: Level, num_frames: int, size_px: int) -> Camera:
    if rng.random() >= level.camera_probability:
        return Camera.at_rest(num_frames)
    gap = rng.uniform(20, 40)
    count = int(np.ceil(num_frames / gap)) + 3
    offsets = np.concatenate([np.zeros((1, 2)), rng.uniform(-0.22, 0.22, (count, 2)) * size_px])
    zooms = np.concatenate([[1.0], np.exp(rng.uniform(-0.2, 0.2, count))])
    times = np.arange(num_frames) / gap
    return Camera(_smooth(offsets, times).astype(np.float32), _smooth(zooms[:, None], times)[:, 0].astype(np.float32))


def _smooth(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (m c) at whole times, Catmull-Rom in between; the first value is repeated before the start."""
    padded = np.concatenate([values[:1], values, values[-1:]])
    index = np.minimum(times.astype(int), len(values) - 2)
    u = (times - index)[:, None]
    p0, p1, p2, p3 = (padded[index + k] for k in range(4))
    return 0.5 * (2 * p1 + (p2 - p0) * u + (2 * p0 - 5 * p1 + 4 * p2 - p3) * u**2 + (3 * p1 - p0 - 3 * p2 + p3) * u**3)


def mirrored(motion: Motion) -> Motion:
    """The same starts, every displacement and rotation mirrored left to right."""
    flip = np.array([-1, 1], np.float32)
    paths = tuple(
        replace(
            path,
            center=path.center[:1] + (path.center - path.center[:1]) * flip,
            angle=2 * path.angle[:1] - path.angle,
        )
        for path in motion.paths
    )
    return Motion(paths, replace(motion.camera, offset=motion.camera.offset * flip))


def panned(motion: Motion, shift_px: tuple[float, float]) -> Motion:
    """Nothing moves by itself; the whole view, objects and background, slides by `shift_px` over the clip."""
    num_frames = motion.num_frames
    ramp = np.linspace(0, 1, num_frames, dtype=np.float32)
    eased = ramp * ramp * (3 - 2 * ramp)
    paths = tuple(
        Path(
            np.repeat(p.center[:1], num_frames, 0),
            np.repeat(p.angle[:1], num_frames),
            np.repeat(p.scale[:1], num_frames),
        )
        for p in motion.paths
    )
    offset = -eased[:, None] * np.array(shift_px, np.float32)
    return Motion(paths, Camera(offset.astype(np.float32), np.ones(num_frames, np.float32)))
