"""Clips that a training for photos takes in while they are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from experiments.photo.__main__ import CLIP_FRAMES, CLIPS_PER_FILE, MOVES_PX, SPEC, LeafClips
from experiments.photo.drag import SPEC as DRAG_SPEC
from experiments.photo.drag import WORDS
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
