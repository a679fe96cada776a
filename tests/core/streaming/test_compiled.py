"""The transformer and a whole chunk under torch.compile: no break, the same video, one graph for all blocks.

Nothing compares with a compiled run but the eager one. Prompts and conditions change from chunk to chunk, and the
stream goes back to a boundary that it left before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, fx

from motionstream_core.geometry import Chunk, ChunkPlan
from motionstream_core.models.conditioning import Conditions, InputLayout
from motionstream_core.models.kv_cache import KVCache, RopeRule
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel
from motionstream_core.streaming.rollout import generate, remember

CHANNELS, HEIGHT, WIDTH = 4, 4, 6
LAYOUT = InputLayout((("noise", CHANNELS), ("track", CHANNELS)))
PLAN = ChunkPlan(3, 3)
SIGMAS = [1.0, 0.6, 0.0]
NUM_CHUNKS, BACK_AT, BACK_TO = 5, 3, 2  # with a sink and a window of a chunk each, chunk 2 is the first that evicts
TOLERANCE = 2e-5

Run = Callable[[KVCache, Chunk, CrossContext, Tensor, Tensor], Tensor]


def build(num_layers: int) -> WanModel:
    config = WanConfig(
        dim=24,
        ffn_dim=32,
        num_heads=2,
        num_layers=num_layers,
        in_channels=2 * CHANNELS,
        out_channels=CHANNELS,
        freq_dim=8,
        text_dim=6,
        text_len=5,
    )
    model = WanModel(config).eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(num_layers)
    for parameter in model.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def cache_of(model: WanModel, rule: RopeRule) -> KVCache:
    return model.make_cache(1, HEIGHT, WIDTH, sink_frames=3, window_frames=3, chunk_frames=3, rope_rule=rule)


def chunk_by(model: Callable[..., Any]) -> Run:
    """One chunk from noise (steps b c f h w) and motion latents (b c f h w), remembered; its latents."""

    def run(cache: KVCache, chunk: Chunk, context: CrossContext, noise: Tensor, track: Tensor) -> Tensor:
        conditions = Conditions(context, track=track)
        network: Any = model
        latents = generate(network, LAYOUT, conditions, chunk, SIGMAS, cache, lambda _, step: noise[step])
        remember(network, LAYOUT, conditions, latents, cache)
        return latents

    return run


@torch.no_grad()
def stream(model: WanModel, rule: RopeRule, filling: Run, steady: Run) -> Iterator[Tensor]:
    """Latents of chunks, each under its own prompt and tracks; once it goes back. filling: until the window is full."""
    cache = cache_of(model, rule)
    contexts = [model.prepare_context(draw(1, 3, 6, seed=seed)) for seed in range(NUM_CHUNKS)]
    shape, kept = (1, CHANNELS, 3, HEIGHT, WIDTH), {}
    for turn, index in enumerate([*range(BACK_AT), *range(BACK_TO, NUM_CHUNKS)]):
        if index in kept:
            cache.restore(kept[index])
        kept[index] = cache.state()
        run = filling if index < 2 else steady
        noise, track = draw(len(SIGMAS) - 1, *shape, seed=100 + turn), draw(*shape, seed=200 + turn)
        yield run(cache, PLAN.chunk(index), contexts[index], noise, track)


@dataclass
class Graphs:
    """A backend of torch.compile that counts what it is given and leaves it as it is."""

    count: int = 0

    def __call__(self, graph: fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        self.count += 1
        return graph.forward


@pytest.fixture(autouse=True)
def forget_graphs() -> None:
    torch._dynamo.reset()


def compiled(run: Callable[..., Any], backend: Any) -> Any:
    return torch.compile(run, fullgraph=True, backend=backend, dynamic=False)


def assert_same(model: WanModel, rule: RopeRule, steady: Run) -> None:
    eager = chunk_by(model)
    expected = list(stream(model, rule, eager, eager))
    found = list(stream(model, rule, eager, steady))
    assert float((expected[2] - expected[3]).abs().max()) > 0.1  # where it went back another prompt and tracks led on
    for ours, truth in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, truth, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rule", get_args(RopeRule))
def test_blocks_share_their_graphs(rule: RopeRule) -> None:
    """Three in all for a steady stream, however many blocks there are: a step, a pass that is kept, the last keys."""
    model, graphs, eager = build(num_layers=5), Graphs(), build(num_layers=5)
    model.compile_blocks(fullgraph=True, backend=graphs)
    expected = list(stream(eager, rule, chunk_by(eager), chunk_by(eager)))
    for ours, truth in zip(stream(model, rule, chunk_by(model), chunk_by(model)), expected, strict=True):
        torch.testing.assert_close(ours, truth, rtol=0, atol=TOLERANCE)
    assert graphs.count == 3


@pytest.mark.parametrize("rule", get_args(RopeRule))
def test_a_step_is_one_graph(rule: RopeRule) -> None:
    """And the pass that is kept another; no chunk after the first steady one asks for more."""
    model, graphs = build(num_layers=2), Graphs()
    assert_same(model, rule, chunk_by(compiled(model, graphs)))
    assert graphs.count == 2


@pytest.mark.slow
def test_a_chunk_is_one_graph() -> None:
    """All of its steps and the pass that is kept. Absolute positions are new numbers in every chunk, and left out."""
    model, graphs = build(num_layers=2), Graphs()
    assert_same(model, "sink_fixed", torch.compile(chunk_by(model), fullgraph=True, backend=graphs))
    assert graphs.count <= 2  # the number of frames seen is a number first, a symbol from then on


@pytest.mark.slow
def test_a_step_by_inductor() -> None:
    """The rule that a compiled chunk leaves out; that layers stand on each other, the graphs above show."""
    model = build(num_layers=1)
    assert_same(model, "absolute", chunk_by(compiled(model, "inductor")))


@pytest.mark.slow
def test_a_chunk_by_inductor() -> None:
    model = build(num_layers=1)
    assert_same(model, "sink_fixed", torch.compile(chunk_by(model), fullgraph=True, backend="inductor"))
