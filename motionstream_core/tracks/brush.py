"""Anti-aliased strokes and dots painted over an image: what draw.py draws with; it knows nothing of tracks but ids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLING = 4
_DARK = (16, 18, 24)
_FAR_PX = 1e5  # Pillow counts in 32-bit integers: points beyond this are drawn as if they lay here

_TILE_PX = 96

# Turns of the hue circle per id. Found by search: the first twelve ids of assign_ids(n, seed=0), which is what most
# drawings hold, lie at least 0.47 / n apart for every n up to 12. Any other number would do for correctness.
_HUE_STEP = 0.567483


@dataclass(frozen=True)
class Strokes:
    """`s` straight pieces of path: start and end float (s 2) px, color uint8 (s 3), width (s) px, opacity (s) 0..1."""

    start: np.ndarray
    end: np.ndarray
    color: np.ndarray
    width: np.ndarray
    opacity: np.ndarray

    def take(self, which: np.ndarray) -> Strokes:
        return Strokes(self.start[which], self.end[which], self.color[which], self.width[which], self.opacity[which])


@dataclass(frozen=True)
class Dots:
    """`d` discs with a dark rim: center float (d 2) px, color uint8 (d 3), one radius in px for all, rim included."""

    center: np.ndarray
    color: np.ndarray
    radius: float


def id_colors(ids: np.ndarray) -> np.ndarray:
    """uint8 (n 3): a vivid sRGB colour per id, the same wherever that id is drawn; hues even in Oklch.

    Two of the 100000 ids may look alike; neighbours in a drawing seldom do. Source of the matrices: Ottosson, Oklab.
    """
    hue = 2 * np.pi * (ids.astype(np.float64) * _HUE_STEP % 1.0)
    # Light and dark by turns: neighbours on the hue circle differ in something else too.
    lightness = np.where(ids % 2 == 0, 0.82, 0.72)
    a, b = 0.18 * np.cos(hue), 0.18 * np.sin(hue)
    lms = np.stack(
        [
            lightness + 0.3963377774 * a + 0.2158037573 * b,
            lightness - 0.1055613458 * a - 0.0638541728 * b,
            lightness - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(lms**3 @ to_rgb.T, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.round(encoded * 255).astype(np.uint8)


def paint(image: np.ndarray, strokes: Strokes, dots: Dots) -> None:
    """Lay strokes, then dots, over `image`, float (h w 3) in 0..1, in place; pixels that they miss stay as they are.

    Where strokes cross, the more opaque one wins: joints show no beads and a fading tail dims no other.
    """
    strokes = strokes.take(np.argsort(strokes.opacity, kind="stable"))
    reach = max(dots.radius, float(strokes.width.max(initial=0.0))) + 2
    low, high = np.minimum(strokes.start, strokes.end) - reach, np.maximum(strokes.start, strokes.end) + reach
    height, width = image.shape[:2]
    # Supersampling costs by area and drawings are sparse: only tiles that something reaches are painted.
    for top in range(0, height, _TILE_PX):
        for left in range(0, width, _TILE_PX):
            tile = image[top : top + _TILE_PX, left : left + _TILE_PX]
            origin = np.array([left, top])
            end = origin + tile.shape[1::-1]
            touching = np.flatnonzero(((low < end) & (high > origin)).all(axis=1))
            near = np.flatnonzero(((dots.center - reach < end) & (dots.center + reach > origin)).all(axis=1))
            if touching.size or near.size:
                near_dots = Dots(dots.center[near], dots.color[near], dots.radius)
                _paint_tile(tile, strokes.take(touching), near_dots, origin)


def _paint_tile(tile: np.ndarray, strokes: Strokes, dots: Dots, origin: np.ndarray) -> None:
    layer = Image.new("RGBA", (tile.shape[1] * SUPERSAMPLING, tile.shape[0] * SUPERSAMPLING))
    _draw(ImageDraw.Draw(layer), strokes, dots, origin)
    # Averaged with premultiplied alpha, or edges would darken towards the empty pixels' black.
    small = np.asarray(layer.convert("RGBa").reduce(SUPERSAMPLING), dtype=tile.dtype) / 255
    tile *= 1 - small[..., 3:]
    tile += small[..., :3]


def _draw(draw: ImageDraw.ImageDraw, strokes: Strokes, dots: Dots, origin: np.ndarray) -> None:
    def to_layer(points: np.ndarray) -> np.ndarray:
        return (np.clip(points, -_FAR_PX, _FAR_PX) - origin) * SUPERSAMPLING

    ends = np.concatenate([to_layer(strokes.start), to_layer(strokes.end)], axis=1)
    pixels = np.floor(ends).astype(int)
    opacity = np.round(strokes.opacity * 255).astype(int)
    width = strokes.width * SUPERSAMPLING
    rim = max(1.0, 0.22 * dots.radius) * SUPERSAMPLING
    # All dark casings first: a casing drawn later would bite into the piece before it.
    casing = np.broadcast_to(np.array(_DARK), strokes.color.shape)
    for color, widths, strength in ((casing, width + 1.2 * rim, opacity // 2), (strokes.color, width, opacity)):
        rows = (pixels.tolist(), ends[:, 2:].tolist(), color.tolist(), widths.tolist(), strength.tolist())
        for piece, (x, y), rgb, piece_width, alpha in zip(*rows, strict=True):
            fill = cast(tuple[int, int, int, int], (*rgb, alpha))
            draw.line(piece, fill=fill, width=max(1, round(piece_width)))
            _disc(draw, x, y, piece_width / 2, fill)
    radius = dots.radius * SUPERSAMPLING
    for (x, y), rgb in zip(to_layer(dots.center).tolist(), dots.color.tolist(), strict=True):
        _disc(draw, x, y, radius, (*_DARK, 235))
        _disc(draw, x, y, radius - rim, cast(tuple[int, int, int, int], (*rgb, 255)))


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, fill: tuple[int, int, int, int]) -> None:
    if radius < 1:
        return
    # Pillow cuts coordinates to whole numbers, towards 0, and takes both corners as inside: say whole ones.
    left, top, size = math.floor(x - radius + 0.5), math.floor(y - radius + 0.5), round(2 * radius) - 1
    draw.ellipse((left, top, left + size, top + size), fill=fill)
