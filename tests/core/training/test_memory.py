"""What the stages hold in memory, counted on tensors without data."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from motionstream_core.checkpoints import build_model
from motionstream_core.models.conditioning import Conditions
from motionstream_core.models.kv_cache import KVCache
from motionstream_core.models.live_bytes import LiveBytes
from motionstream_core.streaming.rollout import GradientPolicy
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.recipes.wan import LATENT_FRAMES, WAN_PRESETS
from motionstream_core.training.stages.student import training_rollout
from tests.core.training.narrow_wan import CELLS, narrow

GIB = 2**30


def test_bytes_are_counted_while_they_are_held() -> None:
    with LiveBytes(ignored=[torch.Size((3,))]) as live:
        kept = torch.zeros(1000, device="meta")
        assert live.now == 4000
        view = kept[:10].view(2, 5)
        torch.zeros(3, device="meta")
        assert live.now == 4000
        passing = kept.double()
        assert (live.now, live.peak) == (12000, 12000)
        del passing
        kept.add_(1)
        assert (live.now, live.peak) == (4000, 12000)
        del kept
        assert live.now == 4000  # the view holds it
        del view
        assert live.now == 0


def test_the_context_of_a_rollout_takes_what_its_chunks_saw_once() -> None:
    """1.3B at 832 x 480: cache and snapshots of all chunks, at full size."""
    spec = WAN_PRESETS["wan2.1-1.3b"].student
    height, width = (side // spec.vae_stride.space for side in spec.frame_size)
    backbone = spec.backbone
    with torch.device("meta"):
        model = build_model(spec).bfloat16()
    with LiveBytes() as live:
        cache = model.make_cache(
            1, height, width, sink_frames=3, window_frames=3, chunk_frames=3, rope_rule=spec.rope_rule
        )
        held = []
        token = torch.zeros(1, 3 * 1560, backbone.num_heads, backbone.head_dim, device="meta", dtype=torch.bfloat16)
        for _ in range(LATENT_FRAMES // 3):
            cache.begin(3)
            held += [cache.layer(index).snapshot() for index in range(backbone.num_layers)]
            with torch.no_grad(), cache.keeping():
                cache.begin(3)
                for index in range(backbone.num_layers):
                    cache.layer(index).attend(token, token, token)
    frame = 2 * 1560 * 1536 * 30 * 2  # keys and values of one latent frame
    buffers = 1560 * 1536 * 30 * 2 * (9 + 9 + 3)
    # chunk 1 sees the sink; every later one the sink again and the chunk before it
    assert live.now == pytest.approx(buffers + frame * (3 + 5 * 3), rel=0.01)
    assert live.now < 9 * GIB


def test_under_autocast_the_cache_is_as_narrow_as_what_attention_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = narrow(WAN_PRESETS["wan2.2-5b"]).student
    model, shape = build_model(spec), torch.Size((1, 48, 6, CELLS, CELLS))
    whole = Conditions(model.prepare_context(torch.zeros(1, 2, 12)), track=torch.zeros(shape))
    made, make = [], model.make_cache

    def noted(*args: Any, **settings: Any) -> KVCache:
        made.append(make(*args, **settings))
        return made[-1]

    monkeypatch.setattr(model, "make_cache", noted)
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        with Engine(Compute(torch.device("cpu"), precision)).autocast():  # type: ignore[arg-type]
            rolled = list(training_rollout(model, spec, whole, shape, GradientPolicy(0), seed=1))
        assert rolled[-1].latents.requires_grad
        assert made[-1].num_bytes == made[0].num_bytes * dtype.itemsize // 2
