"""All chunks of a clip at once against the chunk loop with a cache that is told the clean past, and against a mask."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor

from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.kv_cache import RopeRule, remembered_frames
from motionstream_core.models.memory import WholeClip
from motionstream_core.models.sparse_causal import SparseCausal
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel
from motionstream_core.training.engine.sharding import checkpoint_blocks

ROWS, COLUMNS = 2, 3  # tokens of a latent frame
CONFIG = WanConfig(
    dim=24, ffn_dim=40, num_heads=2, num_layers=3, in_channels=4, out_channels=4, freq_dim=16, text_dim=8, text_len=4
)
PLANS = {"3k": ChunkPlan(3, 3), "1+3k": ChunkPlan(3, 1), "1+1k": ChunkPlan(1, 1)}
# sink, window in latent frames: the paper's, Track-v0's, without sink, without window, no multiple of a chunk, endless
MEMORIES = [(3, 3), (1, 2), (0, 4), (2, 0), (2, 5), (1, 99)]
RULES = get_args(RopeRule)
CASES = pytest.mark.parametrize(
    ("rule", "plan", "memory"),
    [*product(RULES, ("3k", "1+3k"), MEMORIES), ("by_slot", "1+1k", (2, 5)), ("absolute", "1+1k", (0, 1))],
    ids=str,
)
NUM_CHUNKS = 5
TOLERANCE = {"rtol": 0, "atol": 1e-5}


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> WanModel:
    generator = torch.Generator().manual_seed(0)
    model = WanModel(CONFIG)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.0 if "norm" in name else 0.25))
    return model


def context_of(model: WanModel) -> CrossContext:
    return model.prepare_context(draw(2, 3, CONFIG.text_dim, seed=1))


def clip(num_frames: int, seed: int) -> Tensor:
    return draw(2, CONFIG.in_channels, num_frames, 2 * ROWS, 2 * COLUMNS, seed=seed)


def pattern(plan: ChunkPlan, memory: tuple[int, int], rule: RopeRule, num_chunks: int = NUM_CHUNKS) -> SparseCausal:
    return SparseCausal(
        plan=plan,
        num_latent_frames=plan.chunk(num_chunks - 1).stop,
        height=ROWS,
        width=COLUMNS,
        head_dim=CONFIG.head_dim,
        sink_frames=memory[0],
        window_frames=memory[1],
        rope_rule=rule,
        device=torch.device("cpu"),
    )


def levels(num_frames: int) -> Tensor:
    """Timesteps (2 f), no two alike."""
    return torch.linspace(40, 900, num_frames) + torch.tensor([[0.0], [37.0]])


def chunk_loop(
    model: WanModel, plan: ChunkPlan, memory: tuple[int, int], rule: RopeRule, clean: Tensor, noisy: Tensor
) -> tuple[Tensor, Tensor]:
    """Velocities of the noisy clip and of the clean one, by the cache."""
    context = context_of(model)
    cache = model.make_cache(
        *(2, 2 * ROWS, 2 * COLUMNS), sink_frames=memory[0], window_frames=memory[1], chunk_frames=3, rope_rule=rule
    )
    timesteps, outs, cleans = levels(noisy.shape[2]), [], []
    for chunk in plan.chunks(noisy.shape[2]):
        span = slice(chunk.start, chunk.stop)
        outs.append(model(noisy[:, :, span], timesteps[:, span], context, cache))
        with torch.no_grad(), cache.keeping():
            cleans.append(model(clean[:, :, span], torch.zeros(2), context, cache))
    return torch.cat(outs, dim=2), torch.cat(cleans, dim=2)


def joint_pass(model: WanModel, past: SparseCausal, clean: Tensor, noisy: Tensor) -> tuple[Tensor, Tensor]:
    seen = past.num_past_frames
    latents = torch.cat([clean[:, :, :seen], noisy], dim=2)
    timesteps = torch.cat([torch.zeros(2, seen), levels(noisy.shape[2])], dim=1)
    out = model(latents, timesteps, context_of(model), past)
    return out[:, :, seen:], out[:, :, :seen]


def detached_passes(model: WanModel, past: SparseCausal, clean: Tensor, noisy: Tensor) -> Tensor:
    if past.num_past_frames:
        with torch.no_grad(), past.keeping():
            model(clean[:, :, : past.num_past_frames], torch.zeros(2), context_of(model), past)
    return model(noisy, levels(noisy.shape[2]), context_of(model), past)


@CASES
@torch.no_grad()
def test_equals_the_chunk_loop(model: WanModel, rule: RopeRule, plan: str, memory: tuple[int, int]) -> None:
    past = pattern(PLANS[plan], memory, rule)
    clean, noisy = clip(past.num_latent_frames, seed=2), clip(past.num_latent_frames, seed=3)
    expected, expected_clean = chunk_loop(model, PLANS[plan], memory, rule, clean, noisy)
    out, out_clean = joint_pass(model, past, clean, noisy)
    torch.testing.assert_close(out, expected, **TOLERANCE)
    torch.testing.assert_close(out_clean, expected_clean[:, :, : past.num_past_frames], **TOLERANCE)
    torch.testing.assert_close(detached_passes(model, past, clean, noisy), expected, **TOLERANCE)


@pytest.mark.parametrize("memory", [(3, 2), (2, 3), (1, 4), (4, 1), (3, 4)])
@pytest.mark.parametrize("rule", RULES)
@torch.no_grad()
def test_another_memory_is_another_prediction(model: WanModel, rule: RopeRule, memory: tuple[int, int]) -> None:
    """A frame more or less in sink or window shows far above the tolerance."""
    plan = PLANS["3k"]
    past = pattern(plan, memory, rule)
    clean, noisy = clip(past.num_latent_frames, seed=2), clip(past.num_latent_frames, seed=3)
    expected, _ = chunk_loop(model, plan, (3, 3), rule, clean, noisy)
    out, _ = joint_pass(model, past, clean, noisy)
    assert (out - expected).abs().max() > 1e-2


@torch.no_grad()
def test_slots_are_no_positions_in_the_stream(model: WanModel) -> None:
    plan = PLANS["3k"]
    clean, noisy = clip(15, seed=2), clip(15, seed=3)
    outs = [joint_pass(model, pattern(plan, (3, 3), rule), clean, noisy)[0] for rule in ("absolute", "by_slot")]
    assert (outs[0][:, :, 9:] - outs[1][:, :, 9:]).abs().max() > 1e-2  # the sink has fallen behind
    torch.testing.assert_close(outs[0][:, :, :9], outs[1][:, :, :9], **TOLERANCE)


@pytest.mark.parametrize("rule", RULES)
def test_no_chunk_sees_what_the_mask_forbids(model: WanModel, rule: RopeRule) -> None:
    """Which clean frames move a noisy chunk of a one-layer model, found by gradients."""
    plan, memory = PLANS["1+3k"], (2, 3)
    shallow = WanModel(replace(CONFIG, num_layers=1))
    shallow.load_state_dict(model.state_dict(), strict=False)
    past = pattern(plan, memory, rule)
    clean = clip(past.num_latent_frames, seed=2).requires_grad_()
    noisy = clip(past.num_latent_frames, seed=3).requires_grad_()
    out, _ = joint_pass(shallow, past, clean, noisy)
    for chunk in plan.chunks(past.num_latent_frames):
        part = out[:, :, chunk.start : chunk.stop].square().sum()
        seen_clean, seen_noisy = torch.autograd.grad(part, [clean, noisy], retain_graph=True)
        moved = [int(frame) for frame in seen_clean.abs().amax((0, 1, 3, 4)).nonzero()]
        assert moved == remembered_frames(chunk.start, *memory)
        own = [int(frame) for frame in seen_noisy.abs().amax((0, 1, 3, 4)).nonzero()]
        assert own == list(range(chunk.start, chunk.stop))


def gradients(model: WanModel, out: Tensor) -> dict[str, Tensor]:
    """Gradient of a loss in every parameter (the model's gradients are left as they were)."""
    loss = (out * draw(*out.shape, seed=9)).sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("plan", ["3k", "1+3k"])
def test_detached_gradients_are_the_chunk_loops(model: WanModel, rule: RopeRule, plan: str) -> None:
    past = pattern(PLANS[plan], (1, 4), rule)
    clean, noisy = clip(past.num_latent_frames, seed=2), clip(past.num_latent_frames, seed=3)
    expected = gradients(model, chunk_loop(model, PLANS[plan], (1, 4), rule, clean, noisy)[0])
    found = gradients(model, detached_passes(model, past, clean, noisy))
    through = gradients(model, joint_pass(model, past, clean, noisy)[0])
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        assert scale > 0
        torch.testing.assert_close(found[name] / scale, gradient / scale, rtol=0, atol=1e-4, msg=name)
        assert through[name].isfinite().all()
    key = "blocks.1.self_attn.v.weight"
    assert (through[key] - expected[key]).norm() > 0.1 * expected[key].norm()


def test_joint_gradients_are_those_of_a_masked_forward(model: WanModel) -> None:
    """One forward over [clean | noisy] with a bool mask, which knows nothing of chunks: values and gradients."""
    plan, memory = PLANS["3k"], (1, 4)
    past = pattern(plan, memory, "absolute")
    num_frames, seen = past.num_latent_frames, past.num_past_frames
    clean, noisy = clip(num_frames, seed=2), clip(num_frames, seed=3)
    mask = torch.zeros(seen + num_frames, seen + num_frames, dtype=torch.bool)
    for frame in range(num_frames):
        start = frame // 3 * 3
        for other in range(start):
            if other < 1 or other >= start - 4:
                mask[seen + frame, other] = True
                if frame < seen:
                    mask[frame, other] = True
        mask[seen + frame, seen + start : seen + start + 3] = True
        if frame < seen:
            mask[frame, start : start + 3] = True
    size = ROWS * COLUMNS
    whole = model(
        torch.cat([clean[:, :, :seen], noisy], dim=2),
        torch.cat([torch.zeros(2, seen), levels(num_frames)], dim=1),
        context_of(model),
        WholeClip(
            *(ROWS, COLUMNS, CONFIG.head_dim, torch.device("cpu")),
            mask=mask.repeat_interleave(size, 0).repeat_interleave(size, 1),
            frame_positions=[*range(seen), *range(num_frames)],
        ),
    )[:, :, seen:]
    out, _ = joint_pass(model, past, clean, noisy)
    torch.testing.assert_close(out, whole, **TOLERANCE)
    expected, found = gradients(model, whole), gradients(model, out)
    for name, gradient in expected.items():
        scale = gradient.abs().max()
        torch.testing.assert_close(found[name] / scale, gradient / scale, rtol=0, atol=1e-4, msg=name)


def test_a_block_that_runs_again_sees_the_same_past(model: WanModel) -> None:
    """Activation checkpointing, while another clip's past is kept before the gradient is asked for."""
    past = pattern(PLANS["3k"], (1, 2), "by_slot")
    clean, noisy = clip(15, seed=2), clip(15, seed=3)
    expected = gradients(model, detached_passes(model, past, clean, noisy))
    checkpointed = WanModel(CONFIG)
    checkpointed.load_state_dict(model.state_dict())
    checkpoint_blocks(checkpointed)
    out = detached_passes(checkpointed, past, clean, noisy)
    with torch.no_grad():
        detached_passes(checkpointed, past, clip(15, seed=7), noisy)
    found = gradients(checkpointed, out)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@torch.no_grad()
def test_a_single_chunk_needs_no_past(model: WanModel) -> None:
    past = pattern(PLANS["3k"], (3, 3), "sink_fixed", num_chunks=1)
    noisy = clip(3, seed=3)
    expected = model(noisy, levels(3), context_of(model))
    torch.testing.assert_close(joint_pass(model, past, noisy, noisy)[0], expected, **TOLERANCE)
    torch.testing.assert_close(detached_passes(model, past, noisy, noisy), expected, **TOLERANCE)


def test_what_cannot_be_is_refused(model: WanModel) -> None:
    with pytest.raises(ValueError, match="not both 0"):
        pattern(PLANS["3k"], (0, 0), "absolute")
    with pytest.raises(ValueError, match="rope_rule is 'nearest'"):
        pattern(PLANS["3k"], (1, 1), "nearest")  # type: ignore[arg-type]
    past = pattern(PLANS["3k"], (1, 1), "absolute")
    with pytest.raises(ValueError, match=r"7 latent frames are neither the past \(12\) nor the clip \(15\)"):
        model(clip(7, seed=1), torch.zeros(2), context_of(model), past)
    with pytest.raises(ValueError, match="the clean past must go first"):
        model(clip(15, seed=1), torch.zeros(2), context_of(model), past)
