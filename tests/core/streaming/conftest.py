"""A small random model and VAE, from which the tests of conditions, streams and sessions build theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import LoadedModel, build_model
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from tests.core.tiny_models import TINY_TEACHER

SPEC = replace(
    TINY_TEACHER,
    role="student",
    backbone=replace(TINY_TEACHER.backbone, text_len=6),
    pin_first_latent=True,
    vocabulary=("a", "red", "blue", "circle", ",", "snow"),
    frame_size=(32, 48),
)


@pytest.fixture
def make_model() -> Callable[..., LoadedModel]:
    """(changes of the spec) -> a random model whose every input matters, the same at every call."""

    def make(**changes: Any) -> LoadedModel:
        spec = replace(SPEC, **changes)
        model = build_model(spec).eval().requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.0 if "norm" in name else 0.3))
        return LoadedModel(model, spec)

    return make


@pytest.fixture
def vae() -> TinyVae:
    """Random, stride 4 x 8, four latent channels, frames that differ."""
    torch.manual_seed(1)
    config = TinyVaeConfig(
        latent_channels=4,
        patch_size=2,
        decoder_widths=(12, 8, 8, 6),
        encoder_width=6,
        decoder_space_upscale=(True, True, False),
        encoder_space_downscale=(True, True, False),
    )
    vae = TinyVae(config).eval().requires_grad_(False)
    for parameter in vae.parameters():
        parameter *= 2
    return vae
