"""Clips that a training for photos takes in while they are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from experiments.photo import drag
from experiments.photo.__main__ import CLIP_FRAMES, CLIPS_PER_FILE, MOVES_PX, SPEC, LeafClips
from experiments.photo.drag import SPEC as DRAG_SPEC
from experiments.photo.drag import WORDS
from experiments.photo.drags import draw_drag, draw_pictures
from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.world.leaves import render_leaves, sample_leaves


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
    assert student.spec == replace(DRAG_SPEC, vocabulary=WORDS)
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


@pytest.mark.thorough
def test_training_goes_on_where_it_was_and_half_of_the_head_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drag, "PHASES", (drag.Phase(1.0, View(4, 8), 1, 0.5, 2),))
    monkeypatch.setattr(drag, "FIRST_PICTURES", 2)
    monkeypatch.setattr("sys.argv", ["drag", str(tmp_path), "--steps", "1"])
    drag.main()
    monkeypatch.setattr("sys.argv", ["drag", str(tmp_path), "--steps", "2"])
    drag.main()
    assert [path.name for path in (tmp_path / "checkpoints").glob("step_*")] == ["step_00000002"]
    whole, half = (load_model(tmp_path / f"{name}.safetensors").model for name in ("student", "released"))
    assert whole.head.head.weight.abs().max() > 0
    torch.testing.assert_close(half.head.head.weight, whole.head.head.weight / 2, atol=1e-4, rtol=1e-2)
