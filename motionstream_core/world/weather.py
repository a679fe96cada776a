"""What words do to a clip of any world: its light changes, and snow or rain falls before it.

Everything is so made that a causal model can learn it by looking at the frames before: light comes and goes at a
constant rate, and where a drop or a flake has been says where it will be. Where a new one begins nothing before tells,
and a loss against one true clip would average it away. So the noise that a model starts from decides it here: one
begins where the noise of a latent cell is high, strong where it is higher still. Noise stays Gaussian: a model that has
learnt what it means makes its own snow of any other. Noise and data coupled are Tong et al.'s idea (arXiv 2302.00482),
theirs by transport, this by rendering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry import VaeStride
from .scene import Array

Asked = Sequence[frozenset[str]]
"""Of every latent frame the words that are asked for, of `WORDS`."""

FRAMES_TO_CHANGE = 32
"""In so many frames light goes from what the picture has to what is asked, or back."""


@dataclass(frozen=True)
class Light:
    """Pixels times `gain` plus `lift`, for red, green and blue in [0, 1]."""

    gain: tuple[float, float, float]
    lift: tuple[float, float, float]


@dataclass(frozen=True)
class Falling:
    """What falls; lengths in px.

    sites: where in a latent cell (x, y) one may begin; channel: the noise's for the first of them, the next for the
    second, and so on. faint, full: of the noise there, above the one something begins, above the other in full
    strength. strength: how much of what is behind it covers. speed: px a frame. fade: what a frame leaves of it.
    length, width: of a drop with soft edges. color: red, green and blue in [0, 1].
    """

    sites: tuple[tuple[float, float], ...]
    channel: int
    faint: float
    full: float
    strength: float
    speed: float
    fade: float
    length: float
    width: float
    color: tuple[float, float, float]


LIGHTS = {
    "fog": Light((0.35, 0.35, 0.35), (0.50, 0.52, 0.54)),
    "sunset": Light((0.95, 0.68, 0.45), (0.08, 0.02, 0.0)),
    "night falling": Light((0.30, 0.36, 0.52), (0.0, 0.005, 0.03)),
}
"""In the order in which they are laid over a picture."""
FALLS = {
    "snow": Falling(((2, 2), (6, 2), (2, 6), (6, 6)), 0, 1.5, 3.2, 1.0, 2.0, 0.97, 0.0, 1.6, (0.97, 0.98, 1.0)),
    "rain": Falling(((2, 4), (6, 4)), 4, 1.4, 2.4, 0.8, 8.0, 0.84, 14.0, 0.8, (0.84, 0.88, 0.94)),
}
WORDS = (*FALLS, *LIGHTS)
BEGINS = (0.4, 0.6, 0.8, 1.0)
"""Strength of what falls in its first frames: nothing appears at once."""
GONE = 0.05
"""What is weaker is not drawn."""


def weathered(frames: Array, asked: Asked, noise: Array, stride: VaeStride) -> Array:
    """Frames (t h w 3) in [0, 1] under what is asked; the first one, which a model is given, stays as it is.

    noise (c f h w): the latents' noise of the same clip, of at least six channels; `Falling` says what it decides.
    """
    out = frames.astype(np.float32)
    for word, falling in FALLS.items():
        cover = _cover(falling, [word in words for words in asked], noise, stride, out.shape[:3])
        out = out + cover[..., None] * (np.asarray(falling.color, np.float32) - out)
    for word, light in LIGHTS.items():
        level = light_levels([word in words for words in asked], stride)[:, None, None, None]
        gain, lift = (np.asarray(values, np.float32) for values in (light.gain, light.lift))
        lit = out * gain + lift
        out = out + level * (lit - out)
    return out


def light_levels(asked: Sequence[bool], stride: VaeStride) -> Array:
    """How far a light has come (t), from 0 to 1, that is or is not asked for in every latent frame."""
    levels = [0.0]
    for wanted in asked[1:]:
        for _ in range(stride.time):
            levels.append(min(1.0, max(0.0, levels[-1] + (1 if wanted else -1) / FRAMES_TO_CHANGE)))
    return np.array(levels, np.float32)


def _cover(
    falling: Falling, asked: Sequence[bool], noise: Array, stride: VaeStride, size: tuple[int, int, int]
) -> Array:
    """Share (t h w) of every pixel that what falls is over."""
    num_frames, height, width = size
    cover = np.zeros(size, np.float32)
    starts, x, y, most = _begun(falling, asked, noise, stride)
    rows, columns = (np.arange(side, dtype=np.float32)[None] + 0.5 for side in (height, width))
    for frame in range(1, num_frames):
        age = frame - starts
        fading = np.take(BEGINS, age, mode="clip") * falling.fade ** np.maximum(age, 0)
        strength = np.where(age < 0, 0, most * fading).astype(np.float32)
        live = strength > GONE
        across = _soft(columns - x[live, None], 0.0, falling.width)
        down = _soft(rows - (y + falling.speed * age)[live, None], falling.length, falling.width)
        cover[frame] = (strength[live, None] * down).T @ across
    return falling.strength * cover.clip(0, 1)


def _begun(
    falling: Falling, asked: Sequence[bool], noise: Array, stride: VaeStride
) -> tuple[NDArray[np.int64], Array, Array, Array]:
    """Of everything that falls the frame in which it begins, where (x, y) px it does, and how strong it is, to 1."""
    wanted = np.array(asked) & (np.arange(len(asked)) > 0)
    here = noise[falling.channel : falling.channel + len(falling.sites)] * wanted[:, None, None]
    site, latent_frame, row, column = np.nonzero(here > falling.faint)
    strength = (here[site, latent_frame, row, column] - falling.faint) / (falling.full - falling.faint)
    sites = np.asarray(falling.sites, np.float32)
    x, y = (stride.space * cells + sites[site, axis] for axis, cells in ((0, column), (1, row)))
    return stride.time * (latent_frame - 1) + 1, x, y, strength.clip(0, 1)


def _soft(way: Array, length: float, width: float) -> Array:
    """1 along `length` px about 0, falling off beyond as a Gaussian of deviation `width`."""
    beyond = np.maximum(np.abs(way) - length / 2, 0)
    return np.exp(-0.5 * (beyond / width) ** 2)
