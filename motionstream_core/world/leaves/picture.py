"""Still pictures: dead leaves, each filled with fractal noise, stripes or a gradient in the picture's own colours."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

RADIUS_POWER = 3.0  # density of radii ~ r^-3: the picture looks the same at every scale
SMALLEST_PX = 2.5
NUM_TEXTURES = 5


def leaves_picture(rng: np.random.Generator, height: int, width: int) -> Array:
    """A picture (h w 3) in [0, 1]: leaves laid over one another until the ground is covered, lit from one side."""
    palette = _palette(rng)
    textures = [_texture(rng, height, width) for _ in range(NUM_TEXTURES)]
    picture = _filled(rng, palette, textures, (height, width), (0, 0))
    largest = float(rng.uniform(0.15, 0.6)) * min(height, width)
    for radius in _radii(rng, int(rng.integers(60, 400)), largest):
        _lay(rng, picture, palette, textures, radius)
    return _lit(rng, picture)


def _palette(rng: np.random.Generator) -> list[Array]:
    """Colours near one or two hues, mostly dull, from dark to bright: as photos have them."""
    hues = rng.uniform(0, 1, int(rng.integers(1, 4)))
    colors = []
    for _ in range(int(rng.integers(3, 8))):
        hue = float(rng.choice(hues) + rng.normal(0, 0.04)) % 1
        saturation = float(rng.beta(1.2, 3.5))
        colors.append(np.array(colorsys.hsv_to_rgb(hue, saturation, float(rng.beta(1.3, 1.2))), np.float32))
    return colors


def _texture(rng: np.random.Generator, height: int, width: int) -> Array:
    """A field (h w) of zero mean and unit deviation: fractal noise, or stripes bent by it."""
    noise = _fractal(rng, height, width, float(rng.uniform(0.8, 2.2)))
    if rng.random() > 0.3:
        return noise
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), np.exp(rng.uniform(np.log(4), np.log(30)))
    phase = 2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 2) * noise
    stripes = np.tanh(float(rng.uniform(0.5, 4)) * np.sin(phase))
    return (stripes / stripes.std()).astype(np.float32)


def _fractal(rng: np.random.Generator, height: int, width: int, slope: float) -> Array:
    """Noise whose amplitude falls with frequency as f^-slope."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.sqrt((rows * height) ** 2 + (columns * width) ** 2)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) * frequency**-slope
    noise = np.fft.irfft2(spectrum, (height, width))
    return (noise / noise.std()).astype(np.float32)


def _radii(rng: np.random.Generator, count: int, largest: float) -> NDArray[np.float64]:
    """Radii in px of density r^-3 between the smallest and the largest, in the order in which they are laid."""
    low, high = SMALLEST_PX ** (1 - RADIUS_POWER), largest ** (1 - RADIUS_POWER)
    return (low + rng.uniform(0, 1, count) * (high - low)) ** (1 / (1 - RADIUS_POWER)) * rng.uniform(1, 3)


def outline(rng: np.random.Generator, x: Array, y: Array) -> Array:
    """How far (x, y), in radii, lies inside a random shape: positive inside, about in radii near the edge."""
    angle = rng.uniform(0, 2 * np.pi)
    aspect, cos, sin = np.float32(np.exp(rng.uniform(-0.5, 0.5))), np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x, y = np.multiply(x * cos + y * sin, aspect), np.divide(y * cos - x * sin, aspect)
    kind = rng.random()
    if kind < 0.35:
        return np.float32(1) - np.hypot(x, y)
    if kind < 0.55:
        return np.float32(0.85) - np.maximum(np.abs(x), np.abs(y))
    if kind < 0.7:
        corners = int(rng.integers(3, 7))
        around = (np.arctan2(y, x) + np.pi) % (2 * np.pi / corners) - np.pi / corners
        return (0.8 - np.hypot(x, y) * np.cos(around)).astype(np.float32)
    theta = np.arctan2(y, x)
    edge = 1 + sum(float(rng.normal(0, 0.35 / n)) * np.cos(n * theta + rng.uniform(0, 2 * np.pi)) for n in (2, 3, 5))
    return (0.9 * edge - np.hypot(x, y)).astype(np.float32)


def _lay(rng: np.random.Generator, picture: Array, palette: list[Array], textures: list[Array], radius: float) -> None:
    """Draw one leaf into the picture, in place."""
    height, width = picture.shape[:2]
    cx, cy = rng.uniform(0, width), rng.uniform(0, height)
    reach = 1.7 * radius
    x0, x1 = max(0, int(cx - reach)), min(width, int(cx + reach) + 2)
    y0, y1 = max(0, int(cy - reach)), min(height, int(cy + reach) + 2)
    if x1 <= x0 or y1 <= y0:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    inside = outline(rng, (x - np.float32(cx)) / np.float32(radius), (y - np.float32(cy)) / np.float32(radius))
    alpha = np.clip(inside * radius + 0.5, 0, 1)[..., None]
    fill = _filled(rng, palette, textures, (y1 - y0, x1 - x0), (y0, x0))
    window = picture[y0:y1, x0:x1]
    window += alpha * (fill - window)


def _filled(
    rng: np.random.Generator,
    palette: list[Array],
    textures: list[Array],
    size: tuple[int, int],
    corner: tuple[int, int],
) -> Array:
    """A window (h w 3) of a colour, with a gradient and one of the textures over it; corner: its place (y, x)."""
    height, width = size
    base = palette[int(rng.integers(len(palette)))] + rng.normal(0, 0.04, 3).astype(np.float32)
    texture = textures[int(rng.integers(len(textures)))][corner[0] : corner[0] + height, corner[1] : corner[1] + width]
    strength = float(rng.choice([0.0, 0.03, 0.08, 0.16], p=[0.25, 0.35, 0.25, 0.15]))
    tint = rng.normal(1, 0.35, 3).astype(np.float32) * strength
    slope = rng.normal(0, 0.12, 2) / max(height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    gradient = ((x - width / 2) * slope[0] + (y - height / 2) * slope[1]).astype(np.float32)
    return base + gradient[..., None] + texture[..., None] * tint


def _lit(rng: np.random.Generator, picture: Array) -> Array:
    """Slightly soft, and brighter on one side, as a lens and a lamp make it."""
    height, width = picture.shape[:2]
    if rng.random() < 0.7:
        share = float(rng.uniform(0.05, 0.22))
        for axis in (0, 1):
            beside = np.roll(picture, 1, axis) + np.roll(picture, -1, axis)
            picture = ((1 - 2 * share) * picture + share * beside).astype(np.float32)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    angle, depth = rng.uniform(0, 2 * np.pi), float(rng.uniform(0, 0.25))
    light = 1 + depth * (x * np.cos(angle) + y * np.sin(angle))
    return np.clip(picture * light[..., None], 0, 1).astype(np.float32)
