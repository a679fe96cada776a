"""Letting go of the mouse in mid-clip: a teacher trained with hidden chunks of tracks, and one trained without.

Every object is led for two chunks, comes to rest, and its tracks end there. Nothing tells what comes next; what must
not come is an artefact: an object that fades, smears or jumps, a background that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motionstream_core.evaluation.world.cases import Case
from motionstream_core.evaluation.world.report import Video, generate_all, teacher_generator
from motionstream_core.world import Motion, Path, render, sample_motion, sample_scene
from motionstream_core.world.judge import locate

from .bounds import MOTION_WEIGHT, TEXT_WEIGHT
from .judging import NUM_FRAMES, STILL_CAMERA
from .preset import SIZE_PX
from .runs import Study

NUM_CASES = 16
NUM_STEPS = 10
RELEASE = 25  # first frame without tracks; a chunk begins there
SLOWING = 6  # frames over which an object comes to rest before it
POINTS_PER_OBJECT = 5
AWAY_RADII = 1.5  # background is what lies farther from every object


def release_case(index: int, held: bool = False) -> Case:
    """A held-out scene whose objects come to rest at RELEASE, where their tracks end (or go on, with `held`)."""
    rng = np.random.default_rng((900_002, index))
    scene = replace(sample_scene(rng, STILL_CAMERA, SIZE_PX), effect="still air")
    motion = sample_motion(rng, scene, STILL_CAMERA, NUM_FRAMES, SIZE_PX)
    clip = render(scene, _at_rest(motion), SIZE_PX)
    if not held:
        visibility = clip.visibility.copy()
        visibility[RELEASE:] = False
        clip = replace(clip, visibility=visibility)
    told = np.concatenate([np.flatnonzero(clip.owner == s)[:POINTS_PER_OBJECT] for s in range(len(scene.sprites))])
    return Case("plain", scene, clip, told, clip.coverage >= 0.9)


def _at_rest(motion: Motion) -> Motion:
    """The motion, slowed down to rest at RELEASE."""
    t = np.arange(motion.num_frames, dtype=np.float64)
    u = np.clip((t - (RELEASE - SLOWING)) / SLOWING, 0, 1)
    warped = np.where(t < RELEASE - SLOWING, t, RELEASE - SLOWING + SLOWING * (u - u * u / 2))

    def at(values: NDArray[np.floating]) -> NDArray[np.floating]:
        columns = values.reshape(len(values), -1)
        moved = np.stack([np.interp(warped, t, column) for column in columns.T], axis=1)
        return moved.reshape(values.shape).astype(np.float32)

    paths = tuple(Path(at(path.center), at(path.angle), at(path.scale)) for path in motion.paths)
    return Motion(paths, motion.camera)


def measure_release(cases: list[Case], videos: list[Video]) -> dict[str, float | None]:
    """What became of objects and background after the release, means over cases.

    strayed_px: of found objects, from where they rest in the true clip, None where none is found; step_px: their
    largest step between two frames; lost: share of objects and frames where the judge finds nothing; psnr_db: against
    the clip at rest; background_db: of pixels away from every object's true and found place.
    """
    strayed, steps, lost, errors, behind = [], [], [], [], []
    for case, video in zip(cases, videos, strict=True):
        centers, found = locate(video, case.scene)
        rest = case.clip.centers[RELEASE:]
        after, seen = centers[RELEASE - 1 :], found[RELEASE:] & case.counted[RELEASE:]
        strayed.append(np.linalg.norm(after[1:] - rest, axis=-1)[seen])
        steps.append(np.linalg.norm(np.diff(after, axis=0), axis=-1).max(0))
        lost.append(~found[RELEASE:][case.counted[RELEASE:]])
        squared = (video[RELEASE:].astype(np.float64) - case.clip.frames[RELEASE:]) ** 2
        errors.append(squared.mean())
        away = _away(case, centers[RELEASE:]) & _away(case, rest)
        behind.append(squared[away].mean())
    joined = np.concatenate(strayed)
    return {
        "strayed_px": float(joined.mean()) if len(joined) else None,
        "step_px": float(np.concatenate(steps).mean()),
        "lost": float(np.concatenate(lost).mean()),
        "psnr_db": _decibels(errors),
        "background_db": _decibels(behind),
    }


def _away(case: Case, centers: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(t h w), True away from all objects at centers (t s 2)."""
    axis = np.arange(SIZE_PX) + 0.5
    away = np.ones((len(centers), SIZE_PX, SIZE_PX), bool)
    for index, sprite in enumerate(case.scene.sprites):
        dx = axis[None, None, :] - centers[:, index, 0, None, None]
        dy = axis[None, :, None] - centers[:, index, 1, None, None]
        away &= np.hypot(dx, dy) > AWAY_RADII * sprite.radius_px
    return away


def _decibels(errors: Sequence[float]) -> float:
    return float(np.mean([10 * np.log10(255**2 / max(error, 1e-9)) for error in errors]))


def release(
    study: Study, seeds: Sequence[int], num_cases: int = NUM_CASES, num_steps: int = NUM_STEPS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per model and seed; `held` is the masked model with the tracks told to the end."""
    rows: list[dict[str, Any]] = []
    for name, kind, held in (
        ("first phase only", "head", False),
        ("second phase, unmasked", "unmasked", False),
        ("second phase, masked", "masked", False),
        ("masked, tracks held", "masked", True),
    ):
        cases = [release_case(index, held) for index in range(num_cases)]
        for run, seed in study.repetitions(kind, seeds):
            generate = teacher_generator(study.load(run), study.vae, num_steps, TEXT_WEIGHT, MOTION_WEIGHT, seed)
            videos = generate_all(cases, generate, bf16=True)
            rows.append({"model": name, "run": run, "seed": seed, **measure_release(cases, videos)})
    return rows, {"cases": num_cases, "steps": num_steps, "release_frame": RELEASE}
