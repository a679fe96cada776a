"""The judge of caption adherence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from experiments.effect_classifier import (
    SHOWN_AT,
    EffectClassifier,
    caption_effect,
    shown_frames,
    train_classifier,
    trained_classifier,
)
from experiments.runs import Study
from motionstream_core.world import EFFECTS


def video_of(effect: int, seed: int) -> np.ndarray:
    """A caricature of each effect on noise: nothing, white specks, darkness, a coloured band."""
    rng = np.random.default_rng(seed)
    video = np.repeat(rng.integers(90, 160, (1, 32, 32, 3)), 49, 0).astype(np.float64)
    ramp = np.linspace(0, 1, 49)[:, None, None, None]
    if effect == 1:
        video[30:, ::6, ::6] = 250
    elif effect == 2:
        video *= 1 - 0.6 * ramp
    elif effect == 3:
        video[:, 8:14] += ramp * np.array([90, -60, 40])
    return np.clip(video, 0, 255).astype(np.uint8)


def test_what_is_shown() -> None:
    video = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    shown = shown_frames(video).unflatten(0, (len(SHOWN_AT), 3))
    assert torch.allclose(shown[0] + 0.5, torch.from_numpy(video[0]).permute(2, 0, 1) / 255)
    back = shown[2] / 2 + shown[0] + 0.5
    assert torch.allclose(back, torch.from_numpy(video[SHOWN_AT[2]]).permute(2, 0, 1) / 255, atol=1e-6)
    with pytest.raises(ValueError, match="48 frames"):
        shown_frames(video[:48])


def test_captions_name_their_effect() -> None:
    for index, effect in enumerate(EFFECTS):
        assert caption_effect(f"a red circle and a blue star , {effect}") == index


def test_training_tells_the_effects_apart() -> None:
    effects = torch.arange(4).repeat(12)
    shown = torch.stack([shown_frames(video_of(int(e), i)) for i, e in enumerate(effects)])
    model = train_classifier(shown, effects, num_steps=60, batch_size=24)
    held_out = [video_of(e, 1000 + i) for i in range(5) for e in range(4)]
    right = model.judge(held_out) == torch.arange(4).repeat(5)
    assert right.float().mean() >= 0.9


def test_a_trained_classifier_is_kept(small_study: Study) -> None:
    path = small_study.folder / "kept.pt"
    first = trained_classifier(path, small_study.vae, num_clips=3, num_steps=2)
    again = trained_classifier(path, small_study.vae, num_clips=0, num_steps=0)
    assert isinstance(again, EffectClassifier)
    videos = [video_of(index, index) for index in range(4)]
    assert torch.equal(first.judge(videos), again.judge(videos))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
