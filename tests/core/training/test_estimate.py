"""The estimate of a run's cost against sums made by hand, and against what the paper says it took."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from torch.utils.flop_counter import FlopCounterMode

from motionstream_core.checkpoints import ModelSpec, build_model
from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.vae.wan_vae import WanVae
from motionstream_core.models.wan import WanConfig
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import MicroBatches
from motionstream_core.training.recipes.estimate import (
    clip_megabytes,
    count_parameters,
    prepare_estimate,
    preset_costs,
    stage_estimates,
    state_gib,
)
from motionstream_core.training.recipes.micro_costs import Cost, causal_cost, distill_costs, guided_cost
from motionstream_core.training.recipes.prepare_costs import PrepareCost, encoding_tflop, prepare_cost
from motionstream_core.training.recipes.wan import WAN_PRESETS
from motionstream_core.training.stages.causal_loss import CausalMasks
from motionstream_core.training.stages.distill import DistillTraining

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
STUDENT = replace(SMALL, role="student")
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


def context_flop() -> int:
    """Text embedded once, and its keys and values in every layer."""
    backbone = SMALL.backbone
    dim, tokens = backbone.dim, backbone.text_len
    embedded = backbone.text_dim * dim + dim * dim
    return 2 * tokens * (embedded + backbone.num_layers * 2 * dim * dim)


def head_flop(num_frames: int) -> int:
    """The track head: one product for every latent cell."""
    return 2 * num_frames * (64 // 8) * (96 // 8) * 4 * 8 * 4


def test_a_guided_step_costs_what_its_products_cost() -> None:
    tokens = 9 * ROWS * COLUMNS
    expected = 3 * forward_flop(tokens, tokens, 1) + 2 * context_flop() + head_flop(9)
    assert guided_cost(SMALL, View(9, 12), 3).tflop * 1e12 == pytest.approx(expected)


@pytest.mark.slow
def test_a_critics_micro_batch_costs_what_its_products_cost() -> None:
    """A rollout of two denoise steps and a cache pass a chunk; the third chunk sees sink, window and itself."""
    training = DistillTraining(batches=MicroBatches(1, 1), view=View(9, 12))
    _, critic = distill_costs(SMALL, STUDENT, training, 3)
    chunk, tokens = 3 * ROWS * COLUMNS, 9 * ROWS * COLUMNS
    rollout = sum(3 * forward_flop(chunk, seen * chunk, 1) for seen in (1, 2, 3))
    step = forward_flop(tokens, tokens, 1)
    # forward, again for the gradient, and twice itself backwards, but for what has no gradient: the input's
    least = rollout + 3.5 * step
    assert least < critic.tflop * 1e12 < rollout + 4 * step + 6 * (context_flop() + head_flop(9))


@pytest.mark.slow
def test_a_causal_micro_batch_costs_what_the_masks_let_it_see() -> None:
    """The past and the clip in one pass; the mean over all masks is theirs one by one."""
    view, drawn = View(6, 12), CausalMasks((0, 1), (1, 2), own_share=0.0)

    def cost(sinks: tuple[int, int], windows: tuple[int, int]) -> float:
        return causal_cost(STUDENT, CausalMasks(sinks, windows, own_share=0.0), view, 1, 3).tflop

    one_by_one = [cost((sink, sink), (window, window)) for sink in (0, 1) for window in (1, 2)]
    assert cost(drawn.sink_frames, drawn.window_frames) == pytest.approx(sum(one_by_one) / 4, rel=1e-6)
    frame = ROWS * COLUMNS
    # three clean frames that see themselves, then three that see themselves, and three that see three more
    seen = sum(forward_flop(3 * frame, keys * frame, 3) for keys in (3, 3, 6))
    assert 3.5 * seen < one_by_one[-1] * 1e12 < 4 * seen + 6 * (context_flop() + head_flop(6))


def test_hours_come_near_the_papers() -> None:
    """32 A100 at two fifths of their peak; the paper: teacher about 3 days, student about 20 hours (section 4)."""
    counted = {"teacher": 1138.3, "guided": 853.7, "causal": 1236.0, "student": 2089.6, "critic": 1611.3}
    costs = {name: Cost(tflop, 1.0) for name, tflop in counted.items()}  # Wan 2.1 1.3B, 21 latents of 832 x 480
    stages = stage_estimates(WAN_PRESETS["wan2.1-1.3b"], costs, 32, 32 * 312 * 0.4)
    assert 40 < stages["teacher"].hours < 80
    assert 15 < stages["distill"].hours < 25
    assert 20 < stages["causal"].hours < 25


def test_preparing_takes_what_its_parts_take() -> None:
    """Half a million clips by hand, on GPUs that make 1000 TFLOP/s together."""
    preset, cost = WAN_PRESETS["paper"], PrepareCost(vae=36.0, text=3.6, clip=0.36)
    found = prepare_estimate(preset, cost, 1000.0, 500_000)
    assert (found.vae_hours, found.text_hours, found.clip_hours) == pytest.approx((10.0, 0.5, 0.05))
    assert found.terabytes == pytest.approx(clip_megabytes(preset) / 2)
    one = prepare_estimate(preset, cost, 1000.0, 1).tracker_core_hours * 3600
    assert found.tracker_core_hours * 3600 == pytest.approx(one * 500_000)
    assert 8 < one < 16  # seconds; 11.7 were measured for 81 frames of 832 x 480


def test_encoding_costs_the_same_for_every_later_latent_frame() -> None:
    """Against a whole clip, counted at once."""
    with torch.device("meta"):
        vae = WanVae(AutoencoderKLWan(base_dim=8, num_res_blocks=1))
    with FlopCounterMode(display=False) as counter:
        vae.encode(torch.zeros(1, 3, 21, 32, 48, device="meta"))
    assert encoding_tflop(vae, (32, 48), 6) * 1e12 == pytest.approx(counter.get_total_flops())


@pytest.mark.slow
def test_encoders_cost_what_their_products_cost() -> None:
    """UMT5-XXL's layers are 4 products of 4096 x 4096 and 3 of 4096 x 10240 a token, CLIP's 12 of 1280 x 1280."""
    found = prepare_cost(WAN_PRESETS["paper"].teacher, 81)
    tokens = 256
    layer = 2 * tokens * (4 * 4096**2 + 3 * 4096 * 10240) + 4 * tokens**2 * 4096
    assert found.text * 1e12 == pytest.approx(24 * layer, rel=0.01)
    patches = 257
    layer = 2 * patches * 12 * 1280**2 + 4 * patches**2 * 1280
    assert found.clip * 1e12 == pytest.approx(32 * layer, rel=0.01)
    assert prepare_cost(WAN_PRESETS["paper-5b"].teacher, 121).clip == 0


def test_a_clip_on_disk_is_as_large_as_its_shard_says() -> None:
    """Against tensors of the very kinds that `prepare` writes, one clip of 1.3B."""
    frames, dtype = 81, torch.float16
    with torch.device("meta"):
        held = [torch.empty(16, 21, 60, 104, dtype=dtype)] * 2
        held += [
            torch.empty(2500, 2),
            torch.empty(frames, 2500, 2, dtype=dtype),
            torch.empty(frames, 2500, dtype=torch.bool),
        ]
        held += [torch.empty(256, 4096, dtype=torch.bfloat16), torch.empty(257, 1280, dtype=torch.bfloat16)]
    assert clip_megabytes(WAN_PRESETS["paper"]) == pytest.approx(sum(t.numel() * t.element_size() for t in held) / 1e6)


def test_state_is_shared_out() -> None:
    one, number = state_gib(SMALL, 1), count_parameters(SMALL)
    assert one == pytest.approx(number * 20 / 2**30)
    assert state_gib(SMALL, 8, averaged=1, plain=1, frozen=1) == pytest.approx(number * 34 / 2**30 / 8)
    assert state_gib(SMALL, 1, averaged=0, frozen=1) == pytest.approx(number * 2 / 2**30)


@pytest.mark.slow
def test_a_gpu_of_80_gb_distills_the_smaller_model() -> None:
    """1.3B at 832 x 480, the losses that train, at full size."""
    preset = WAN_PRESETS["wan2.1-1.3b"]
    costs = preset_costs(preset)
    counted = {"teacher": 1138.3, "guided": 853.7, "causal": 1236.0, "student": 2089.6, "critic": 1611.3}
    assert {name: cost.tflop for name, cost in costs.items()} == pytest.approx(counted, rel=1e-3)
    for name, stage in stage_estimates(preset, costs, 1, 400.0).items():
        assert stage.state_gib + stage.working_gib < 70, name  # GiB; 80 GB are 74.5
