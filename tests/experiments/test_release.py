"""The cases of the release, and what is measured on them."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.release import RELEASE, measure_release, release_case


def value(measures: dict[str, float | None], name: str) -> float:
    found = measures[name]
    assert found is not None
    return found


def test_objects_rest_and_tracks_end_at_the_release() -> None:
    moved = 0.0
    for index in range(6):
        case, held = release_case(index), release_case(index, held=True)
        after = case.clip.centers[RELEASE:]
        assert np.abs(after - after[:1]).max() < 1e-4
        steps = np.linalg.norm(np.diff(case.clip.centers, axis=0), axis=-1)
        assert steps.max() < 6  # it slows down, it does not jump
        moved += np.abs(case.clip.centers[RELEASE] - case.clip.centers[0]).max()
        assert not case.clip.visibility[RELEASE:].any() and case.clip.visibility[:RELEASE, case.told].any()
        assert held.clip.visibility[RELEASE:, held.told].any()
        assert np.array_equal(case.clip.frames, held.clip.frames)
    assert moved > 20


def test_the_true_clip_is_without_fault_and_faults_are_found() -> None:
    cases = [release_case(index) for index in range(4)]
    true = [case.clip.frames for case in cases]
    good = measure_release(cases, true)
    assert good["lost"] == 0 and value(good, "strayed_px") < 0.5 and value(good, "step_px") < 0.1
    assert value(good, "background_db") > 90

    gone = [np.concatenate([v[:RELEASE], np.full_like(v[RELEASE:], 128)]) for v in true]
    assert value(measure_release(cases, gone), "lost") > 0.95
    assert measure_release(cases, gone)["strayed_px"] is None

    shifted = [np.concatenate([v[:RELEASE], np.roll(v[RELEASE:], 5, axis=2)]) for v in true]
    assert value(measure_release(cases, shifted), "strayed_px") > 3
    assert value(measure_release(cases, shifted), "step_px") > 3

    wiped = [v.copy() for v in true]
    for case, video in zip(cases, wiped, strict=True):
        ys, xs = np.mgrid[:64, :64] + 0.5
        for sprite, (x, y) in zip(case.scene.sprites, case.clip.centers[-1], strict=True):
            video[RELEASE:, np.hypot(xs - x, ys - y) < 1.2 * sprite.radius_px] = 128
    assert value(measure_release(cases, wiped), "background_db") > 90  # an object is no background

    spoiled = [v.copy() for v in true]
    for video in spoiled:
        video[RELEASE:] = np.clip(video[RELEASE:].astype(int) + 12, 0, 255)
    assert value(measure_release(cases, spoiled), "background_db") == pytest.approx(
        10 * np.log10(255**2 / 144), abs=0.6
    )
