"""Draw a scene and its motion: frames, and the ground truth that goes with them.

Sprites are signed distance functions in their own unit coordinates u (a disc of radius about 1), so that pattern,
shading, points and occlusion all come from one inverse transform. Each sprite is drawn in a window of its own size;
only a moving camera makes the background be drawn per frame.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scene import HUES, Array, Camera, Motion, Path, Scene, Sprite

GRID_POINTS = 10
POINTS_PER_SPRITE = 9
COVERAGE_POINTS = 48
REACH = 1.11  # radii from a sprite's centre to the farthest point of any shape: a square's corner
LIGHT = np.array([-0.55, -0.83], np.float32)


@dataclass(frozen=True)
class Clip:
    """A rendered clip with its ground truth.

    frames: uint8 (t h w 3). points: (t n 2) px in the view; visibility: bool (t n), in frame and not covered.
    owner: (n), the sprite that carries a point, -1 for the background. The first POINTS_PER_SPRITE points of each
    sprite come first (its centre is the first of them), then a grid over the first frame.
    centers: (t s 2) px sprite centres; coverage: (t s) visible share of each sprite's area in [0, 1].
    """

    frames: NDArray[np.uint8]
    points: Array
    visibility: NDArray[np.bool_]
    owner: NDArray[np.int64]
    centers: Array
    coverage: Array
    caption: str


def render(scene: Scene, motion: Motion, size_px: int = 128) -> Clip:
    """Draw every frame of `motion` and follow its points."""
    frames = _background(scene, motion.camera, size_px)
    frames = _rainbow(frames, scene, size_px)
    poses = [
        _Pose.in_view(sprite, path, motion.camera, size_px)
        for sprite, path in zip(scene.sprites, motion.paths, strict=True)
    ]
    for sprite, pose in zip(scene.sprites, poses, strict=True):
        _draw_sprite(frames, sprite, pose, size_px)
    frames = _weather(frames, scene, size_px)
    points, visibility, owner, coverage = _ground_truth(scene, motion, poses, size_px)
    centers = (
        np.stack([pose.center for pose in poses], axis=1) if poses else np.zeros((motion.num_frames, 0, 2), np.float32)
    )
    return Clip(
        frames=(np.clip(frames, 0, 1) * 255 + 0.5).astype(np.uint8),
        points=points,
        visibility=visibility,
        owner=owner,
        centers=centers,
        coverage=coverage,
        caption=scene.caption,
    )


@dataclass(frozen=True)
class _Pose:
    """A sprite in the view: center (t 2), radius (t) px, angle (t) rad."""

    center: Array
    radius: Array
    angle: Array

    @staticmethod
    def in_view(sprite: Sprite, path: Path, camera: Camera, size_px: int) -> _Pose:
        center = camera.to_view(path.center, size_px)
        radius = sprite.radius_px * path.scale * camera.zoom
        return _Pose(center, radius, path.angle)

    def to_unit(self, points: Array) -> Array:
        """View points (t ... 2) in the sprite's unit coordinates."""
        extra = (1,) * (points.ndim - 2)
        delta = (points - self.center.reshape(-1, *extra, 2)) / self.radius.reshape(-1, *extra, 1)
        cos, sin = np.cos(self.angle).reshape(-1, *extra), np.sin(self.angle).reshape(-1, *extra)
        return np.stack([cos * delta[..., 0] + sin * delta[..., 1], -sin * delta[..., 0] + cos * delta[..., 1]], -1)

    def from_unit(self, unit: Array) -> Array:
        """Unit points (m 2) in the view, (t m 2)."""
        cos, sin = np.cos(self.angle)[:, None], np.sin(self.angle)[:, None]
        rotated = np.stack([cos * unit[:, 0] - sin * unit[:, 1], sin * unit[:, 0] + cos * unit[:, 1]], -1)
        return (self.center[:, None] + rotated * self.radius[:, None, None]).astype(np.float32)


def _distance(shape: str, u: Array) -> Array:
    """Signed distance (approximate, in radii, negative inside) of unit points (... 2); area centroid at 0."""
    x, y = u[..., 0], u[..., 1]
    if shape == "circle":
        return np.sqrt(x * x + y * y) - 0.9
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - 0.78
    if shape == "diamond":
        return (np.abs(x) * 1.35 + np.abs(y)) * 0.62 - 0.62
    if shape == "cross":
        arm = np.maximum(np.abs(x) - 0.32, np.abs(y) - 0.95)
        return np.minimum(arm, np.maximum(np.abs(y) - 0.32, np.abs(x) - 0.95))
    if shape == "triangle":
        return np.maximum(y - 0.5, np.maximum(0.866 * x - 0.5 * y, -0.866 * x - 0.5 * y) - 0.5)
    if shape == "star":
        radius, angle = np.sqrt(x * x + y * y), np.arctan2(y, x)
        sector = 2 * np.pi / 5
        folded = np.abs((angle + sector / 2) % sector - sector / 2)
        # the edge from the tip at radius 1 to the notch at radius 0.5
        px, py = radius * np.cos(folded), radius * np.sin(folded)
        tip, notch = np.array([1.0, 0.0]), 0.5 * np.array([np.cos(sector / 2), np.sin(sector / 2)])
        edge = notch - tip
        normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
        normal = normal if normal @ tip > 0 else -normal
        return (px - tip[0]) * normal[0] + (py - tip[1]) * normal[1]
    raise ValueError(f"shape is {shape!r}; known are circle, square, diamond, cross, triangle, star")


def _pattern(sprite: Sprite, u: Array) -> Array:
    """Brightness factor in [0.55, 1] over the sprite; hue and saturation stay, so that the judge keeps its colour."""
    cos, sin = np.cos(sprite.pattern_angle), np.sin(sprite.pattern_angle)
    a, b = cos * u[..., 0] + sin * u[..., 1], -sin * u[..., 0] + cos * u[..., 1]
    if sprite.pattern == "stripes":
        wave = np.clip(3 * np.sin(5.5 * a) + 0.5, 0, 1)
    elif sprite.pattern == "dots":
        wave = np.clip(4 * (np.cos(6 * a) * np.cos(6 * b)) - 0.6, 0, 1)
    elif sprite.pattern == "halves":
        wave = np.clip(8 * a + 0.5, 0, 1)
    else:
        return np.ones(u.shape[:-1], np.float32)
    return 0.55 + 0.45 * wave


def _draw_sprite(frames: Array, sprite: Sprite, pose: _Pose, size_px: int) -> None:
    half = int(np.ceil(pose.radius.max() * REACH)) + 2
    corner = np.floor(pose.center).astype(int) - half
    steps = np.arange(2 * half)
    xs, ys = corner[:, 0, None] + steps, corner[:, 1, None] + steps
    shape = (len(corner), 2 * half, 2 * half)
    grid = np.stack([np.broadcast_to(xs[:, None], shape), np.broadcast_to(ys[:, :, None], shape)], -1)
    u = pose.to_unit(grid.astype(np.float32) + 0.5)
    alpha = np.clip(0.5 - _distance(sprite.shape, u) * pose.radius[:, None, None], 0, 1)
    view = (grid + 0.5 - pose.center[:, None, None]) / pose.radius[:, None, None, None]
    shade = np.clip(0.84 + 0.2 * (view @ LIGHT), 0.55, 1.06) * _pattern(sprite, u)
    rgb = np.array(colorsys.hsv_to_rgb(HUES[sprite.color] / 360, sprite.saturation, sprite.value), np.float32)
    for t, (x0, y0) in enumerate(corner):
        left, top = max(0, x0), max(0, y0)
        right, bottom = min(size_px, x0 + 2 * half), min(size_px, y0 + 2 * half)
        if left >= right or top >= bottom:
            continue
        inner = (slice(top - y0, bottom - y0), slice(left - x0, right - x0))
        weight = alpha[t][inner][..., None]
        target = frames[t, top:bottom, left:right]
        target += weight * (shade[t][inner][..., None] * rgb - target)


def _background(scene: Scene, camera: Camera, size_px: int) -> Array:
    num_frames = len(camera.zoom)
    moving = bool(np.ptp(camera.offset, axis=0).any() or np.ptp(camera.zoom))
    count = num_frames if moving else 1
    axis = np.arange(size_px, dtype=np.float32) + 0.5
    middle = size_px / 2
    x = (axis[None, None, :] - middle) / camera.zoom[:count, None, None] + middle + camera.offset[:count, 0, None, None]
    y = (axis[None, :, None] - middle) / camera.zoom[:count, None, None] + middle + camera.offset[:count, 1, None, None]
    along = (x * np.cos(scene.background_angle) + y * np.sin(scene.background_angle)) / size_px
    mix = 0.5 + 0.5 * np.sin(np.pi * (along - 0.3))
    low, high = scene.background_colors
    frames = low + (high - low) * mix[..., None]
    for bx, by, sigma, *step in scene.blobs:
        weight = np.exp(-((x - bx) ** 2 + (y - by) ** 2) / (2 * sigma**2))
        frames = frames + weight[..., None] * np.array(step, np.float32)
    for kx, ky, phase, amplitude, tilt in scene.texture:
        wave = amplitude * np.sin(kx * x + ky * y + phase)
        frames = frames + wave[..., None] * np.array([1 + tilt, 1, 1 - tilt], np.float32)
    frames = np.clip(frames, 0.04, 0.96).astype(np.float32)
    return np.array(np.broadcast_to(frames, (num_frames, size_px, size_px, 3)))


def _ramp(num_frames: int, start: float, stop: float) -> Array:
    """0 before frame `start`, 1 after `stop`, smooth in between: an effect sets in and stays."""
    u = np.clip((np.arange(num_frames) - start) / (stop - start), 0, 1)
    return (u * u * (3 - 2 * u)).astype(np.float32)


def _rainbow(frames: Array, scene: Scene, size_px: int) -> Array:
    if scene.effect != "a rainbow":
        return frames
    rng = np.random.default_rng(scene.effect_seed)
    cx, cy = rng.uniform(0.3, 0.7) * size_px, rng.uniform(0.8, 1.1) * size_px
    radius, width = rng.uniform(0.55, 0.8) * size_px, 0.16 * size_px
    axis = np.arange(size_px, dtype=np.float32) + 0.5
    across = (np.hypot(axis[None, :] - cx, axis[:, None] - cy) - radius) / width + 0.5
    inside = np.clip(np.minimum(across, 1 - across) * 8, 0, 1)
    phase = 2 * np.pi * (across[..., None] * 0.85 - np.array([1.0, 0.65, 0.3], np.float32) + 0.1)
    bands = 0.78 + 0.2 * np.cos(phase)
    weight = 0.75 * inside[..., None] * _ramp(len(frames), 2, 32)[:, None, None, None]
    return (frames + weight * (bands - frames)).astype(np.float32)


def _weather(frames: Array, scene: Scene, size_px: int) -> Array:
    num_frames = len(frames)
    if scene.effect == "night falling":
        dim = 1 - 0.62 * _ramp(num_frames, 2, 40)
        tint = 1 - (1 - dim[:, None]) * np.array([1.0, 0.97, 0.8], np.float32)
        return frames * tint[:, None, None, :]
    if scene.effect != "snow":
        return frames
    rng = np.random.default_rng(scene.effect_seed)
    unit = size_px / 128
    for _ in range(16):
        x0, y0 = rng.uniform(0, size_px, 2)
        speed, sway, radius = rng.uniform(1.2, 2.2) * unit, rng.uniform(0, 4) * unit, rng.uniform(2.0, 3.2) * unit
        # each flake enters from above: none is in the first frame
        times = np.arange(num_frames)
        y = (y0 + speed * times) % (size_px + 16) - 8
        entered = y0 + speed * times >= size_px + 8
        x = x0 + sway * np.sin(times / 9 + y0)
        half = int(radius) + 2
        for t in np.flatnonzero(entered):
            left, top = int(x[t]) - half, int(y[t]) - half
            rows = slice(max(0, top), max(0, min(size_px, top + 2 * half + 1)))
            columns = slice(max(0, left), max(0, min(size_px, left + 2 * half + 1)))
            target = frames[t, rows, columns]
            if not target.size:
                continue
            dy = np.arange(rows.start, rows.stop)[:, None] + 0.5 - y[t]
            dx = np.arange(columns.start, columns.stop)[None] + 0.5 - x[t]
            weight = np.clip(radius + 0.5 - np.hypot(dx, dy), 0, 1)[..., None]
            target += weight * (0.96 - target)
    return frames


def _ground_truth(
    scene: Scene, motion: Motion, poses: list[_Pose], size_px: int
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64], Array]:
    """points (t n 2), visibility (t n), owner (n), coverage (t s)."""
    rng = np.random.default_rng(scene.effect_seed)
    tracks: list[Array] = []
    owners: list[int] = []
    coverage = []
    for index, (sprite, pose) in enumerate(zip(scene.sprites, poses, strict=True)):
        inside = _interior(rng, sprite.shape, POINTS_PER_SPRITE - 1)
        tracks.append(pose.from_unit(np.concatenate([np.zeros((1, 2), np.float32), inside])))
        owners += [index] * POINTS_PER_SPRITE
        probe = pose.from_unit(_interior(rng, sprite.shape, COVERAGE_POINTS))
        coverage.append(_visible(probe, np.full(COVERAGE_POINTS, index), scene, poses, size_px).mean(1))
    axis = (np.arange(GRID_POINTS, dtype=np.float32) + 0.5) * size_px / GRID_POINTS
    grid = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    owner = np.full(len(grid), -1)
    first = [_Pose(pose.center[:1], pose.radius[:1], pose.angle[:1]) for pose in poses]
    for index, (sprite, pose) in enumerate(zip(scene.sprites, first, strict=True)):
        owner[_distance(sprite.shape, pose.to_unit(grid[None]))[0] < 0] = index
    world = np.repeat(grid[None], motion.num_frames, 0)
    on_background = motion.camera.to_view(world, size_px)
    # the camera of frame 0 is the identity, so a grid point of the view is the same point of the world
    for index, pose in enumerate(first):
        mine = owner == index
        on_background[:, mine] = poses[index].from_unit(pose.to_unit(grid[None, mine])[0])
    tracks.append(on_background.astype(np.float32))
    owners += owner.tolist()
    points = np.concatenate(tracks, 1)
    all_owners = np.array(owners, np.int64)
    visibility = _visible(points, all_owners, scene, poses, size_px)
    shares = np.stack(coverage, 1).astype(np.float32) if coverage else np.zeros((motion.num_frames, 0), np.float32)
    return points, visibility, all_owners, shares


def _interior(rng: np.random.Generator, shape: str, count: int) -> Array:
    candidates = rng.uniform(-1, 1, (40 * count, 2)).astype(np.float32)
    return candidates[_distance(shape, candidates) < -0.08][:count]


def _visible(
    points: Array, owner: NDArray[np.int64], scene: Scene, poses: list[_Pose], size_px: int
) -> NDArray[np.bool_]:
    """Points (t n 2) that lie in the frame and under no sprite in front of their owner."""
    visible = np.all((points >= 0) & (points < size_px), axis=-1)
    for index, (sprite, pose) in enumerate(zip(scene.sprites, poses, strict=True)):
        covered = _distance(sprite.shape, pose.to_unit(points)) < 0
        visible &= ~(covered & (owner < index)[None])
    return visible
