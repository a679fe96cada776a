"""The chunk loop with a tiny random model: what it asks for, in which order, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import pytest
import torch
from torch import Tensor

from motionstream_core.diffusion.flow import add_noise, clean_from_velocity
from motionstream_core.diffusion.schedule import student_sigmas, to_timestep
from motionstream_core.geometry import Chunk, ChunkPlan
from motionstream_core.models.conditioning import Conditions, InputLayout, assemble
from motionstream_core.models.kv_cache import KVCache
from motionstream_core.models.memory import Memory
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel
from motionstream_core.streaming.rollout import (
    ConditionSource,
    GradientPolicy,
    Noise,
    RolledChunk,
    StepCallback,
    rollout,
    seeded_noise,
)

BATCH, CHANNELS, TRACK, HEIGHT, WIDTH = 2, 4, 3, 2, 4
CONFIG = WanConfig(
    dim=24,
    ffn_dim=32,
    num_heads=2,
    num_layers=2,
    in_channels=CHANNELS + TRACK,
    out_channels=CHANNELS,
    freq_dim=8,
    text_dim=6,
    text_len=3,
)
LAYOUT = InputLayout((("track", TRACK), ("noise", CHANNELS)))
SIGMAS = student_sigmas()
NUM_STEPS = 3
PLANS = pytest.mark.parametrize("plan", [ChunkPlan(3, 3), ChunkPlan(3, 1)], ids=["3k", "1+3k"])


@dataclass
class Call:
    """One pass of the model: its input and how it was called."""

    latents: Tensor
    timestep: Tensor
    kept: bool
    with_gradient: bool
    frames_before: int


class SpyModel(WanModel):
    """A WanModel that writes down every call."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.calls: list[Call] = []

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: CrossContext,
        memory: Memory | None = None,
        keys_only: bool = False,
    ) -> Tensor:
        assert isinstance(memory, KVCache)
        seen = memory.num_frames_seen
        self.calls.append(Call(latents.detach(), timestep, memory._keeps, torch.is_grad_enabled(), frames_before=seen))
        return super().forward(latents, timestep, context, memory, keys_only)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@dataclass
class Source:
    """Conditions made per chunk, with a log of who was asked for; `clean_first` on chunk 0 alone."""

    model: WanModel
    clean_first: Tensor | None = None
    other_motion_from: int | None = None
    asked: list[int] = field(default_factory=list)
    context: CrossContext = field(init=False)

    def __post_init__(self) -> None:
        with torch.no_grad():
            self.context = self.model.prepare_context(draw(BATCH, 2, CONFIG.text_dim, seed=1))

    def __call__(self, chunk: Chunk) -> Conditions:
        self.asked.append(chunk.index)
        steered = self.other_motion_from is not None and chunk.index >= self.other_motion_from
        track = draw(BATCH, TRACK, chunk.num_frames, HEIGHT, WIDTH, seed=100 + chunk.index + 1000 * steered)
        return Conditions(self.context, track=track, clean_first=self.clean_first if chunk.index == 0 else None)


@pytest.fixture
def model() -> SpyModel:
    generator = torch.Generator().manual_seed(0)
    model = SpyModel()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.0 if "norm" in name else 0.3))
    return model


@pytest.fixture
def cache(model: SpyModel) -> KVCache:
    return new_cache(model)


def new_cache(model: WanModel) -> KVCache:
    size = BATCH, HEIGHT, WIDTH
    return model.make_cache(*size, sink_frames=3, window_frames=3, chunk_frames=3, rope_rule="sink_fixed")


def noise_of(seed: int) -> Noise:
    return seeded_noise(seed, (BATCH, CHANNELS, HEIGHT, WIDTH), torch.float32, torch.device("cpu"))


def start(
    model: SpyModel,
    source: ConditionSource,
    cache: KVCache,
    plan: ChunkPlan,
    num_latent_frames: int | None,
    *,
    seed: int = 5,
    gradient: GradientPolicy | None = None,
    callback: StepCallback | None = None,
) -> Iterator[RolledChunk]:
    return rollout(
        model,
        LAYOUT,
        source,
        plan=plan,
        sigmas=SIGMAS,
        cache=cache,
        noise=noise_of(seed),
        num_latent_frames=num_latent_frames,
        gradient=gradient,
        callback=callback,
    )


def by_hand(
    model: WanModel,
    source: ConditionSource,
    cache: KVCache,
    plan: ChunkPlan,
    num_chunks: int,
    exit_step: int = NUM_STEPS - 1,
    seed: int = 5,
) -> list[Tensor]:
    """The loop written out; gradients flow through the exit step alone."""
    finished = []
    for index in range(num_chunks):
        chunk = plan.chunk(index)
        given = source(chunk)
        x = noise_of(seed)(chunk, 0)
        for step in range(exit_step + 1):
            sigma = float(SIGMAS[step])
            timestep = torch.full((BATCH,), to_timestep(sigma))
            if step < exit_step:
                with torch.no_grad():
                    velocity = model(assemble(LAYOUT, x, given), timestep, given.context, cache)
                    clean = clean_from_velocity(x, velocity, sigma)
                    x = add_noise(clean, noise_of(seed)(chunk, step + 1), float(SIGMAS[step + 1]))
            else:
                velocity = model(assemble(LAYOUT, x, given), timestep, given.context, cache)
                x = clean_from_velocity(x, velocity, sigma)
        finished.append(x)
        with torch.no_grad(), cache.keeping():
            model(assemble(LAYOUT, x.detach(), given), torch.zeros(BATCH), given.context, cache)
    cache.reset()
    return finished


@PLANS
def test_chunks_come_in_order_and_shape(model: SpyModel, cache: KVCache, plan: ChunkPlan) -> None:
    num_latent_frames = plan.chunk(4).stop
    rolled = list(start(model, Source(model), cache, plan, num_latent_frames))
    assert [each.chunk for each in rolled] == [plan.chunk(index) for index in range(5)]
    assert [tuple(each.latents.shape) for each in rolled] == [
        (BATCH, CHANNELS, plan.chunk(index).num_frames, HEIGHT, WIDTH) for index in range(5)
    ]
    assert not any(each.latents.requires_grad for each in rolled)
    assert cache.num_frames_seen == 0


@PLANS
def test_every_chunk_takes_its_steps_and_one_clean_pass(model: SpyModel, cache: KVCache, plan: ChunkPlan) -> None:
    rolled = list(start(model, Source(model), cache, plan, plan.chunk(2).stop))
    assert len(model.calls) == 3 * (NUM_STEPS + 1)
    levels = [1000 * float(sigma) for sigma in SIGMAS]  # the last is 0, the clean pass
    for index, each in enumerate(rolled):
        calls = model.calls[index * (NUM_STEPS + 1) : (index + 1) * (NUM_STEPS + 1)]
        assert [call.kept for call in calls] == [False] * NUM_STEPS + [True]
        assert [call.frames_before for call in calls] == [each.chunk.start] * (NUM_STEPS + 1)
        for call, level in zip(calls, levels, strict=True):
            torch.testing.assert_close(call.timestep, torch.full((BATCH,), level))
        assert torch.equal(calls[-1].latents[:, TRACK:], each.latents)
        assert not any(call.with_gradient for call in calls)


@PLANS
def test_equals_the_loop_written_by_hand(model: SpyModel, cache: KVCache, plan: ChunkPlan) -> None:
    rolled = list(start(model, Source(model), cache, plan, plan.chunk(4).stop))
    with torch.no_grad():
        expected = by_hand(model, Source(model), cache, plan, 5)
    for each, latents in zip(rolled, expected, strict=True):
        torch.testing.assert_close(each.latents, latents, rtol=1e-5, atol=1e-5)
    assert all(float(each.latents.std()) > 0.1 for each in rolled)


def test_the_seed_decides(model: SpyModel, cache: KVCache) -> None:
    plan = ChunkPlan()

    def roll(seed: int) -> list[Tensor]:
        return [each.latents for each in start(model, Source(model), cache, plan, 9, seed=seed)]

    first, again, other = roll(5), roll(5), roll(6)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all((a - b).abs().max() > 0.1 for a, b in zip(first, other, strict=True))


def test_noise_depends_on_seed_chunk_and_step_alone() -> None:
    plan, noise = ChunkPlan(), noise_of(5)
    assert noise(plan.chunk(2), 1).shape == (BATCH, CHANNELS, 3, HEIGHT, WIDTH)
    assert torch.equal(noise(plan.chunk(2), 1), noise_of(5)(plan.chunk(2), 1))
    drawn = [noise_of(seed)(plan.chunk(index), step) for seed in (-1, 5, 6) for index in range(4) for step in range(4)]
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == len(drawn)
    half = seeded_noise(5, (BATCH, CHANNELS, HEIGHT, WIDTH), torch.bfloat16, torch.device("cpu"))
    assert torch.equal(half(plan.chunk(2), 1), noise(plan.chunk(2), 1).bfloat16())


def test_all_64_bits_of_a_seed_count_and_small_seeds_are_as_ever() -> None:
    chunk = ChunkPlan().chunk(2)
    seeds = [5, 5 + 2**32, 5 + 2**33, 5 + 2**63, 2**64 - 1]
    drawn = [noise_of(seed)(chunk, 1) for seed in seeds]
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == len(seeds)
    for seed in (0, 5, 2**32 - 1, -3):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + 2 * 1_009 + 1) % 2**32)
        assert torch.equal(
            noise_of(seed)(chunk, 1), torch.randn(BATCH, CHANNELS, 3, HEIGHT, WIDTH, generator=generator)
        )


@PLANS
def test_a_stream_without_end_keeps_its_size(model: SpyModel, cache: KVCache, plan: ChunkPlan) -> None:
    num_bytes = cache.num_bytes
    stream = start(model, Source(model), cache, plan, None)
    for index, each in enumerate(islice(stream, 12)):
        assert each.chunk == plan.chunk(index)
        assert cache.num_bytes == num_bytes
        assert cache.num_context_frames == min(each.chunk.start, 6)
        assert each.latents.isfinite().all()
    assert cache.num_frames_seen == plan.chunk(10).stop
    stream.close()  # type: ignore[attr-defined]
    assert cache.num_frames_seen == 0


def test_conditions_are_asked_for_when_their_turn_comes(model: SpyModel, cache: KVCache) -> None:
    source = Source(model)
    stream = start(model, source, cache, ChunkPlan(), None)
    assert source.asked == []
    for index in range(4):
        next(stream)
        assert source.asked == list(range(index + 1))
    assert len(model.calls) == 4 * (NUM_STEPS + 1) - 1  # chunk 3's clean pass waits for the consumer


def test_steering_changes_what_comes_after_alone(model: SpyModel, cache: KVCache) -> None:
    plan = ChunkPlan()
    straight = [each.latents for each in start(model, Source(model), cache, plan, 15)]
    steered = [each.latents for each in start(model, Source(model, other_motion_from=3), cache, plan, 15)]
    assert all(torch.equal(a, b) for a, b in zip(straight[:3], steered[:3], strict=True))
    assert all((a - b).abs().max() > 1e-2 for a, b in zip(straight[3:], steered[3:], strict=True))


def test_a_callback_sees_every_step(model: SpyModel, cache: KVCache) -> None:
    seen, plan = [], ChunkPlan(3, 1)

    def callback(chunk: Chunk, step: int, num_steps: int) -> None:
        seen.append((chunk, step, num_steps))

    list(start(model, Source(model), cache, plan, 4, callback=callback))
    assert seen == [(plan.chunk(index), step, NUM_STEPS) for index in range(2) for step in range(NUM_STEPS)]


def test_a_callback_that_raises_ends_the_stream(model: SpyModel, cache: KVCache) -> None:
    class StopError(Exception):
        pass

    def callback(chunk: Chunk, step: int, num_steps: int) -> None:
        if (chunk.index, step) == (2, 1):
            assert cache.num_frames_seen == 6
            raise StopError

    stream = start(model, Source(model), cache, ChunkPlan(), None, callback=callback)
    assert [next(stream).chunk.index, next(stream).chunk.index] == [0, 1]
    with pytest.raises(StopError):
        next(stream)
    assert cache.num_frames_seen == 0
    assert list(stream) == []
    after = [each.latents for each in start(model, Source(model), cache, ChunkPlan(), 6)]
    fresh = new_cache(model)
    expected = [each.latents for each in start(model, Source(model), fresh, ChunkPlan(), 6)]
    assert all(torch.equal(a, b) for a, b in zip(after, expected, strict=True))


def test_a_clean_first_latent_alone_takes_no_step(model: SpyModel, cache: KVCache) -> None:
    first = draw(BATCH, CHANNELS, 1, HEIGHT, WIDTH, seed=7)
    stream = start(model, Source(model, clean_first=first), cache, ChunkPlan(3, 1), None)
    assert torch.equal(next(stream).latents, first)
    assert model.calls == []
    second = next(stream)
    (kept,) = [call for call in model.calls if call.kept]
    assert len(model.calls) == 1 + NUM_STEPS and model.calls[0] is kept
    assert torch.equal(kept.latents[:, TRACK:], first)
    assert torch.equal(kept.timestep, torch.zeros(BATCH))
    other = start(model, Source(model, clean_first=-first), new_cache(model), ChunkPlan(3, 1), None)
    assert (list(islice(other, 2))[1].latents - second.latents).abs().max() > 1e-2


def test_a_clean_first_latent_of_a_chunk_stays(model: SpyModel, cache: KVCache) -> None:
    """It is shown clean, at timestep 0, at every step of its chunk, and comes out as it went in."""
    first = draw(BATCH, CHANNELS, 1, HEIGHT, WIDTH, seed=7)
    stream = start(model, Source(model, clean_first=first), cache, ChunkPlan(), None)
    latents = next(stream).latents
    assert torch.equal(latents[:, :, :1], first)
    assert latents.shape[2] == 3 and latents[:, :, 1:].isfinite().all()
    assert len(model.calls) == NUM_STEPS
    for call, sigma in zip(model.calls, SIGMAS, strict=False):
        assert torch.equal(call.latents[:, TRACK:, :1], first)
        level = 1000 * float(sigma)
        torch.testing.assert_close(call.timestep, torch.tensor([[0, level, level]] * BATCH))
    next(stream)
    assert torch.equal(model.calls[NUM_STEPS].latents[:, TRACK:], latents)
    assert all(call.timestep.ndim == 1 for call in model.calls[NUM_STEPS:])


@pytest.mark.parametrize("exit_step", range(NUM_STEPS))
@PLANS
def test_the_exit_step_alone_carries_gradient(model: SpyModel, cache: KVCache, plan: ChunkPlan, exit_step: int) -> None:
    num_chunks = 4
    with torch.no_grad():
        source = Source(model)
    rolled = list(
        start(model, source, cache, plan, plan.chunk(num_chunks - 1).stop, gradient=GradientPolicy(exit_step))
    )
    modes = [call.with_gradient for call in model.calls]
    assert modes == ([False] * exit_step + [True, False]) * num_chunks  # the last is the clean pass
    assert all(each.latents.requires_grad for each in rolled)

    weights = [draw(*each.latents.shape, seed=50) for each in rolled]
    for each, weight in zip(rolled, weights, strict=True):
        (each.latents * weight).sum().backward()  # each chunk's graph is its own: cached keys are cut off
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    # the text's keys were made without gradient, so nothing reaches what makes them
    idle = {name for name in ours if name.startswith("text_embedding") or ".cross_attn.k." in name}
    idle |= {name for name in ours if ".cross_attn.v." in name or ".cross_attn.norm_k." in name}
    assert {name for name, grad in ours.items() if grad is None or not grad.abs().max() > 0} == idle

    model.zero_grad()
    expected = by_hand(model, Source(model), cache, plan, num_chunks, exit_step)
    for each, latents in zip(rolled, expected, strict=True):
        torch.testing.assert_close(each.latents, latents, rtol=1e-5, atol=1e-5)
    torch.stack([(a * w).sum() for a, w in zip(expected, weights, strict=True)]).sum().backward()
    for name, parameter in model.named_parameters():
        if name not in idle:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-4, msg=name)


def test_a_caller_without_gradient_gets_none_of_it(model: SpyModel, cache: KVCache) -> None:
    """What trains the critic is the same rollout, only not differentiated."""
    plan, policy = ChunkPlan(), GradientPolicy(exit_step=1)
    with torch.no_grad():
        rolled = list(start(model, Source(model), cache, plan, 9, gradient=policy))
    assert not any(call.with_gradient for call in model.calls)
    assert not any(each.latents.requires_grad for each in rolled)
    differentiated = list(start(model, Source(model), cache, plan, 9, gradient=policy))
    for one, other in zip(rolled, differentiated, strict=True):
        torch.testing.assert_close(one.latents, other.latents.detach())


@pytest.mark.parametrize("exit_step", [-1, NUM_STEPS])
def test_an_exit_step_that_is_none_is_refused(model: SpyModel, cache: KVCache, exit_step: int) -> None:
    with pytest.raises(ValueError, match="sigmas must"):
        next(start(model, Source(model), cache, ChunkPlan(), 3, gradient=GradientPolicy(exit_step)))


def test_latent_frames_that_fill_no_chunks_are_refused(model: SpyModel, cache: KVCache) -> None:
    with pytest.raises(ValueError, match="10 latent frames do not fill"):
        next(start(model, Source(model), cache, ChunkPlan(), 10))


def test_one_step_is_enough(model: SpyModel, cache: KVCache) -> None:
    sigmas = student_sigmas([1000])
    stream = rollout(
        model,
        LAYOUT,
        Source(model),
        plan=ChunkPlan(),
        sigmas=sigmas,
        cache=cache,
        noise=noise_of(1),
        num_latent_frames=6,
    )
    assert len(list(stream)) == 2
    assert len(model.calls) == 4
