"""Clips: layers of dead leaves that move over each other, and the ground truth that goes with them.

A layer is a picture with an outline and, for every frame, a homography from its own px to the frame's, and a slow
elastic wave in its own px. Frames, points and visibility all come from these, so tracks are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from .picture import Array, leaves_picture, outline

MARGIN = 1.5  # a background's side, in sides of the frame: what a camera may pan over
POINTS_PER_CUTOUT = 9
GRID_POINTS = 10
WAVES = 2
INVERSE_STEPS = 12  # of the fixed point that follows a point through the elastic wave; each gains two digits or more


@dataclass(frozen=True)
class Layer:
    """rgb (h w 3) and alpha (h w) in [0, 1]; to_frame (t 3 3), homographies from its px to the frame's; points (n 2).

    wave_vectors (w 2) rad per px, wave_phases (w), wave_amplitudes (t w 2) px: the layer's px u shows what lies at
    u + sum of amplitude * sin(vector . u + phase). Pixel centres are whole numbers.
    """

    rgb: Array
    alpha: Array
    to_frame: NDArray[np.float64]
    points: NDArray[np.float64]
    wave_vectors: NDArray[np.float64]
    wave_phases: NDArray[np.float64]
    wave_amplitudes: NDArray[np.float64]

    @property
    def endless(self) -> bool:
        """Whether it fills the frame wherever the camera looks: a background."""
        return bool(self.alpha.min() == 1)

    def bent(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """What lies where: px (t n 2) of the picture that are shown at px (t n 2) of the bent layer."""
        phase = np.sin(position @ self.wave_vectors.T + self.wave_phases)  # t n w
        return position + phase @ self.wave_amplitudes

    def followed(self) -> NDArray[np.float64]:
        """Where the layer's points lie in every frame: (t n 2) px."""
        num_frames = len(self.to_frame)
        target = np.broadcast_to(self.points, (num_frames, *self.points.shape))
        position = target
        for _ in range(INVERSE_STEPS):
            position = position + target - self.bent(position)
        return _moved(position, self.to_frame)


@dataclass(frozen=True)
class LeavesScene:
    """Layers from the background to the front, and the light (t) that multiplies every frame."""

    layers: tuple[Layer, ...]
    light: NDArray[np.float64]
    size_px: int


@dataclass(frozen=True)
class LeavesClip:
    """frames: uint8 (t h w 3). points (t n 2) px, visibility bool (t n): in the frame and not covered.

    owner (n): the layer that carries a point; 0 is the background, whose points are a grid over frame 0.
    """

    frames: NDArray[np.uint8]
    points: Array
    visibility: NDArray[np.bool_]
    owner: NDArray[np.int64]


def sample_leaves(rng: np.random.Generator, num_frames: int, size_px: int = 128) -> LeavesScene:
    """A background, still or under a moving camera, at times a nearer layer, and one to three cut-outs."""
    time = np.linspace(0, 1, num_frames)
    camera = _camera(rng, time, size_px)
    layers = [_background(rng, camera, size_px)]
    if rng.random() < 0.25:
        layers.append(_cutout(rng, time, camera, size_px, float(rng.uniform(0.35, 0.7)), drift=0.0, parallax=True))
    for _ in range(int(rng.integers(1, 4))):
        layers.append(_cutout(rng, time, camera, size_px, float(rng.uniform(0.1, 0.32)), drift=1.0))
    light = 1 + (_smooth(rng, time, 0.25) if rng.random() < 0.2 else np.zeros(num_frames))
    return LeavesScene(tuple(layers), np.clip(light, 0.4, 1.5), size_px)


def render_leaves(scene: LeavesScene, frames: slice = slice(None)) -> LeavesClip:
    """Draw the scene's frames, or some of them, and follow its points."""
    lights = scene.light[frames]
    size, count = scene.size_px, len(lights)
    picture = torch.zeros(count, 3, size, size)
    layers = [_cut(layer, frames) for layer in scene.layers]
    for layer in layers:
        drawn = _drawn(layer, size)
        picture = picture * (1 - drawn[:, 3:]) + drawn[:, :3]  # colours are premultiplied
    shown = (picture * torch.from_numpy(lights).float().view(-1, 1, 1, 1)).clamp(0, 1)
    points = [layer.followed() for layer in layers]
    visible = []
    for index, own in enumerate(points):
        inside = ((own >= -0.5) & (own < size - 0.5)).all(-1)
        for other in layers[index + 1 :]:
            inside &= _alpha_at(other, own) < 0.5
        visible.append(inside)
    return LeavesClip(
        frames=(shown * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy(),
        points=np.concatenate(points, axis=1).astype(np.float32),
        visibility=np.concatenate(visible, axis=1),
        owner=np.repeat(np.arange(len(layers)), [own.shape[1] for own in points]),
    )


def _cut(layer: Layer, frames: slice) -> Layer:
    parts = layer.to_frame[frames], layer.points, layer.wave_vectors, layer.wave_phases, layer.wave_amplitudes[frames]
    return Layer(layer.rgb, layer.alpha, *parts)


# --- sampling


def _smooth(rng: np.random.Generator, time: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """A smooth random course over the clip, 0 at its start, of about `size` in all."""
    line = rng.normal(0, 1) * time
    swing = rng.normal(0, 0.5) * (np.sin(rng.uniform(1, 6) * time + (p := rng.uniform(0, 6))) - np.sin(p))
    return size * (line + swing)


def _camera(rng: np.random.Generator, time: NDArray[np.float64], size_px: int) -> NDArray[np.float64]:
    """Homographies (t 3 3) from the world's px, frame 0's, to each frame's: none, a pan, a zoom, a roll, or all."""
    if rng.random() < 0.4:
        return np.broadcast_to(np.eye(3), (len(time), 3, 3))
    reach = 0.25 * size_px
    shift = np.stack([np.clip(_smooth(rng, time, 0.15 * size_px), -reach, reach) for _ in range(2)], axis=-1)
    zoom = np.exp(np.clip(_smooth(rng, time, 0.2), -0.05, 0.6)) if rng.random() < 0.5 else np.ones(len(time))
    roll = np.clip(_smooth(rng, time, 0.08), -0.12, 0.12) if rng.random() < 0.3 else np.zeros(len(time))
    return _similarity(np.full(2, (size_px - 1) / 2), shift, zoom, roll)


def _similarity(
    center: NDArray[np.float64],
    shift: NDArray[np.float64],
    zoom: NDArray[np.float64],
    roll: NDArray[np.float64],
    shear: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """(t 3 3): zoom, roll and, where it is given, an affine stretch (t 2 2) about `center` (2), then a shift (t 2)."""
    turn = np.stack([np.stack([np.cos(roll), -np.sin(roll)], -1), np.stack([np.sin(roll), np.cos(roll)], -1)], -2)
    linear = zoom[:, None, None] * (turn if shear is None else turn @ shear)
    matrix = np.broadcast_to(np.eye(3), (len(zoom), 3, 3)).copy()
    matrix[:, :2, :2] = linear
    matrix[:, :2, 2] = center + shift - linear @ center
    return matrix


def _background(rng: np.random.Generator, camera: NDArray[np.float64], size_px: int) -> Layer:
    side = int(MARGIN * size_px)
    offset = (side - size_px) / 2
    to_world = np.array([[1, 0, -offset], [0, 1, -offset], [0, 0, 1.0]])
    line = (np.arange(GRID_POINTS) + 0.5) * size_px / GRID_POINTS + offset - 0.5
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return Layer(
        leaves_picture(rng, side, side),
        np.ones((side, side), np.float32),
        camera @ to_world,
        points,
        *_waves(rng, len(camera), side, 0.0),
    )


def _waves(
    rng: np.random.Generator, num_frames: int, side: int, size_px: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Vectors, phases and amplitudes of the elastic wave; gentle enough that no px is shown twice."""
    time = np.linspace(0, 1, num_frames)
    vectors = rng.normal(0, 1, (WAVES, 2)) * 2 * np.pi / (1.5 * side)
    course = [[_smooth(rng, time, size_px) for _ in range(2)] for _ in range(WAVES)]
    limit = 0.25 / (WAVES * np.maximum(np.linalg.norm(vectors, axis=1), 1e-6))
    amplitudes = np.array(course).transpose(2, 0, 1)
    return vectors, rng.uniform(0, 2 * np.pi, WAVES), np.clip(amplitudes, -limit[:, None], limit[:, None])


def _cutout(
    rng: np.random.Generator,
    time: NDArray[np.float64],
    camera: NDArray[np.float64],
    size_px: int,
    radius_share: float,
    drift: float,
    parallax: bool = False,
) -> Layer:
    """A shape cut out of a picture of its own; it moves with the world and, by `drift`, on its own way."""
    radius = radius_share * size_px
    side = int(2 * 1.6 * radius) + 4
    y, x = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    alpha = np.clip(outline(rng, x / np.float32(radius), y / np.float32(radius)) * radius + 0.5, 0, 1)
    inside = np.argwhere(alpha >= 1)[:, ::-1].astype(np.float64)
    place = rng.uniform(0.12, 0.88, 2) * size_px - (side - 1) / 2
    to_world = np.broadcast_to(np.array([[1, 0, place[0]], [0, 1, place[1]], [0, 0, 1.0]]), (len(time), 3, 3))
    center = place + (side - 1) / 2
    shift = np.stack([_smooth(rng, time, drift * 0.35 * size_px) for _ in range(2)], axis=-1)
    zoom = np.exp(np.clip(_smooth(rng, time, drift * 0.25), -0.6, 0.6))
    roll = _smooth(rng, time, drift * float(rng.choice([0.0, 0.4, 1.2])))
    stretch = np.clip(np.stack([_smooth(rng, time, drift * 0.15) for _ in range(2)], -1), -0.4, 0.4)
    shear = np.zeros((len(time), 2, 2))
    shear[:, 0, 0], shear[:, 1, 1] = np.exp(stretch[:, 0]), np.exp(-stretch[:, 0])
    shear[:, 0, 1] = stretch[:, 1]
    own = _similarity(center, shift, zoom, roll, shear)
    tilt = np.broadcast_to(np.eye(3), own.shape).copy()
    bend = np.stack([np.clip(_smooth(rng, time, drift * 0.15), -0.3, 0.3) for _ in range(2)], -1) / side
    tilt[:, 2, :2] = bend
    tilt[:, 2, 2] = 1 - (bend * (side - 1) / 2).sum(-1)  # the middle stays at its distance
    seen = _nearer(camera, float(rng.uniform(1.1, 1.6))) if parallax else camera
    picks = rng.choice(len(inside), POINTS_PER_CUTOUT) if len(inside) else np.zeros(0, int)
    points = inside[picks] if len(inside) else np.full((POINTS_PER_CUTOUT, 2), (side - 1) / 2)
    return Layer(
        leaves_picture(rng, side, side),
        alpha.astype(np.float32),
        seen @ own @ to_world @ tilt,
        points,
        *_waves(rng, len(time), side, drift * float(rng.choice([0.0, 0.04])) * side),
    )


def _nearer(camera: NDArray[np.float64], factor: float) -> NDArray[np.float64]:
    """The same camera over a nearer layer: its shifts count for more."""
    near = camera.copy()
    near[:, :2, 2] *= factor
    return near


# --- drawing


def _moved(points: NDArray[np.float64], matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (t n 2) through homographies (t 3 3)."""
    ones = np.ones((*points.shape[:-1], 1))
    moved = np.concatenate([points, ones], axis=-1) @ matrices.transpose(0, 2, 1)
    return moved[..., :2] / moved[..., 2:]


def _sources(layer: Layer, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Px (t n 2) of the layer's picture that are shown at px (t n 2) of the frames."""
    return layer.bent(_moved(pixels, np.linalg.inv(layer.to_frame).astype(np.float64)))


def _sampled(image: Tensor, sources: NDArray[np.float64], endless: bool) -> Tensor:
    """(t c n): image (c h w) at (t n 2) px; outside it nothing, or the image mirrored where it is endless."""
    height, width = image.shape[1:]
    grid = torch.from_numpy(sources * 2 / np.array([width - 1, height - 1]) - 1).float()[:, None]
    expanded = image[None].expand(len(grid), -1, -1, -1)
    return F.grid_sample(
        expanded, grid, mode="bilinear", padding_mode="reflection" if endless else "zeros", align_corners=True
    )[:, :, 0]


def _drawn(layer: Layer, size_px: int) -> Tensor:
    """Premultiplied colours and alpha (t 4 h w) of a layer in every frame."""
    y, x = np.mgrid[:size_px, :size_px].astype(np.float64)
    pixels = np.broadcast_to(np.stack([x.ravel(), y.ravel()], -1), (len(layer.to_frame), size_px**2, 2))
    rgba = np.concatenate([layer.rgb * layer.alpha[..., None], layer.alpha[..., None]], axis=-1)
    sampled = _sampled(torch.from_numpy(rgba).permute(2, 0, 1).contiguous(), _sources(layer, pixels), layer.endless)
    return sampled.unflatten(2, (size_px, size_px))


def _alpha_at(layer: Layer, points: NDArray[np.float64]) -> NDArray[np.float32]:
    """How much a layer covers of px (t n 2) of the frames."""
    return _sampled(torch.from_numpy(layer.alpha)[None], _sources(layer, points), layer.endless)[:, 0].numpy()
