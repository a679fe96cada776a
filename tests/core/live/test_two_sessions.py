"""Two live sessions of one opened model: neither disturbs the other, and both compute with the same weights."""

from __future__ import annotations

import gc
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor

from motionstream_core.live.open import Opened
from motionstream_core.streaming.session import SessionHooks, StreamSession
from motionstream_core.tracks.drawn.document import Grid

from .conftest import PICTURE, PROMPT

CHUNKS = 4


@pytest.fixture
def model_changes() -> dict[str, Any]:
    return {"image_rule": "carried", "image_skip": 0.5}


def dragged(opened: Opened, x: float) -> StreamSession:
    session = opened.session(PICTURE, PROMPT, SessionHooks())
    session.add_samples(7, [(x, 9.0), (x + 8, 12.0)], Grid(2, 2, 4.0, 4.0))
    return session


def test_sessions_that_run_at_once_make_what_each_makes_alone(make_opened: Callable[..., Opened]) -> None:
    opened = make_opened()
    alone = [[each.latents for each in islice(dragged(opened, x).run(), CHUNKS)] for x in (5.0, 30.0)]
    together = zip(*(islice(dragged(opened, x).run(), CHUNKS) for x in (5.0, 30.0)), strict=True)
    for number, pair in enumerate(together):
        for expected, made in zip(alone, pair, strict=True):
            assert torch.equal(expected[number], made.latents)
    assert not torch.equal(alone[0][-1], alone[1][-1])


def test_the_weights_are_in_memory_once(make_opened: Callable[..., Opened]) -> None:
    opened = make_opened()
    network, vae = opened.loaded.model, opened.renderer.encoder
    assert isinstance(network, torch.nn.Module)
    weights = [
        each for module in (network, vae) for each in module.parameters() if each.numel() > 64 and each.std() > 0
    ]
    assert len(weights) > 20
    before = places_of(weights)  # other tests' models may not be collected yet
    runs = [dragged(opened, x).run() for x in (5.0, 30.0)]
    for run in runs * 2:
        next(run)
    for weight, there, now in zip(weights, before, places_of(weights), strict=True):
        assert weight.untyped_storage().data_ptr() in now and now <= there, weight.shape


def places_of(weights: list[torch.nn.Parameter]) -> list[set[int]]:
    """Of each weight the storages in this process that hold its values."""
    living: dict[int, list[Tensor]] = {}
    for each in gc.get_objects():
        # isinstance would ask some of torch's own objects what they are; other tests leave tensors without data
        if type(each) in (Tensor, torch.nn.Parameter) and each.device.type == "cpu":
            living.setdefault(each.numel(), []).append(each)
    return [
        {
            each.untyped_storage().data_ptr()
            for each in living[weight.numel()]
            if torch.equal(each.flatten(), weight.flatten())
        }
        for weight in weights
    ]
