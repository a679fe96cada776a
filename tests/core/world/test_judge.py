"""The colour judge: right on true clips, honest about what it cannot see, and never told the truth."""

from __future__ import annotations

import inspect
from dataclasses import fields, replace

import numpy as np
import pytest

from motionstream_core.evaluation.world.cases import CASE_KINDS, CaseKind, held_out_case
from motionstream_core.world import LEVELS, Camera, Motion, Path, Scene, render, sample_motion, sample_scene
from motionstream_core.world.judge import locate


def resting(scene: Scene, places: list[tuple[float, float]], num_frames: int = 6) -> Motion:
    paths = tuple(
        Path(
            np.repeat(np.array([place], np.float32), num_frames, 0),
            np.zeros(num_frames, np.float32),
            np.ones(num_frames, np.float32),
        )
        for place in places
    )
    return Motion(paths, Camera(np.zeros((num_frames, 2), np.float32), np.ones(num_frames, np.float32)))


@pytest.fixture
def scene() -> Scene:
    """Three sprites in still air."""
    rng = np.random.default_rng(0)
    while len((scene := sample_scene(rng, LEVELS["plain"])).sprites) < 3:
        pass
    return replace(scene, effect="still air")


PLACES = [(32.3, 34.0), (92.0, 40.6), (58.5, 96.2)]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", CASE_KINDS)
def test_error_on_true_held_out_clips(kind: CaseKind) -> None:
    errors, lost = [], []
    for index in range(24 if kind == "crossing" else 6):  # few scenes have two objects with room to pass
        case = held_out_case(index, kind)
        centers, found = locate(case.clip.frames, case.scene)
        errors.append(np.linalg.norm(centers - case.clip.centers, axis=-1)[case.counted])
        lost.append(~found[case.counted])
    joined = np.concatenate(errors)
    assert len(joined) > (60 if kind == "crossing" else 150)
    assert joined.mean() < 0.5
    assert np.concatenate(lost).mean() < 0.01


def test_a_shifted_video_is_reported_shifted(scene: Scene) -> None:
    frames = render(scene, resting(scene, PLACES)).frames
    before, _ = locate(frames, scene)
    for dx, dy in ((7, 0), (-5, 4), (0, -9)):
        after, found = locate(np.roll(frames, (dy, dx), axis=(1, 2)), scene)
        assert found.all()
        np.testing.assert_allclose(after - before, np.broadcast_to([dx, dy], before.shape), atol=0.15)


def test_a_vanished_sprite_is_lost_and_stays_where_it_was_seen(scene: Scene) -> None:
    frames = render(scene, resting(scene, PLACES)).frames
    without = replace(scene, sprites=scene.sprites[:2])
    gone = frames.copy()
    gone[3:] = render(without, resting(without, PLACES[:2])).frames[3:]
    centers, found = locate(gone, scene)
    assert found[:, :2].all()
    assert found[:3, 2].all() and not found[3:, 2].any()
    np.testing.assert_array_equal(centers[3:, 2], np.repeat(centers[2:3, 2], 3, 0))
    np.testing.assert_allclose(centers, np.broadcast_to(PLACES, centers.shape), atol=0.4)


def test_a_sprite_that_left_the_frame_is_lost(scene: Scene) -> None:
    motion = resting(scene, PLACES, num_frames=12)
    ramp = np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    leaving = replace(motion.paths[0], center=motion.paths[0].center - ramp * np.array([80, 0], np.float32))
    _, found = locate(render(scene, Motion((leaving, *motion.paths[1:]), motion.camera)).frames, scene)
    assert found[0].all() and not found[-1, 0] and found[:, 1:].all()


@pytest.mark.parametrize("effect", ["snow", "night falling", "a rainbow"])
def test_effects_do_not_deceive_it(scene: Scene, effect: str) -> None:
    touched = replace(scene, effect=effect)
    centers, found = locate(render(touched, resting(scene, PLACES, num_frames=49)).frames, touched)
    assert found.all()
    assert np.linalg.norm(centers - np.array(PLACES), axis=-1).mean() < 0.5


def test_it_never_sees_the_truth() -> None:
    """It takes frames and a scene, and a scene holds no places and no motion."""
    assert list(inspect.signature(locate).parameters) == ["frames", "scene"]
    rng = np.random.default_rng(3)
    scene = sample_scene(rng, LEVELS["plain"])
    videos = [
        render(scene, sample_motion(np.random.default_rng(seed), scene, LEVELS["plain"], 2)).frames for seed in range(2)
    ]
    one, other = (locate(video, scene)[0] for video in videos)
    assert np.abs(one[0] - other[0]).max() > 3  # two starts of one scene: only the frames can tell them apart
    assert {field.name for field in fields(Scene)} & {"paths", "centers", "motion", "start"} == set()
