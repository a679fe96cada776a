"""The image as a first guess: the velocity beside the blocks' is the regression of noise less clean on what is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from motionstream_core.checkpoints import ModelSpec, build_model
from motionstream_core.diffusion.flow import clean_from_velocity
from motionstream_core.models.track_wan import ImageSkip
from tests.core.tiny_models import CHANNELS, TINY_TEACHER

SPEC = replace(TINY_TEACHER, role="student", image_skip=0.5, pin_first_latent=True)


@pytest.mark.parametrize("sigma", [0.0, 0.3, 0.7, 1.0])
def test_the_velocity_is_the_regression_on_what_is_seen(sigma: float) -> None:
    rng, guess, deviation = np.random.default_rng(1), 0.8, 0.5
    clean, noise = guess + deviation * rng.normal(size=400_000), rng.normal(size=400_000)
    noisy = (1 - sigma) * clean + sigma * noise
    slope, offset = np.polyfit(noisy, noise - clean, 1)
    skip = ImageSkip(slice(0, 1), slice(1, 2), deviation)
    seen = torch.tensor([-1.0, 0.0, 2.0])
    latents = torch.stack([seen, torch.full((3,), guess)])[None, :, None, None]
    made = skip.velocity(latents, torch.tensor([1000 * sigma])).flatten()
    torch.testing.assert_close(made, (slope * seen + offset).float(), atol=0.02, rtol=0)


def test_each_frame_has_its_own_level() -> None:
    skip = ImageSkip(slice(0, 2), slice(2, 4), 0.5)
    latents = torch.randn(2, 4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    steps = torch.tensor([[0.0, 400.0, 1000.0], [900.0, 10.0, 500.0]])
    together = skip.velocity(latents, steps)
    for clip in range(2):
        for frame in range(3):
            alone = skip.velocity(latents[clip : clip + 1, :, frame : frame + 1], steps[clip, frame][None])
            torch.testing.assert_close(together[clip : clip + 1, :, frame : frame + 1], alone)


def test_a_model_whose_head_is_silent_shows_its_image() -> None:
    model = build_model(SPEC).eval()
    torch.nn.init.zeros_(model.head.head.weight)
    torch.nn.init.zeros_(model.head.head.bias)
    latents = torch.randn(1, SPEC.backbone.in_channels, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    context = model.prepare_context(torch.zeros(1, 1, SPEC.backbone.text_dim))
    with torch.no_grad():
        velocity = model(latents, torch.tensor([1000.0]), context)
    shown = clean_from_velocity(latents[:, :CHANNELS], velocity, 1.0)
    torch.testing.assert_close(shown, latents[:, SPEC.layout.span("image")], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_skip": -1.0}, "image_skip is -1.0"),
        ({"image_skip": float("nan")}, "image_skip is nan"),
    ],
)
def test_another_deviation_is_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **changes)  # type: ignore[arg-type]


def test_the_spec_says_so() -> None:
    make: Callable[[str], ModelSpec] = ModelSpec.from_json
    assert make(SPEC.to_json()) == SPEC
    assert build_model(SPEC).image_skip == ImageSkip(slice(0, 4), slice(8, 12), 0.5)
    assert build_model(replace(SPEC, image_skip=0.0)).image_skip is None
