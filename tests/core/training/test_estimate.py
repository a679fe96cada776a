"""The estimate of a run's cost against sums made by hand, and against what the paper says it took."""

from __future__ import annotations

import pytest

from motionstream_core.checkpoints import ModelSpec, build_model
from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.wan import WanConfig
from motionstream_core.training.recipes.estimate import (
    ClipCost,
    clip_cost,
    count_parameters,
    distill_cost,
    state_gib,
    teacher_cost,
)

SMALL = ModelSpec(
    role="teacher",
    backbone=WanConfig(dim=32, ffn_dim=48, num_heads=2, num_layers=3, in_channels=12, out_channels=4, text_dim=8),
    layout=InputLayout((("noise", 4), ("image", 4), ("track", 4))),
    track_head=TrackHeadConfig(id_dim=8, out_channels=4),
    vae_stride=VaeStride(4, 8),
    image_rule="first_latent",
    chunk_plan=ChunkPlan(3, 3),
    sink_frames=3,
    window_frames=3,
    frame_size=(64, 96),
)
ROWS, COLUMNS = 64 // 16, 96 // 16


def forward_flop(num_tokens: int, num_keys: int, num_frames: int) -> int:
    """Two operations per multiplication: tokens through all layers, and one timestep's embedding."""
    backbone = SMALL.backbone
    dim, patch = backbone.dim, 4
    self_attention = 4 * dim * dim * num_tokens + 2 * dim * num_tokens * num_keys
    cross_attention = 2 * dim * dim * num_tokens + 2 * dim * num_tokens * backbone.text_len
    layer = self_attention + cross_attention + 2 * dim * backbone.ffn_dim * num_tokens
    time = num_frames * (backbone.freq_dim * dim + dim * dim + 6 * dim * dim)
    ends = num_tokens * (backbone.in_channels * patch * dim + dim * backbone.out_channels * patch)
    return 2 * (backbone.num_layers * layer + time + ends)


def test_parameters_are_those_of_the_model() -> None:
    assert count_parameters(SMALL) == sum(p.numel() for p in build_model(SMALL).parameters())


def test_a_clip_costs_what_its_products_cost() -> None:
    cost = clip_cost(SMALL, 9)
    tokens = 9 * ROWS * COLUMNS
    assert cost.forward * 1e12 == pytest.approx(forward_flop(tokens, tokens, 1))
    chunk = 3 * ROWS * COLUMNS
    # three chunks, two denoise steps and one cache pass each; the third sees sink, window and itself
    expected = sum(3 * forward_flop(chunk, seen * chunk, 1) for seen in (1, 2, 3))
    assert cost.rollout * 1e12 == pytest.approx(expected)


def test_hours_come_near_the_papers() -> None:
    """32 A100 at two fifths of their peak; the paper: teacher about 3 days, student about 20 hours (section 4)."""
    cost = ClipCost(forward=284.4, rollout=477.8)  # Wan 2.1 1.3B, 21 latents of 832 x 480
    throughput = 32 * 312 * 0.4
    assert 40 < teacher_cost(cost, 4800, 128, throughput).hours < 80
    assert 15 < distill_cost(cost, 400, 64, 5, throughput).hours < 25


def test_state_is_shared_out() -> None:
    one = state_gib(SMALL, 1)
    assert one == pytest.approx(count_parameters(SMALL) * 20 / 2**30)
    assert state_gib(SMALL, 8, trained=2, frozen=1) == pytest.approx(one / 20 * 42 / 8)
