"""A small random student, opened as the page opens a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.live.open import Opened
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.render.prompts import OwnWords
from motionstream_core.streaming.render.renderer import Renderer
from tests.core.streaming.conftest import make_model, vae  # noqa: F401  fixtures

PICTURE = np.random.default_rng(3).integers(0, 256, (32, 48, 3), dtype=np.uint8)
PROMPT = "a red circle"


@pytest.fixture
def model_changes() -> dict[str, Any]:
    """What the model's spec has unlike the others'; a module may override it."""
    return {}


@pytest.fixture
def make_opened(
    make_model: Callable[..., LoadedModel],  # noqa: F811
    vae: TinyVae,  # noqa: F811
    model_changes: dict[str, Any],
) -> Callable[..., Opened]:
    """(chunk_frames, ...) -> an opened random model of 32 x 48 px."""

    def make(**given: Any) -> Opened:
        renderer = Renderer(make_model(**model_changes), OwnWords(), vae, vae, torch.device("cpu"))
        renderer.settle()
        return Opened(renderer, (32, 48), seed=5, name="random", **given)

    return make


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    """A stream may change how many threads torch computes with."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
