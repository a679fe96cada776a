"""Clips that a training for photos takes in while they are drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from experiments.photo.__main__ import CLIP_FRAMES, CLIPS_PER_FILE, MOVES_PX, SPEC, LeafClips
from experiments.photo.drag import CpuOptimizer, read_state, told_points, write_state
from experiments.photo.dragged import SPANS, cases_of, figures_of
from experiments.photo.drags import draw_drag, draw_pictures
from experiments.photo.hints import HintedConditions, hinted, mask_cells
from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.tracks import Tracks
from motionstream_core.training.data import View
from motionstream_core.training.engine.ema import Ema
from motionstream_core.training.engine.engine import Compute, Engine, Part
from motionstream_core.training.engine.optimizers import Optimizer, OptimizerSettings
from motionstream_core.world.leaves import render_leaves, sample_leaves

PHOTO = Path(__file__).parents[2] / "experiments" / "photo"


def test_what_is_drawn_meanwhile_is_taken_in_once_and_moving_ground_is_told(tmp_path: Path) -> None:
    drawn = [
        render_leaves(sample_leaves(np.random.default_rng((101, seed)), CLIP_FRAMES)) for seed in range(CLIPS_PER_FILE)
    ]
    names = ("frames", "points", "visibility", "owner")
    arrays = {f"{name}{place}": getattr(clip, name) for place, clip in enumerate(drawn) for name in names}
    np.savez(tmp_path / "0.npz", **arrays)
    clips = LeafClips(tmp_path, torch.device("cpu"))
    clips.refresh()
    clips.refresh()
    assert len(clips.frames) == CLIPS_PER_FILE
    assert not list(tmp_path.glob("*.npz"))

    vae = load_tiny_vae(PHOTO / "tiny_vae.safetensors")
    clips.encode(vae, Engine(Compute(torch.device("cpu"), "fp32")))
    batch = clips.batch(24, View(13, 8), np.random.default_rng(1))
    assert batch.latents.shape == (24, 24, 13, 8, 8)
    moving = {
        place
        for place, clip in enumerate(drawn)
        if np.median(np.linalg.norm((clip.points[-1] - clip.points[0])[clip.owner == 0], axis=-1)) > MOVES_PX
    }
    assert moving, "no clip of these seeds has a moving background"
    for place in moving:
        points, _, owner = clips._tracks[place]
        for seed in range(20):
            assert (owner[clips._told(points, owner, np.random.default_rng(seed))] == -1).any()


def test_the_vae_of_photos_reads_what_the_student_is_made_for() -> None:
    """Both files belong together, and the VAE holds a clip it never saw."""
    student, vae = load_model(PHOTO / "student.safetensors"), load_tiny_vae(PHOTO / "tiny_vae.safetensors")
    assert student.spec == SPEC
    assert vae.config.latent_channels == SPEC.backbone.out_channels
    clip = render_leaves(sample_leaves(np.random.default_rng(5), CLIP_FRAMES), slice(0, 9))
    frames = torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255
    with torch.no_grad():
        error = (vae.decode(vae.encode(frames)) - frames).square().mean()
    assert -10 * error.log10() > 22


def test_a_drag_shows_the_same_texture_under_its_points_and_all_that_moves_is_told() -> None:
    pictures = draw_pictures(np.random.default_rng(0), 3)
    some_let_go = False
    for seed in range(30):
        clip = draw_drag(np.random.default_rng((3, seed)), pictures, 25, 96)
        again = draw_drag(np.random.default_rng((3, seed)), pictures, 25, 96)
        assert (clip.frames == again.frames).all()
        last = clip.points[-1].round().astype(int).clip(0, 95)
        on_moving = clip.moves[clip.owner] & (clip.owner >= 0)
        seen = clip.visibility[-1] & on_moving
        assert (clip.moved[-1, last[:, 1], last[:, 0]][seen] > 0.4).all()
        told = told_points(clip, np.random.default_rng(seed))
        assert set(np.flatnonzero(clip.moves[:-1])) <= set(clip.owner[told])
        if not clip.visibility[-1].any():
            some_let_go = True
            assert (clip.frames[-1] == clip.frames[-2]).all()
    assert some_let_go


def test_the_judge_of_drags_knows_truth_from_the_first_frame_held() -> None:
    photo = draw_pictures(np.random.default_rng(1), 1)[0][:128, :128]
    for case in cases_of([photo, photo[::-1].copy()]):
        span = SPANS["37..48"]
        correlation, psnr_db, overlap = figures_of(case, case.clip.frames, span)
        assert correlation > 0.999
        assert psnr_db > 60
        assert np.isnan(overlap) or overlap > 0.99
        held = figures_of(case, np.repeat(case.clip.frames[:1], len(case.clip.frames), 0), span)
        assert held[1] < 40


def test_a_state_is_read_back_and_the_cpu_optimizer_goes_where_the_engines_goes(tmp_path: Path) -> None:
    def step(kind: type[Optimizer]) -> Part:
        torch.manual_seed(2)
        model = torch.nn.ModuleDict({"blocks": torch.nn.Linear(24, 48), "head": torch.nn.Linear(48, 4)})
        part = Part("student", model, kind(model, OptimizerSettings(learning_rate=0.02)), Ema(model, 0.9))
        model["head"](model["blocks"](torch.randn(32, 24))).square().mean().backward()
        part.optimizer.step()
        assert part.ema is not None
        part.ema.update(model)
        return part

    mine, engines = step(CpuOptimizer).tensors(), step(Optimizer).tensors()
    assert mine.keys() == engines.keys()
    for name, value in mine.items():
        torch.testing.assert_close(value, engines[name], atol=2e-4, rtol=0.05)
    part, other = step(CpuOptimizer), step(CpuOptimizer)
    for value in other.tensors().values():
        value.zero_()
    write_state(tmp_path / "state.safetensors", part, 7, 1.5)
    assert read_state(tmp_path / "state.safetensors", other) == (7, 1.5)
    for name, value in part.tensors().items():
        assert (value == other.tensors()[name]).all()


def test_a_hint_carries_what_lies_around_a_point_and_holds_it_once_it_is_let_go() -> None:
    photo = (draw_pictures(np.random.default_rng(4), 1)[0][:64, :64] * 255).astype(np.uint8)
    points = np.tile(np.array([20, 40], np.float32), (9, 2, 1))
    points[:, 0, 0] += 3 * np.arange(9)  # the first is dragged to the right, the second stands at another place
    points[:, 1] = (50, 10)
    visibility = np.ones((9, 2), bool)
    visibility[6:, 0] = False
    frames, masks = hinted(photo, points, visibility)
    assert (frames[0] == photo).all()
    assert (np.abs(frames[4][37:44, 29:36].astype(int) - photo[37:44, 17:24]) <= 1).all()
    assert (frames[8] == frames[5]).all()
    assert masks[4, 0, 40, 32] == 1
    assert masks[4, 1, 40, 20] == 1
    assert masks[4, 1, 10, 50] == 0, "what stands still leaves nothing open"
    slot = mask_cells(masks)
    assert slot.shape == (4, 3, 8, 8)
    assert (slot[:, 0] == 1).all()
    unseen = hinted(photo, points, np.zeros((9, 2), bool))
    assert (unseen[0] == photo).all()
    assert not unseen[1].any()


def test_a_hinted_stream_has_the_hint_in_place_of_nothing() -> None:
    student, vae = load_model(PHOTO / "student.safetensors"), load_tiny_vae(PHOTO / "tiny_vae.safetensors")
    photo = (draw_pictures(np.random.default_rng(4), 1)[0][:64, :64] * 255).astype(np.uint8)
    points, visibility = torch.full((13, 1, 2), 30.0), torch.ones(13, 1, dtype=torch.bool)
    image = torch.from_numpy(photo).permute(2, 0, 1)[None, :, None].float() / 255
    context = encode_prompt(student.model, student.spec, "")
    tracks = KnownTracks(Tracks(points, visibility, 64, 64))
    with torch.no_grad():
        plain = StreamConditions(student.model, student.spec, context, tracks, image=image, vae=vae)
        hinted_stream = HintedConditions(plain, vae, photo, points, visibility)
        first, later = student.spec.chunk_plan.chunks(4)
        for chunk in (first, later):
            without, conditions = plain(chunk), hinted_stream(chunk)
            assert conditions.image is not None
            assert conditions.mask is not None
            assert without.image is not None
            assert conditions.image.shape == without.image.shape
            assert conditions.mask.shape[2] == chunk.num_frames
            assert (conditions.image != 0).any()
            assert (without.image != 0).any() == (chunk.index == 0)
        torch.testing.assert_close(hinted_stream(first).image, plain(first).image, atol=1e-3, rtol=1e-3)
