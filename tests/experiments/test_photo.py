"""Clips that a training for photos takes in while they are drawn."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from experiments.photo import drag
from experiments.photo.__main__ import CLIP_FRAMES, CLIPS_PER_FILE, MOVES_PX, SPEC, LeafClips
from experiments.photo.clips import (
    TURN,
    VOCABULARY,
    Clips,
    Drag,
    asked_of,
    carried,
    draw,
    draw_captions,
    draw_stills,
    video_tensor,
)
from experiments.photo.drag import SPEC as DRAG_SPEC
from experiments.photo.dragged import at_rest, behind, case_of, told
from experiments.photo.drags import draw_drag, draw_pictures
from experiments.photo.judge import under_camera
from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.evaluation.world.report import frames_tensor
from motionstream_core.geometry import ChunkPlan
from motionstream_core.tracks import Tracks
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.world.leaves import render_leaves, sample_leaves
from motionstream_core.world.weather import FALLS, weathered
from motionstream_core.world.weather import WORDS as WEATHER


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

    vae = load_tiny_vae(PHOTO_TINY_VAE)
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
    student, vae = load_model(PHOTO_STUDENT), load_tiny_vae(PHOTO_TINY_VAE)
    assert student.spec == DRAG_SPEC
    assert vae.config.latent_channels == SPEC.backbone.out_channels
    clip = render_leaves(sample_leaves(np.random.default_rng(5), CLIP_FRAMES), slice(0, 9))
    frames = torch.from_numpy(clip.frames).permute(3, 0, 1, 2)[None].float() / 255
    with torch.no_grad():
        error = (vae.decode(vae.encode(frames)) - frames).square().mean()
    assert -10 * error.log10() > 22


def test_the_points_of_a_drag_stay_on_what_they_are_on() -> None:
    """Of the colour at a point in frame 0 much is left where the clip says that the point is, and little elsewhere."""
    pictures, kept, still = draw_pictures(np.random.default_rng(4), 4), [], []
    for seed in range(12):
        clip = draw_drag(np.random.default_rng((5, seed)), pictures, 25, 128)
        travel = np.linalg.norm(clip.points[-1] - clip.points[0], axis=-1)
        chosen = np.flatnonzero(clip.visibility[0] & clip.visibility[-1] & (travel > 8))
        places = [clip.points[frame][chosen].astype(int).clip(0, 127) for frame in (0, -1)]
        first, last = (clip.frames[frame][at[:, 1], at[:, 0]] for frame, at in zip((0, -1), places, strict=True))
        kept.append(np.abs(last.astype(float) - first).mean(-1))
        there = clip.frames[-1][places[0][:, 1], places[0][:, 0]]
        still.append(np.abs(there.astype(float) - first).mean(-1))
    assert len(np.concatenate(kept)) > 60
    assert np.concatenate(kept).mean() < 0.4 * np.concatenate(still).mean()


def test_a_still_picture_is_told_as_a_stream_tells_it() -> None:
    vae, view = load_tiny_vae(PHOTO_TINY_VAE).float(), View(7, 8)
    pictures = draw_pictures(np.random.default_rng(4), 2)
    for still in draw_stills(np.random.default_rng(1), 3, pictures, DRAG_SPEC, vae, view):
        first = frames_tensor(still.frames[:1])[0, :, 0]
        with torch.no_grad():
            image, mask = carried(vae, DRAG_SPEC, first, Tracks(still.points, still.visibility, 64, 64))
        torch.testing.assert_close(still.image, image, atol=1e-4, rtol=0)
        torch.testing.assert_close(still.mask, mask)


def test_a_drag_is_kept_whole_and_its_beginning_is_that_of_the_longer_one(tmp_path: Path) -> None:
    vae, view = load_tiny_vae(PHOTO_TINY_VAE).float(), View(7, 8)
    pictures = draw_pictures(np.random.default_rng(4), 2)
    drag = draw(np.random.default_rng(3), pictures, DRAG_SPEC, vae, view)
    drag.save(tmp_path / "0.npz")
    again = Drag.load(tmp_path / "0.npz")
    assert np.array_equal(again.frames, drag.frames)
    assert all(torch.equal(getattr(again, name), getattr(drag, name)) for name in ("points", "visibility", "image"))
    part = drag.first(4, DRAG_SPEC.vae_stride)
    tracks = Tracks(part.points.nan_to_num(), part.visibility, 64, 64)
    with torch.no_grad():
        image, mask = carried(vae, DRAG_SPEC, frames_tensor(drag.frames[:1])[0, :, 0], tracks)
    torch.testing.assert_close(part.image, image, atol=1e-4, rtol=0)
    torch.testing.assert_close(part.mask, mask)
    assert part.frames.shape[0] == part.points.shape[0] == 13


def test_captions_are_of_known_words_and_turn_where_every_chunk_ends() -> None:
    drawn = [draw_captions(np.random.default_rng(seed), 13, 5.0) for seed in range(300)]
    assert all(words in VOCABULARY for captions in drawn for words in captions[0].replace(",", " , ").split())
    asked = {words for captions in drawn for words in asked_of(captions)[0]}
    assert asked == set(WEATHER)
    even = [draw_captions(np.random.default_rng(seed), 13, 1.0) for seed in range(300)]
    often, seldom = (sum(bool(asked_of(each)[0] & set(FALLS)) for each in kind) for kind in (drawn, even))
    assert often > 1.2 * seldom
    turns = [captions for captions in drawn if len(set(captions)) > 1]
    assert 90 < len(turns) < 200
    assert all(len(set(captions[:TURN])) == 1 and len(set(captions[TURN:])) == 1 for captions in turns)
    starts = ({chunk.start for chunk in ChunkPlan(size, 1).chunks(13)} for size in drag.CHUNKS)
    assert all(TURN in each for each in starts)


def test_a_batch_is_what_its_words_and_its_noise_make_of_it(tmp_path: Path) -> None:
    vae = load_tiny_vae(PHOTO_TINY_VAE).float()
    pictures = draw_pictures(np.random.default_rng(4), 2)
    one = draw(np.random.default_rng(3), pictures, DRAG_SPEC, vae, View(7, 8))
    one.save(tmp_path / "00000.npz")
    drawn = Clips(tmp_path, DRAG_SPEC, vae, 0).batch(View(7, 8), 8, 0.0, np.random.default_rng(9), 3.0, 5.0)
    assert len({captions[0] for captions in drawn.captions}) > 2
    touched = (one.mask[:2] > 0).any(0)
    touched[0] = False
    assert touched.any() and not touched.all()
    unasked = 0
    for number, captions in enumerate(drawn.captions):
        noise = drawn.noise[number].numpy()
        truth = weathered(one.frames / np.float32(255), asked_of(captions), noise, DRAG_SPEC.vae_stride)
        with torch.no_grad():
            latents = vae.encode(video_tensor(truth)[None])[0]
        if not any(asked_of(captions)):  # then what was told is the aim where the drag was
            latents, unasked = torch.where(touched, one.image, latents), unasked + 1
        torch.testing.assert_close(drawn.batch.latents[number], latents, atol=1e-3, rtol=1e-3)
    assert 0 < unasked < 8
    assert {1.0, 4.0} <= set(drawn.weight.unique().tolist())


@pytest.mark.parametrize("pan_px", [0, 12])
def test_of_what_a_piece_uncovers_a_blur_is_told_from_texture(pan_px: int) -> None:
    picture, source = draw_pictures(np.random.default_rng(5), 2)
    pan = np.linspace(0, 1, 49)[:, None] * np.array([-pan_px, 0])
    ground = under_camera(picture[:160, :160], pan, np.ones(49)) if pan_px else at_rest(picture)
    case = case_of(np.random.default_rng(6), ground, source, points=9)
    span = slice(40, 49)
    quality, roughness = behind(case, case.still, span)
    assert quality > 60 and roughness == pytest.approx(1)
    soft = np.stack([cv2.blur(frame, (9, 9)) for frame in case.still])
    quality, roughness = behind(case, soft, span)
    assert quality < 40 and roughness < 0.5
    stood, left = case.clip.moved[0] > 0.5, case.left(48)
    assert left.any() and not (left & (case.clip.moved[48] > 0.5)).any()
    assert not (left[:, : -pan_px or None] & ~stood[:, pan_px:]).any()  # where the ground is that it stood on
    assert told(case.clip).num_tracks == (9 + 64 if pan_px else 9)


def test_bf16_is_refused_where_it_is_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("experiments.photo.__main__.cpu_is_fast_in_bf16", lambda: False)
    monkeypatch.setattr("sys.argv", ["drag", str(tmp_path / "out"), "--precision", "bf16"])
    with pytest.raises(SystemExit):
        drag.main()
    assert "leave out BF16=1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.thorough
def test_training_goes_on_where_it_was_and_the_student_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drag, "PHASES", (drag.Phase(1.0, View(4, 8), 2, 0.5, 0.5, 5.0),))
    monkeypatch.setattr(drag, "WHOLE", View(4, 8))
    monkeypatch.setattr(drag, "CHUNKS", (1, 3))
    monkeypatch.setattr(drag, "DRAGS", 2)
    monkeypatch.setattr("experiments.photo.clips.PICTURES", 2)
    monkeypatch.setattr("sys.argv", ["drag", str(tmp_path), "--steps", "1"])
    drag.main()
    monkeypatch.setattr("sys.argv", ["drag", str(tmp_path), "--steps", "2"])
    drag.main()
    assert [path.name for path in (tmp_path / "checkpoints").glob("step_*")] == ["step_00000002"]
    assert len(list((tmp_path / "drags").glob("*.npz"))) == 2
    released, before = load_model(tmp_path / "released.safetensors"), load_model(PHOTO_STUDENT)
    assert released.spec == DRAG_SPEC
    changed = [
        name
        for name, value in released.model.state_dict().items()
        if not torch.equal(value, before.model.state_dict().get(name, torch.zeros(0)).to(value))
    ]
    assert any("cross_attn" in name for name in changed)
