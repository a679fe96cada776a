"""The causal stage's loss against the chunk loop with teacher forcing; rules and masks: test_sparse_causal."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from motionstream_core.checkpoints import ModelSpec, build_model
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.conditioning import Conditions, assemble
from motionstream_core.models.kv_cache import RopeRule
from motionstream_core.models.memory import WholeClip
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.training.data import Batch
from motionstream_core.training.data.trajectories import Trajectories
from motionstream_core.training.stages.causal_loss import (
    CausalMasks,
    at_levels,
    causal_loss,
    frame_levels,
    predict_clean,
    sparse_causal,
)
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.losses import track_weight
from tests.core.tiny_models import CHANNELS, TINY_TEACHER
from tests.core.training.teacher_forcing import teacher_forced

SIDE, NUM_POINTS, COUNT = 4, 3, 3
PLANS = {"3k": ChunkPlan(3, 3), "1+3k": ChunkPlan(3, 1)}
NUM_CHUNKS = 4
SPEC = replace(TINY_TEACHER, role="student", pin_first_latent=True, chunk_plan=PLANS["1+3k"], frame_size=(32, 32))
CPU = torch.device("cpu")


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def trajectories(spec: ModelSpec) -> Trajectories:
    num_latent = spec.chunk_plan.chunk(NUM_CHUNKS - 1).stop
    frames = spec.vae_stride.num_frames(num_latent)
    generator = torch.Generator().manual_seed(2)
    points = torch.rand(COUNT, 1, NUM_POINTS, 2, generator=generator) * 32 + torch.zeros(1, frames, 1, 1)
    visibility = torch.rand(COUNT, frames, NUM_POINTS, generator=generator) < 0.7
    latents = draw(COUNT, CHANNELS, num_latent, SIDE, SIDE, seed=3)
    batch = Batch(latents, points, visibility, ["a red circle", "a blue circle", "a circle"])
    levels = draw(COUNT, len(spec.step_list), CHANNELS, num_latent, SIDE, SIDE, seed=4)
    return Trajectories(levels, latents, batch, random_ids(COUNT, NUM_POINTS, generator))


def model_of(spec: ModelSpec) -> TrackWan:
    model = build_model(spec)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.0 if "norm" in name else 0.3))
    return model


def told_everything(model: TrackWan, known: Trajectories, spec: ModelSpec) -> Conditions:
    return conditions_of(model, known.batch, known.ids, spec, Conditioned.on_everything(COUNT))


def by_chunk_loop(model: TrackWan, spec: ModelSpec, known: Trajectories, levels: Tensor) -> Tensor:
    """Clean predictions, each level in a rollout of its own, from which every frame of (b f) `levels` takes its part.

    The context is forced, so that no level has a part in another one's.
    """
    whole, outs = told_everything(model, known, spec), []
    for level in range(len(spec.step_list)):
        chunks = teacher_forced(model, spec, whole, known.levels[:, level], known.clean, level)
        outs.append(torch.cat([rolled.latents for rolled in chunks], dim=2))
    return torch.stack(
        [
            torch.stack([outs[int(level)][clip, :, frame] for frame, level in enumerate(row)], dim=1)
            for clip, row in enumerate(levels)
        ]
    )


def in_one_pass(model: TrackWan, spec: ModelSpec, known: Trajectories, levels: Tensor, through: bool) -> Tensor:
    sigmas = student_sigmas(spec.step_list, spec.shift)[:-1]
    past = sparse_causal(model, spec, known.clean.shape, spec.sink_frames, spec.window_frames)
    noisy = at_levels(known.levels, levels)
    whole = told_everything(model, known, spec)
    return predict_clean(model, spec, whole, noisy, sigmas[levels], known.clean, past, through)


@pytest.mark.parametrize("pin", [True, False], ids=["pinned", "denoised"])
@pytest.mark.parametrize(
    ("rule", "plan", "memory"),
    [
        ("by_slot", "1+3k", (1, 3)),
        ("sink_fixed", "3k", (3, 3)),
        ("absolute", "1+3k", (0, 4)),
        ("by_slot", "3k", (2, 0)),
    ],
    ids=str,
)
@torch.no_grad()
def test_equals_the_chunk_loop(rule: RopeRule, plan: str, memory: tuple[int, int], pin: bool) -> None:
    spec = replace(
        SPEC,
        chunk_plan=PLANS[plan],
        rope_rule=rule,
        sink_frames=memory[0],
        window_frames=memory[1],
        pin_first_latent=pin,
    )
    model, known = model_of(spec), trajectories(spec)
    levels = frame_levels(spec, COUNT, known.clean.shape[2], per_chunk=True, rng=np.random.default_rng(0))
    expected = by_chunk_loop(model, spec, known, levels)
    for through in (True, False):
        out = in_one_pass(model, spec, known, levels, through)
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    assert torch.equal(out[:, :, 0], known.clean[:, :, 0]) == pin
    other = (levels + (torch.arange(levels.shape[1]) >= levels.shape[1] - 3)) % len(spec.step_list)
    assert (in_one_pass(model, spec, known, other, True)[:, :, -3:] - expected[:, :, -3:]).abs().max() > 1e-2


@pytest.mark.parametrize("plan", PLANS)
@torch.no_grad()
def test_a_noisy_past_is_a_whole_clip_under_a_chunk_causal_mask(plan: str) -> None:
    """CausVid's protocol: one pass over the noisy clip, every chunk sees those before it at their own levels."""
    spec = replace(SPEC, chunk_plan=PLANS[plan], rope_rule="absolute", pin_first_latent=False)
    model, known = model_of(spec), trajectories(spec)
    count = known.clean.shape[2]
    levels = frame_levels(spec, COUNT, count, per_chunk=True, rng=np.random.default_rng(0))
    sigma = student_sigmas(spec.step_list, spec.shift)[:-1][levels]
    noisy, whole = at_levels(known.levels, levels), told_everything(model, known, spec)
    past = sparse_causal(model, spec, known.clean.shape, 0, count, own_past=True)
    out = predict_clean(model, spec, whole, noisy, sigma, torch.full_like(known.clean, torch.nan), past, True)

    chunk_of = torch.tensor([chunk.index for chunk in spec.chunk_plan.chunks(count) for _ in range(chunk.num_frames)])
    mask = (chunk_of[:, None] >= chunk_of[None]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    clip = WholeClip(2, 2, model.config.head_dim, CPU, mask=mask)
    velocity = model(assemble(spec.layout, noisy, whole), sigma * 1000, whole.context, clip)
    torch.testing.assert_close(out, noisy - sigma[:, None, :, None, None] * velocity, rtol=0, atol=1e-5)


@pytest.mark.parametrize("plan", PLANS)
def test_the_loss_and_its_gradient_are_the_chunk_loops(plan: str) -> None:
    """The spec's own mask, the chunk loop's own gradient; the draws are repeated from their seeds."""
    spec = replace(SPEC, chunk_plan=PLANS[plan])
    known, model = trajectories(spec), model_of(spec)
    masks = CausalMasks(own_share=1.0, through_past=False)
    loss = causal_loss(known, spec, masks, 8, CPU)(model, 4, 1, 2)

    rng = np.random.default_rng((8, 4, 1))
    index = torch.from_numpy(rng.choice(COUNT, 2, replace=False))
    rows = torch.zeros(COUNT, known.clean.shape[2], dtype=torch.long)
    rows[index] = frame_levels(spec, 2, known.clean.shape[2], True, rng)
    error = (by_chunk_loop(model, spec, known, rows) - known.clean)[index].square().mean(1, keepdim=True)
    weight = track_weight(known.batch, spec)[index]
    expected = (error * weight)[:, :, 1:].sum() / weight[:, :, 1:].sum()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-5)

    names, parameters = zip(*model.named_parameters(), strict=True)
    ours, truth = torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters)
    for name, one, other in zip(names, ours, truth, strict=True):
        scale = other.abs().max().clamp(min=1e-8)
        torch.testing.assert_close(one / scale, other / scale, rtol=0, atol=1e-4, msg=name)


@pytest.mark.parametrize("through", [True, False])
def test_every_parameter_is_taught(through: bool) -> None:
    model = model_of(SPEC)
    masks = CausalMasks(through_past=through)
    causal_loss(trajectories(SPEC), SPEC, masks, 8, CPU)(model, 0, 0, COUNT).backward()
    untaught = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert untaught == []


def test_chunks_have_levels_of_their_own() -> None:
    rng = np.random.default_rng(0)
    own = frame_levels(SPEC, 50, 10, True, rng)
    shared = frame_levels(SPEC, 50, 10, False, rng)
    assert own.shape == shared.shape == (50, 10)
    assert (own[:, 1:4] == own[:, 1:2]).all() and (own[:, 4:7] == own[:, 4:5]).all() and (own[:, 4] != own[:, 7]).any()
    assert (shared == shared[:, :1]).all()
    assert set(own.flatten().tolist()) == set(shared.flatten().tolist()) == {0, 1, 2}
    levels = torch.arange(2 * 3 * 5 * 7).view(2, 3, 5, 7, 1, 1)
    index = torch.tensor([[0, 1, 2, 0, 1, 2, 0], [2, 2, 2, 1, 1, 1, 0]])
    taken = at_levels(levels, index)
    for clip, channel, frame in product(range(2), range(5), range(7)):
        assert taken[clip, channel, frame] == levels[clip, index[clip, frame], channel, frame]


def test_masks_are_drawn_from_their_range_and_are_the_specs_own_as_often_as_asked() -> None:
    masks = CausalMasks(sink_frames=(0, 2), window_frames=(4, 6), own_share=0.25)
    drawn = [masks.draw(SPEC, np.random.default_rng((1, step))) for step in range(2000)]
    assert set(drawn) == {(SPEC.sink_frames, SPEC.window_frames), *product((0, 1, 2), (4, 5, 6))}
    own = drawn.count((SPEC.sink_frames, SPEC.window_frames)) / len(drawn)
    assert own == pytest.approx(0.25, abs=0.04)
    assert {CausalMasks(own_share=1.0).draw(SPEC, np.random.default_rng(step)) for step in range(50)} == {(1, 3)}


def test_a_step_has_one_mask_and_micro_batches_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a micro-batch is does not depend on who computes it, and its mask not on which one it is."""
    seen: list[tuple[int, int]] = []

    def spy(*given: object) -> object:
        seen.append((given[3], given[4]))  # type: ignore[arg-type]
        return sparse_causal(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("motionstream_core.training.stages.causal_loss.sparse_causal", spy)
    model, known = model_of(SPEC), trajectories(SPEC)
    loss = causal_loss(known, SPEC, CausalMasks(own_share=0.0), 8, CPU)
    with torch.no_grad():
        values = {(step, micro): loss(model, step, micro, 1).item() for step in range(6) for micro in range(2)}
        assert loss(model, 3, 1, 1).item() == values[3, 1]
    assert len(set(values.values())) == len(values)
    pairs = list(zip(seen[0:12:2], seen[1:12:2], strict=True))
    assert all(one == other for one, other in pairs) and len({one for one, _ in pairs}) > 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sink_frames": (2, 1)}, "sink_frames is drawn from 2 to 1"),
        ({"window_frames": (-1, 1)}, "window_frames is drawn from -1 to 1"),
        ({"sink_frames": (0, 1), "window_frames": (0, 1)}, "may not both start at 0"),
        ({"own_share": 1.5}, "own_share is 1.5"),
    ],
)
def test_masks_that_cannot_be_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CausalMasks(**change)  # type: ignore[arg-type]
