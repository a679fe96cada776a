"""The procedural world against its own pictures: points, visibility, centres, motions are read off rendered frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from motionstream_core.world import (
    EFFECTS,
    LEVELS,
    Camera,
    Clip,
    Motion,
    Path,
    Scene,
    Sprite,
    mirrored,
    panned,
    render,
    sample_motion,
    sample_scene,
)
from motionstream_core.world.render import GRID_POINTS, LIGHT, POINTS_PER_SPRITE
from motionstream_core.world.scene import PATTERNS, SHAPES

Values = NDArray[np.floating]


def drawn(seed: int, level: str = "plain", num_frames: int = 25, effect: str = "still air") -> tuple[Scene, Motion]:
    rng = np.random.default_rng(seed)
    scene = replace(sample_scene(rng, LEVELS[level]), effect=effect)
    return scene, sample_motion(rng, scene, LEVELS[level], num_frames)


def sprite(shape: str, radius_px: float, pattern: str = "plain", color: str = "red", angle: float = 0.7) -> Sprite:
    return Sprite(color, shape, pattern, radius_px, 0.8, 0.9, angle)


def scene_of(*sprites: Sprite, grey: float = 0.5) -> Scene:
    """Sprites before an even grey."""
    colors = np.full((2, 3), grey, np.float32)
    nothing = np.zeros((0, 6), np.float32), np.zeros((0, 5), np.float32)
    return Scene(sprites, colors, 0.0, *nothing, effect="still air", effect_seed=5)


def still_camera(num_frames: int) -> Camera:
    return Camera(np.zeros((num_frames, 2), np.float32), np.ones(num_frames, np.float32))


def moving_camera(num_frames: int) -> Camera:
    ramp = np.linspace(0, 1, num_frames, dtype=np.float32)
    return Camera(np.stack([7 * ramp, -5 * ramp], -1), 1 + 0.2 * ramp)


def path(num_frames: int, start: tuple[float, float], way: tuple[float, float], turn: float, growth: float) -> Path:
    ramp = np.linspace(0, 1, num_frames, dtype=np.float32)[:, None]
    center = np.array(start, np.float32) + ramp * np.array(way, np.float32)
    return Path(center, 0.3 + turn * ramp[:, 0], 1 + growth * ramp[:, 0])


def alpha_alone(scene: Scene, motion: Motion, index: int, size_px: int) -> Values:
    """Opacity (t h w) of sprite `index`, read off pictures of it alone before black and before white."""
    alone = Motion((motion.paths[index],), motion.camera)
    black, white = (
        render(scene_of(scene.sprites[index], grey=grey), alone, size_px).frames[..., 2].astype(np.float64)
        for grey in (0.0, 1.0)
    )
    backdrop = [
        render(scene_of(grey=grey), Motion((), motion.camera), size_px).frames[0, 0, 0, 2].astype(np.float64)
        for grey in (0.0, 1.0)
    ]
    return 1 - (white - black) / (backdrop[1] - backdrop[0])


def bilinear(image: Values, points: Values) -> Values:
    """Values (n ...) of image (h w ...) at points (n 2) px, whose pixel centres lie at + 0.5; edges repeat."""
    height, width = image.shape[:2]
    x, y = np.clip(points[:, 0] - 0.5, 0, width - 1), np.clip(points[:, 1] - 0.5, 0, height - 1)
    left, top = np.minimum(x.astype(int), width - 2), np.minimum(y.astype(int), height - 2)
    extra = (1,) * (image.ndim - 2)
    across, down = (x - left).reshape(-1, *extra), (y - top).reshape(-1, *extra)
    above = image[top, left] * (1 - across) + image[top, left + 1] * across
    below = image[top + 1, left] * (1 - across) + image[top + 1, left + 1] * across
    return above * (1 - down) + below * down


def test_the_same_seed_gives_the_same_clip() -> None:
    for level in LEVELS:
        first, again = render(*drawn(3, level)), render(*drawn(3, level))
        other = render(*drawn(4, level))
        assert np.array_equal(first.frames, again.frames)
        assert np.array_equal(first.points, again.points)
        assert np.array_equal(first.visibility, again.visibility)
        assert first.caption == again.caption
        assert not np.array_equal(first.frames, other.frames)


@pytest.mark.parametrize("level", list(LEVELS))
def test_two_motions_from_one_start_share_the_first_frame(level: str) -> None:
    rng = np.random.default_rng(8)
    scene = sample_scene(rng, LEVELS[level])
    start = sample_motion(rng, scene, LEVELS[level], 2)
    clips = [
        render(scene, sample_motion(np.random.default_rng((9, seed)), scene, LEVELS[level], 25, start=start))
        for seed in range(2)
    ]
    assert np.array_equal(clips[0].frames[0], clips[1].frames[0])
    assert np.array_equal(clips[0].points[0], clips[1].points[0])
    assert np.array_equal(clips[0].owner, clips[1].owner)
    assert np.abs(clips[0].points[-1] - clips[1].points[-1]).max() > 5
    assert not np.array_equal(clips[0].frames[-1], clips[1].frames[-1])


def test_a_clip_says_what_it_holds() -> None:
    scene, motion = drawn(1, "patterned")
    clip = render(scene, motion)
    count = len(scene.sprites)
    assert clip.frames.shape == (25, 128, 128, 3) and clip.frames.dtype == np.uint8
    num_points = count * POINTS_PER_SPRITE + GRID_POINTS**2
    assert clip.points.shape == (25, num_points, 2) and clip.visibility.shape == (25, num_points)
    for index in range(count):
        mine = slice(index * POINTS_PER_SPRITE, (index + 1) * POINTS_PER_SPRITE)
        assert (clip.owner[mine] == index).all()
        np.testing.assert_allclose(clip.points[:, mine.start], clip.centers[:, index], atol=1e-4)
    assert clip.coverage.shape == (25, count) and clip.coverage.min() >= 0 and clip.coverage.max() <= 1
    assert all(each.color in clip.caption and each.shape in clip.caption for each in scene.sprites)


@pytest.mark.parametrize("pattern", PATTERNS[1:])
@pytest.mark.parametrize("turn", [0.0, 2.5], ids=["sliding", "turning"])
def test_points_stick_to_the_surface(pattern: str, turn: float) -> None:
    """What the picture shows at a point of a patterned sprite is what it showed there in frame 0.

    The light does not turn with the sprite, so in a turning one its fall-off is divided out.
    """
    size, num_frames = 256, 9
    scene = scene_of(sprite("circle", 58, pattern), sprite("square", 55, pattern, "blue", 1.9))
    motion = Motion(
        (path(num_frames, (80, 90), (55, 40), turn, 0.15), path(num_frames, (178, 170), (-60, 11), -turn, -0.1)),
        moving_camera(num_frames),
    )
    clip = render(scene, motion, size)
    alphas = [alpha_alone(scene, motion, index, size) for index in range(2)]
    interior = np.zeros(clip.visibility.shape, bool)
    light = np.ones(clip.points.shape[:2])
    for index in range(2):
        mine = clip.owner == index
        radius = scene.sprites[index].radius_px * motion.paths[index].scale * motion.camera.zoom
        offset = clip.points[:, mine] - clip.centers[:, None, index]
        light[:, mine] = 0.84 + 0.2 * (offset / radius[:, None, None]) @ LIGHT
        # 2.5 px about the point all is this sprite, and none of it the soft edge of the one before it
        own = alphas[index] if index == 1 else alphas[0] * (1 - alphas[1])
        for t in range(num_frames):
            around = [clip.points[t, mine] + 2.5 * np.array(step) for step in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            interior[t, mine] = np.min([bilinear(own[t], place) for place in around], 0) > 0.99
    if turn == 0:
        light[:] = 1
    colors = np.stack([bilinear(frame / 255, places) for frame, places in zip(clip.frames, clip.points, strict=True)])
    surface = colors / light[..., None]
    counted = clip.visibility & interior & (clip.owner >= 0) & interior[0] & clip.visibility[0]
    assert counted[1:].sum() > 200
    error = np.abs(surface - surface[0])[counted]
    assert error.max() < 0.06
    assert error.mean() < 0.006
    # the check has teeth: the same colours, compared with another point of the same sprite, do not fit
    assert np.abs(surface - np.roll(surface[0], 1, 0))[counted].mean() > 0.05


def test_visibility_is_what_the_pictures_show() -> None:
    """In frame, and under no rendered sprite that stands in front of the point's own."""
    num_frames, size = 7, 96
    scene = scene_of(sprite("star", 24), sprite("circle", 20, color="green"), sprite("triangle", 26, color="blue"))
    motion = Motion(
        (
            path(num_frames, (30, 40), (35, 5), 1.0, 0.2),
            path(num_frames, (60, 50), (-45, -8), 0.5, 0.0),
            path(num_frames, (48, 78), (40, -30), -2.0, -0.2),
        ),
        moving_camera(num_frames),
    )
    clip = render(scene, motion, size)
    alphas = [alpha_alone(scene, motion, index, size) for index in range(3)]
    told, hidden, outside = 0, 0, 0
    for t in range(num_frames):
        for n, owner in enumerate(clip.owner):
            x, y = clip.points[t, n]
            if not (0 <= x < size and 0 <= y < size):
                assert not clip.visibility[t, n]
                outside += 1
                continue
            covers = [bilinear(alphas[j][t], clip.points[t, n : n + 1])[0] for j in range(int(owner) + 1, 3)]
            if any(0.05 < cover < 0.95 for cover in covers):
                continue  # on an edge
            assert clip.visibility[t, n] == (not any(cover > 0.5 for cover in covers)), (t, n)
            told += 1
            hidden += not clip.visibility[t, n]
    assert told > 500 and hidden > 50 and outside > 20


def test_coverage_is_the_share_of_a_sprite_that_is_seen() -> None:
    num_frames, size = 9, 128
    scene = scene_of(sprite("square", 26), sprite("circle", 22, color="green"))
    motion = Motion(
        (path(num_frames, (60, 60), (-60, 0), 0.4, 0), path(num_frames, (110, 66), (-80, 0), 0, 0)),
        still_camera(num_frames),
    )
    clip = render(scene, motion, size)
    behind, front = alpha_alone(scene, motion, 0, size), alpha_alone(scene, motion, 1, size)
    whole = behind[0].sum()
    seen = (behind * (1 - front)).sum((1, 2)) / whole
    assert seen.min() < 0.5 and seen.max() > 0.99
    np.testing.assert_allclose(clip.coverage[:, 0], seen, atol=0.15)  # from 48 random points
    np.testing.assert_allclose(clip.coverage[:, 1], 1, atol=0)


def test_a_pan_carries_the_background_along() -> None:
    scene, motion = drawn(6, "textured", num_frames=13)
    clip = render(scene, panned(motion, (20.0, -12.0)))
    background = clip.owner == -1
    moved = clip.points - clip.points[0]
    assert background.sum() > 50
    # everything moves alike, points on sprites too
    np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-3)
    np.testing.assert_allclose(moved[-1], np.broadcast_to([20.0, -12.0], moved[-1].shape), atol=1e-3)
    along = moved[:, 0] @ np.array([20.0, -12.0])
    assert (np.diff(along) > 0).all()
    # and so does the picture
    first, last = clip.frames[0].astype(int), clip.frames[-1].astype(int)
    difference = np.abs(last[:-12, 20:] - first[12:, :-20])
    assert difference.max() <= 2
    assert np.abs(last - first).mean() > 3


def test_panned_sprites_do_nothing_by_themselves() -> None:
    scene, motion = drawn(2, "patterned")
    still = panned(motion, (0.0, 0.0))
    clip = render(scene, still)
    assert (clip.frames == clip.frames[:1]).all()
    assert np.array_equal(clip.frames[0], render(scene, motion).frames[0])


def test_mirrored_mirrors_every_displacement() -> None:
    scene, motion = drawn(11)
    clip, mirror = render(scene, motion), render(scene, mirrored(motion))
    assert np.array_equal(clip.frames[0], mirror.frames[0])
    moved, other = (each.centers - each.centers[0] for each in (clip, mirror))
    assert np.abs(moved[..., 0]).max() > 5
    np.testing.assert_allclose(other[..., 0], -moved[..., 0], atol=1e-4)
    np.testing.assert_allclose(other[..., 1], moved[..., 1], atol=1e-4)
    for old, new in zip(motion.paths, mirrored(motion).paths, strict=True):
        np.testing.assert_allclose(new.angle - new.angle[0], old.angle[0] - old.angle, atol=1e-5)
        assert np.array_equal(new.scale, old.scale)


@pytest.mark.parametrize("effect", [effect for effect in EFFECTS if effect != "still air"])
def test_an_effect_sets_in_after_the_first_frame(effect: str) -> None:
    for seed in range(4):
        scene, motion = drawn(seed, num_frames=49)
        plain, touched = render(scene, motion), render(replace(scene, effect=effect), motion)
        assert np.array_equal(plain.frames[0], touched.frames[0])
        assert np.array_equal(plain.points, touched.points)
        assert np.abs(plain.frames[-1].astype(int) - touched.frames[-1]).max() > 40
        assert effect in touched.caption and effect not in plain.caption


@pytest.mark.parametrize("shape", SHAPES)
def test_a_centre_is_the_centroid_of_what_is_drawn(shape: str) -> None:
    num_frames, size = 5, 128
    scene = scene_of(sprite(shape, 19))
    motion = Motion((path(num_frames, (50.3, 60.8), (24, 9.5), 1.7, 0.2),), moving_camera(num_frames))
    clip = render(scene, motion, size)
    alpha = alpha_alone(scene, motion, 0, size)
    axis = np.arange(size) + 0.5
    mass = alpha.sum((1, 2))
    centroid = np.stack([alpha.sum(1) @ axis, alpha.sum(2) @ axis], -1) / mass[:, None]
    assert mass.min() > 200
    assert np.abs(centroid - clip.centers[:, 0]).max() < 0.3


@pytest.mark.parametrize(
    ("shape", "reach"), [("square", 0.78 * 2**0.5), ("circle", 0.9), ("cross", 1.0), ("star", 1.0)]
)
def test_no_corner_is_cut_off(shape: str, reach: float) -> None:
    """A sprite that stands on its corner reaches as far as its shape does, at any size."""
    size, radius = 256, 90.0
    turned = Path(np.full((1, 2), 128, np.float32), np.full(1, np.pi / 4, np.float32), np.ones(1, np.float32))
    motion = Motion((turned,), still_camera(1))
    alpha = alpha_alone(scene_of(sprite(shape, radius)), motion, 0, size)[0]
    rows, columns = np.nonzero(alpha > 0.4)
    far = np.hypot(rows + 0.5 - 128, columns + 0.5 - 128).max()
    assert far == pytest.approx(reach * radius, abs=1.6)


def test_an_unknown_shape_is_refused() -> None:
    scene, motion = drawn(0)
    odd = replace(scene, sprites=(replace(scene.sprites[0], shape="blob"), *scene.sprites[1:]))
    with pytest.raises(ValueError, match="shape is 'blob'; known are circle"):
        render(odd, motion)


def test_levels_differ_in_what_they_show() -> None:
    def clips(level: str) -> list[Clip]:
        return [render(*drawn(seed, level, num_frames=3)) for seed in range(12)]

    plain = [drawn(seed, "plain") for seed in range(12)]
    assert all(each.pattern == "plain" for scene, _ in plain for each in scene.sprites)
    assert all(not motion.camera.offset.any() for _, motion in plain)
    patterned = [drawn(seed, "patterned") for seed in range(12)]
    assert any(each.pattern != "plain" for scene, _ in patterned for each in scene.sprites)
    assert any(motion.camera.offset.any() for _, motion in patterned)
    assert all(clip.frames.std() > 5 for clip in clips("textured"))
