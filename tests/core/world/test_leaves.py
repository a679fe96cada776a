"""Dead leaves: tracks against what is seen in the frames, visibility against flat colours, sizes against their law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from motionstream_core.world.leaves import Layer, LeavesScene, render_leaves, sample_leaves
from motionstream_core.world.leaves.picture import SMALLEST_PX, _radii

SEEDS = range(4)


def test_a_clip_is_a_function_of_its_seed() -> None:
    first, again, other = (render_leaves(sample_leaves(np.random.default_rng(seed), 5)) for seed in (1, 1, 2))
    assert (first.frames == again.frames).all() and (first.points == again.points).all()
    assert (first.frames != other.frames).any()
    assert first.frames.shape == (5, 128, 128, 3) and first.frames.dtype == np.uint8


def test_some_frames_are_those_of_the_whole() -> None:
    scene = sample_leaves(np.random.default_rng(3), 9)
    whole, part = render_leaves(scene), render_leaves(scene, slice(4, 7))
    assert (part.frames == whole.frames[4:7]).all()
    assert (part.visibility == whole.visibility[4:7]).all()
    assert np.allclose(part.points, whole.points[4:7], atol=1e-4)


def marked(layer: Layer, side: int) -> Layer:
    """The layer in black with one soft white spot on its middle, which is its only point, filling its whole square."""
    size = len(layer.alpha)
    middle = np.array([[(size - 1) / 2, (size - 1) / 2]])
    y, x = np.mgrid[:size, :size]
    spot = np.exp(-((x - middle[0, 0]) ** 2 + (y - middle[0, 1]) ** 2) / (2 * 1.5**2)).astype(np.float32)
    return replace(layer, rgb=np.repeat(spot[..., None], 3, -1), alpha=np.ones_like(layer.alpha), points=middle)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_spot_is_where_its_track_says(seed: int) -> None:
    """Through pan, zoom, roll, tilt and elastic wave: the spot's centre of light against the point that is told."""
    scene = sample_leaves(np.random.default_rng(seed), 25)
    looked = 0
    for layer in scene.layers[1:]:
        clip = render_leaves(LeavesScene((marked(layer, 128),), np.ones(25), 128))
        for frame, (x, y) in zip(clip.frames[..., 0].astype(float), clip.points[:, 0], strict=True):
            if not (8 <= x < 120 and 8 <= y < 120):
                continue
            left, top = int(x) - 7, int(y) - 7
            window = frame[top : top + 16, left : left + 16]
            rows, columns = np.mgrid[top : top + 16, left : left + 16]
            found = np.array([(columns * window).sum(), (rows * window).sum()]) / window.sum()
            assert np.abs(found - (x, y)).max() < 0.3
            looked += 1
    assert looked > 10


@pytest.mark.parametrize("seed", SEEDS)
def test_a_point_is_visible_where_its_own_layer_is_seen(seed: int) -> None:
    """Every layer in a flat grey of its own: visible points lie on their layer's, hidden ones do not."""
    scene = sample_leaves(np.random.default_rng(seed), 13)
    greys = np.linspace(0.2, 1, len(scene.layers))
    flat = tuple(
        replace(layer, rgb=np.full_like(layer.rgb, grey)) for layer, grey in zip(scene.layers, greys, strict=True)
    )
    clip = render_leaves(LeavesScene(flat, np.ones(13), 128))
    checked = {True: 0, False: 0}
    for frame, points, visible in zip(clip.frames[..., 0], clip.points, clip.visibility, strict=True):
        for (x, y), seen, owner in zip(points, visible, clip.owner, strict=True):
            if not (2 <= x < 125 and 2 <= y < 125):
                assert not seen or (x > -1 and y > -1 and x < 128 and y < 128)
                continue
            around = frame[int(y) - 1 : int(y) + 3, int(x) - 1 : int(x) + 3] / 255
            if np.ptp(around) < 0.01:  # away from outlines, where one pixel tells nothing
                assert seen == (abs(around.mean() - greys[owner]) < 0.01)
                checked[bool(seen)] += 1
    assert checked[True] > 100


def test_radii_follow_a_power_law() -> None:
    """Density r^-3: twice the radius, a quarter as many."""
    radii = _radii(np.random.default_rng(0), 200_000, largest=200.0)
    at = SMALLEST_PX * 3 * np.array([1.0, 2.0, 4.0])
    counts = [(radii > radius).sum() for radius in at]
    assert counts[0] / counts[1] == pytest.approx(4, rel=0.1)
    assert counts[1] / counts[2] == pytest.approx(4, rel=0.15)
