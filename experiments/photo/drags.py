"""Clips of drags: cut-outs of dead leaves that a few points move, as a hand moves them over a picture.

Unlike the clips of `world.leaves`, everything that moves is told, most cameras stand still, and a clip costs a few
hundredths of a second, since pictures are made once and cut, turned and tinted anew for every clip. What a drag moves
is marked, so that a loss may look at it. Every clip is a pure function of the pictures and of its generator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from motionstream_core.world import LEVELS, Motion, render, sample_motion, sample_scene
from motionstream_core.world.leaves import leaves_picture
from motionstream_core.world.leaves.picture import outline

Array = NDArray[np.float32]
Matrices = NDArray[np.float64]

PICTURE_PX = 192
POINTS = 9
GRID_POINTS = 8
PLAIN_SHARE = 0.12  # of the clips, that show the plain world


@dataclass(frozen=True)
class DragClip:
    """frames: uint8 (t h w 3); points (t n 2) px and visibility bool (t n), POINTS an object, then a grid.

    owner (n): the object that carries a point, -1 for the background; moves: bool, for each object and, last, for the
    background. moved (t h w): share of a pixel that a moving object covers.
    """

    frames: NDArray[np.uint8]
    points: Array
    visibility: NDArray[np.bool_]
    owner: NDArray[np.int64]
    moves: NDArray[np.bool_]
    moved: Array


@dataclass(frozen=True)
class Cutout:
    """A picture (h w 3), its outline (h w) and, for every frame, a homography (t 3 3) from its px to the frame's."""

    rgb: Array
    alpha: Array
    to_frame: Matrices
    points: NDArray[np.float64]
    moves: bool


def draw_pictures(rng: np.random.Generator, count: int) -> list[Array]:
    """Pictures to cut from."""
    return [leaves_picture(rng, PICTURE_PX, PICTURE_PX) for _ in range(count)]


def draw_drag(rng: np.random.Generator, pictures: list[Array], num_frames: int, size_px: int) -> DragClip:
    """A clip of either world."""
    if rng.random() < PLAIN_SHARE:
        return _plain(rng, num_frames, size_px)
    ground = varied(rng, pictures)
    camera = _camera(rng, num_frames, size_px) if rng.random() < 0.15 else _standing(num_frames)
    count = int(rng.choice(3, p=[0.55, 0.33, 0.12])) + 1
    moving = rng.random(count) < 0.85
    if rng.random() < 0.93:
        moving[int(rng.integers(count))] = True
    cutouts = []
    for moves in moving:
        rgb = ground if rng.random() < 0.3 else varied(rng, pictures)
        cutouts.append(_cutout(rng, rgb, camera, num_frames, size_px, bool(moves)))
    clip = composed(_background(rng, ground, camera, size_px), cutouts, size_px)
    return _let_go(clip, int(rng.integers(num_frames // 3, num_frames))) if rng.random() < 0.15 else clip


def _let_go(clip: DragClip, frame: int) -> DragClip:
    """The same clip, but from `frame` on nothing moves any more, and nothing is told."""
    shown = np.minimum(np.arange(len(clip.frames)), frame)
    visibility = clip.visibility[shown]
    visibility[frame + 1 :] = False
    return replace(
        clip, frames=clip.frames[shown], points=clip.points[shown], visibility=visibility, moved=clip.moved[shown]
    )


def composed(background: Cutout, cutouts: list[Cutout], size_px: int) -> DragClip:
    """Draw the cut-outs over the background, the last one in front, and follow their points."""
    num_frames = len(background.to_frame)
    frames = np.stack([_warped(background.rgb, m, size_px, cv2.BORDER_REFLECT_101) for m in background.to_frame])
    covers = []
    moved = np.zeros(frames.shape[:3], np.float32)
    for cutout in cutouts:
        rgba = np.concatenate([cutout.rgb * cutout.alpha[..., None], cutout.alpha[..., None]], axis=-1)
        drawn = np.stack([_warped(rgba, m, size_px, cv2.BORDER_CONSTANT) for m in cutout.to_frame])
        cover = drawn[..., 3]
        frames = frames * (1 - cover[..., None]) + drawn[..., :3]
        moved = moved * (1 - cover) + cover * cutout.moves
        covers.append(cover)
    points, visibility = [], []
    for index, layer in enumerate([*cutouts, background]):
        own = _followed(layer)
        inside = ((own >= -0.5) & (own < size_px - 0.5)).all(-1)
        x, y = (own.round().astype(int).clip(0, size_px - 1)[..., axis] for axis in (0, 1))
        for cover in covers[index + 1 :] if layer is not background else covers:
            inside &= cover[np.arange(num_frames)[:, None], y, x] < 0.5
        points.append(own + 0.5)  # from centres at whole numbers, as OpenCV has them, to ours
        visibility.append(inside)
    counts = [each.shape[1] for each in points]
    return DragClip(
        frames=(frames.clip(0, 1) * 255 + 0.5).astype(np.uint8),
        points=np.concatenate(points, axis=1).astype(np.float32),
        visibility=np.concatenate(visibility, axis=1),
        owner=np.repeat([*range(len(cutouts)), -1], counts),
        moves=np.array([*(cutout.moves for cutout in cutouts), background.moves]),
        moved=moved,
    )


def hand_path(rng: np.random.Generator, num_frames: int, size_px: int, start: NDArray[np.float64]) -> Matrices:
    """Shifts (t 2) px of a hand's drag: some strokes, each slow at both ends, now and then a rest; it stays inside."""
    shift, at, time = np.zeros((num_frames, 2)), np.zeros(2), 0
    if rng.random() < 0.3:
        time = int(rng.integers(0, num_frames // 4))
    while time < num_frames:
        length = int(rng.integers(8, 36))
        angle = rng.uniform(0, 2 * np.pi)
        reach = min(float(rng.uniform(0.08, 0.5)) * size_px, 2.6 * length)
        goal = at + reach * np.array([np.cos(angle), np.sin(angle)])
        goal = np.clip(start + goal, 0.12 * size_px, 0.88 * size_px) - start
        share = np.clip(np.arange(1, length + 1) / length, 0, 1)
        ease = share**3 * (10 - 15 * share + 6 * share**2) if rng.random() < 0.6 else share
        stop = min(num_frames, time + length)
        shift[time:stop] = (at + ease[:, None] * (goal - at))[: stop - time]
        shift[stop:] = shift[stop - 1]
        at, time = shift[stop - 1], stop + (int(rng.integers(0, 10)) if rng.random() < 0.3 else 0)
    return shift


def posed(
    center: NDArray[np.float64], shift: Matrices, roll: Matrices, zoom: Matrices, side: Array | float
) -> Matrices:
    """Homographies (t 3 3) of a cut-out whose middle px lies at `center` of frame 0, turned and scaled about it."""
    matrices = np.zeros((len(shift), 3, 3))
    cos, sin = zoom * np.cos(roll), zoom * np.sin(roll)
    matrices[:, 0, 0], matrices[:, 0, 1], matrices[:, 1, 0], matrices[:, 1, 1] = cos, -sin, sin, cos
    middle = np.full(2, (float(side) - 1) / 2)
    matrices[:, :2, 2] = center + shift - matrices[:, :2, :2] @ middle
    matrices[:, 2, 2] = 1
    return matrices


def _smooth(rng: np.random.Generator, num_frames: int, size: float) -> NDArray[np.float64]:
    """A smooth course from 0, of about `size` in all."""
    time = np.linspace(0, 1, num_frames)
    phase = rng.uniform(0, 6)
    return size * (rng.normal(0, 1) * time + rng.normal(0, 0.5) * (np.sin(4 * time + phase) - np.sin(phase)))


def _standing(num_frames: int) -> Matrices:
    return np.broadcast_to(np.eye(3), (num_frames, 3, 3))


def _camera(rng: np.random.Generator, num_frames: int, size_px: int) -> Matrices:
    seconds = num_frames / 49
    pan = [np.clip(_smooth(rng, num_frames, 0.15 * size_px * seconds), -0.2 * size_px, 0.2 * size_px) for _ in range(2)]
    zoom = np.exp(np.clip(_smooth(rng, num_frames, 0.15 * seconds), -0.05, 0.5) * (rng.random() < 0.5))
    middle = np.full(2, (size_px - 1) / 2)
    return posed(middle, np.stack(pan, -1), np.zeros(num_frames), zoom, size_px)


def varied(rng: np.random.Generator, pictures: list[Array]) -> Array:
    """One of the pictures, (h w 3), mirrored, turned, its colours exchanged and its light changed."""
    picture = np.rot90(pictures[int(rng.integers(len(pictures)))], int(rng.integers(4)))
    picture = picture[:, ::-1] if rng.random() < 0.5 else picture
    if rng.random() < 0.7:
        picture = picture[..., rng.permutation(3)]
    gain = rng.uniform(0.7, 1.2) * rng.uniform(0.9, 1.1, 3)
    return np.ascontiguousarray(((picture - 0.5) * gain + 0.5 + rng.uniform(-0.12, 0.12)).clip(0, 1), np.float32)


def _background(rng: np.random.Generator, rgb: Array, camera: Matrices, size_px: int) -> Cutout:
    low = (np.array(rgb.shape[:2]) - size_px) // 2
    x, y = (int(rng.integers(max(0, low[0] - 12), low[0] + 13)) for _ in range(2))
    to_world = np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    line = (np.arange(GRID_POINTS) + 0.5) * size_px / GRID_POINTS - 0.5
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + np.array([x, y])
    moves = bool(np.abs(camera[-1] - camera[0]).max() > 1)
    return Cutout(rgb, np.ones(rgb.shape[:2], np.float32), camera @ to_world, grid, moves)


def _cutout(
    rng: np.random.Generator, rgb: Array, camera: Matrices, num_frames: int, size_px: int, moves: bool
) -> Cutout:
    radius = float(rng.uniform(11, 34)) * min(1.0, size_px / 112)
    side = min(int(3.2 * radius) + 4, min(rgb.shape[:2]))
    y0, x0 = (int(rng.integers(0, length - side + 1)) for length in rgb.shape[:2])
    piece = rgb[y0 : y0 + side, x0 : x0 + side]
    y, x = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    alpha = np.clip(outline(rng, x / np.float32(radius), y / np.float32(radius)) * radius + 0.5, 0, 1)
    inside = np.argwhere(alpha >= 1)[:, ::-1].astype(np.float64)
    points = inside[rng.choice(len(inside), POINTS)] if len(inside) else np.full((POINTS, 2), (side - 1) / 2)
    center = rng.uniform(0.2, 0.8, 2) * size_px
    shift, roll, zoom = np.zeros((num_frames, 2)), np.zeros(num_frames), np.ones(num_frames)
    seconds = num_frames / 49
    if moves:
        shift = hand_path(rng, num_frames, size_px, center)
        if rng.random() < 0.35:
            roll = _smooth(rng, num_frames, float(rng.choice([0.3, 1.0])) * seconds)
        if rng.random() < 0.25:
            zoom = np.exp(np.clip(_smooth(rng, num_frames, 0.25 * seconds), -0.5, 0.5))
    return Cutout(piece, alpha.astype(np.float32), camera @ posed(center, shift, roll, zoom, side), points, moves)


def _warped(image: Array, matrix: NDArray[np.float64], size_px: int, border: int) -> Array:
    return cv2.warpPerspective(image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=border)  # type: ignore[return-value]


def _followed(cutout: Cutout) -> NDArray[np.float64]:
    homogeneous = np.concatenate([cutout.points, np.ones((len(cutout.points), 1))], axis=-1)
    moved = homogeneous @ cutout.to_frame.transpose(0, 2, 1)
    return moved[..., :2] / moved[..., 2:]


def _plain(rng: np.random.Generator, num_frames: int, size_px: int) -> DragClip:
    """A clip of the plain world without its effects."""
    level = LEVELS["plain"]
    scene = replace(sample_scene(rng, level, size_px), effect="still air")
    motion = sample_motion(rng, scene, level, num_frames, size_px)
    clip = render(scene, motion, size_px)
    empty = render(replace(scene, sprites=()), Motion((), motion.camera), size_px)
    moved = np.abs(clip.frames.astype(np.float32) - empty.frames).max(-1) > 12
    return DragClip(
        clip.frames,
        clip.points.astype(np.float32),
        clip.visibility,
        clip.owner,
        np.array([True] * len(scene.sprites) + [False]),
        moved.astype(np.float32),
    )
