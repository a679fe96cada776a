"""Held-out cases: counterfactuals of one first frame, told and counted fairly, never trained on; and their score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from motionstream_core.evaluation.metrics import psnr_db
from motionstream_core.evaluation.world.cases import (
    CASE_KINDS,
    MIN_TRAVEL_PX,
    POINTS_PER_OBJECT,
    Case,
    CaseKind,
    held_out_case,
)
from motionstream_core.evaluation.world.report import (
    Video,
    case_tracks,
    frames_tensor,
    generate_all,
    reference_generators,
    score,
    to_video,
)
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.training.data import WorldMix, draw_clip
from motionstream_core.world import Level

INDICES = range(5)
FRAMES = 25


@pytest.fixture(scope="module")
def cases() -> dict[tuple[CaseKind, int], Case]:
    return {(kind, index): held_out_case(index, kind, FRAMES) for kind in CASE_KINDS for index in INDICES}


Cases = dict[tuple[CaseKind, int], Case]


def test_kinds_share_the_scene_and_the_first_frame_and_nothing_else(cases: Cases) -> None:
    for index in INDICES:
        kinds = [cases[kind, index] for kind in CASE_KINDS]
        assert all(case.scene.caption == kinds[0].scene.caption for case in kinds)
        assert all(np.array_equal(case.clip.frames[0], kinds[0].clip.frames[0]) for case in kinds)
        if cases["drag", index].counted.any():  # else the one that is led rests in this case
            assert len({case.clip.frames.tobytes() for case in kinds}) == len(kinds)
    assert sum(cases["drag", index].counted.any() for index in INDICES) >= 3


def test_the_same_index_gives_the_same_case(cases: Cases) -> None:
    again = held_out_case(2, "mirrored", FRAMES)
    assert np.array_equal(again.clip.frames, cases["mirrored", 2].clip.frames)
    assert np.array_equal(again.told, cases["mirrored", 2].told)


def test_mirrored_and_panned_are_what_they_say(cases: Cases) -> None:
    for index in INDICES:
        plain, mirror, pan = (cases[kind, index].clip.centers for kind in ("plain", "mirrored", "panned"))
        if not np.ptp(cases["plain", index].clip.points[:, cases["plain", index].clip.owner == -1], axis=0).any():
            np.testing.assert_allclose((mirror - mirror[0])[..., 0], -(plain - plain[0])[..., 0], atol=1e-3)
        moved = pan - pan[0]
        np.testing.assert_allclose(moved, np.broadcast_to(moved[:, :1], moved.shape), atol=1e-3)
        assert np.linalg.norm(moved[-1, 0]) == pytest.approx(24, abs=1e-3)


def test_a_drag_tells_one_track_and_judges_that_sprite_alone(cases: Cases) -> None:
    for index in INDICES:
        case = cases["drag", index]
        (told,) = case.told
        led = int(case.clip.owner[told])
        assert led >= 0
        np.testing.assert_allclose(case.clip.points[:, told], case.clip.centers[:, led], atol=1e-4)
        others = np.arange(case.clip.centers.shape[1]) != led
        assert not case.counted[:, others].any()
        assert not np.ptp(case.clip.centers[:, others], axis=0).any()  # nothing else moves
        assert case_tracks(case).num_tracks == 1


def test_other_kinds_tell_points_of_every_sprite(cases: Cases) -> None:
    for (kind, _), case in cases.items():
        if kind == "drag":
            continue
        owners = case.clip.owner[case.told]
        for index in range(len(case.scene.sprites)):
            assert (owners == index).sum() == POINTS_PER_OBJECT
        assert (owners == -1).any() == (kind == "panned")
        assert len(set(case.told.tolist())) == len(case.told)


def test_what_is_counted(cases: Cases) -> None:
    """Never the given first frame, never a sprite at rest, never one that is hardly seen; else all that moves."""
    for case in cases.values():
        assert not case.counted[0].any()
        travel = np.linalg.norm(case.clip.centers - case.clip.centers[0], axis=-1).max(0)
        assert not case.counted[:, travel <= MIN_TRAVEL_PX].any()
        assert not case.counted[case.clip.coverage < 0.9].any()
    counted = sum(int(case.counted.sum()) for (kind, _), case in cases.items() if kind == "plain")
    moving = sum(case.clip.centers.shape[1] * (FRAMES - 1) for (kind, _), case in cases.items() if kind == "plain")
    assert 0.4 * moving < counted <= moving


def test_held_out_clips_are_no_training_clips(cases: Cases) -> None:
    mix = WorldMix(num_frames=FRAMES)
    training = {draw_clip(seed, mix).frames[0].tobytes() for seed in range(12)}
    assert len(training) == 6  # two motions of each scene
    for index in INDICES:
        held_out = cases["plain", index].clip.frames
        assert held_out[0].tobytes() not in training
        assert np.abs(held_out[0].astype(int) - draw_clip(index, mix).frames[0]).mean() > 2


def test_case_tracks_are_the_told_points(cases: Cases) -> None:
    case = cases["plain", 1]
    tracks = case_tracks(case)
    assert (tracks.height, tracks.width, tracks.num_frames) == (128, 128, FRAMES)
    np.testing.assert_array_equal(tracks.points.numpy(), case.clip.points[:, case.told])
    np.testing.assert_array_equal(tracks.visibility.numpy(), case.clip.visibility[:, case.told])


def test_frames_survive_the_way_to_tensors_and_back() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 4, 6, 3)).astype(np.uint8)
    tensor = frames_tensor(frames)
    assert tensor.shape == (1, 3, 3, 4, 6) and float(tensor.max()) <= 1
    assert np.array_equal(to_video(tensor[0].permute(1, 2, 3, 0)), frames)


def test_score_of_known_videos(cases: Cases) -> None:
    """The truth scores next to nothing; the frozen frame scores what the sprites travel."""
    held = [cases["plain", index] for index in INDICES]
    references = reference_generators(TinyVae(TinyVaeConfig(decoder_widths=(4, 4, 4, 4), encoder_width=4)))
    truth = score(held, generate_all(held, references["judge"]))
    assert truth.epe_px < 0.5 and truth.lost < 0.02 and truth.psnr_db == float("inf")
    frozen = score(held, generate_all(held, references["frozen"]))
    travel = np.concatenate(
        [np.linalg.norm(case.clip.centers - case.clip.centers[0], axis=-1)[case.counted] for case in held]
    )
    assert frozen.epe_px == pytest.approx(float(travel.mean()), abs=0.5)
    assert frozen.median_px == pytest.approx(float(np.median(travel)), abs=1.0)
    quality = [psnr_db(np.repeat(c.clip.frames[:1], FRAMES, 0), c.clip.frames) for c in held]
    expected = [value for value in quality if np.isfinite(value)]  # where all rests, a frozen frame is perfect
    assert len(expected) >= 3
    assert frozen.psnr_db == pytest.approx(float(np.mean(expected)))
    late = score(held, generate_all(held, references["frozen"]), slice(FRAMES - 6, FRAMES))
    assert late.epe_px > frozen.epe_px


@pytest.mark.thorough
def test_jobs_change_nothing(cases: Cases) -> None:
    """Clips at a time or one by one: the same videos in the same order."""
    held = [cases["plain", index] for index in INDICES]
    vae = TinyVae(TinyVaeConfig(decoder_widths=(4, 4, 4, 4), encoder_width=4))
    generate = reference_generators(vae)["vae"]
    for one, other in zip(generate_all(held, generate), generate_all(held, generate, 3), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_score_counts_what_is_lost() -> None:
    case = held_out_case(0, "plain", 13)

    def blank(case: Case) -> Video:
        video = case.clip.frames.copy()
        video[7:] = 128
        return video

    lost = case.counted[7:].sum() / case.counted.sum()
    assert 0 < lost < 1
    assert score([case], [blank(case)]).lost == pytest.approx(lost, abs=0.02)


def test_score_without_anything_to_judge_says_so() -> None:
    case = held_out_case(0, "plain", 5)
    still = Case(case.kind, case.scene, case.clip, case.told, np.zeros_like(case.counted))
    with pytest.raises(ValueError, match="nothing to judge"):
        score([still], [still.clip.frames])


def test_vae_reference_decodes_what_it_encodes() -> None:
    case = held_out_case(0, "plain", 5)
    torch.manual_seed(0)
    vae = TinyVae(TinyVaeConfig(decoder_widths=(4, 4, 4, 4), encoder_width=4)).eval()
    video = reference_generators(vae)["vae"](case)
    assert video.shape == case.clip.frames.shape and video.dtype == np.uint8
    with torch.no_grad():
        whole = vae.decode(vae.encode(frames_tensor(case.clip.frames)))[0].permute(1, 2, 3, 0)
    assert np.abs(video - whole.numpy() * 255).max() <= 0.51


def test_a_crossing_is_judged_after_it_was_hidden() -> None:
    seen = 0
    for index in range(12):
        case = held_out_case(index, "crossing")
        frames, sprites = np.nonzero(case.counted)
        if not len(frames):
            continue
        seen += 1
        coverage, centers = case.clip.coverage[:, 0], case.clip.centers
        assert set(sprites) == {0}
        assert coverage[: frames.min()].min() < 0.6 <= coverage[frames.min() :].min()
        assert not np.ptp(centers[:, 1:], axis=0).any()  # the others rest
        way = centers[:, 0] - centers[0, 0]
        assert np.linalg.matrix_rank(way - way[-1] * np.linspace(0, 1, len(way))[:, None], tol=1e-2) == 0  # straight on
    assert seen >= 3


def test_a_given_level_takes_the_place_of_the_drawn_one() -> None:
    level = Level("big", 0.0, 0, 0.0, 0.0, max_sprites=1, min_radius_px=30.0, max_radius_px=31.0)
    for index in range(4):
        scene = held_out_case(index, "plain", 5, size_px=64, level=level).scene
        assert len(scene.sprites) == 1 and 15 <= scene.sprites[0].radius_px <= 15.5
