"""Chunk by chunk through the cache equals full attention with the corresponding mask over the same tokens.

Two references, neither of which uses KVCache: one forward over [clean | noisy] with a bool mask (absolute
positions), and a cache of plain Python lists, one raw key per frame, which works out every position anew each time.
"""

from __future__ import annotations

import cmath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from motionstream_core.geometry import Chunk, ChunkPlan
from motionstream_core.models.attention import attention
from motionstream_core.models.kv_cache import KVCache, RopeRule
from motionstream_core.models.memory import WholeClip
from motionstream_core.models.wan import CrossContext, WanConfig, WanModel

ROWS, COLUMNS = 2, 2  # tokens of a latent frame
CONFIG = WanConfig(
    dim=24, ffn_dim=40, num_heads=2, num_layers=3, in_channels=4, out_channels=4, freq_dim=16, text_dim=8, text_len=4
)
LAYOUTS = {"3k": ChunkPlan(3, 3), "1+3k": ChunkPlan(3, 1)}
NUM_CHUNKS = 6
# sink, window in latent frames: the paper's, Track-v0's, without sink, without window, window no multiple of a chunk
MEMORIES = [(3, 3), (1, 2), (0, 4), (2, 0), (2, 5), (0, 1)]
CASES = pytest.mark.parametrize(("layout", "memory"), list(product(LAYOUTS, MEMORIES)), ids=str)
RULES = get_args(RopeRule)
TOLERANCE = {"rtol": 0, "atol": 2e-5}


@pytest.fixture(scope="module")
def model() -> WanModel:
    generator = torch.Generator().manual_seed(0)
    model = WanModel(CONFIG).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.0 if "norm" in name else 0.35))
    return model


@pytest.fixture(scope="module")
def context(model: WanModel) -> CrossContext:
    return model.prepare_context(draw(2, 3, CONFIG.text_dim, seed=1))


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def clip(num_frames: int, seed: int) -> Tensor:
    return draw(2, CONFIG.in_channels, num_frames, 2 * ROWS, 2 * COLUMNS, seed=seed)


def remembered(before: int, sink: int, window: int) -> list[int]:
    """Of frames 0..before, those that a memory of sink and window still holds; dropped one at a time."""
    frames: list[int] = []
    for frame in range(before):
        frames.append(frame)
        if len(frames) > sink + window:
            del frames[sink]
    return frames


def seen_by(frame: int, chunks: list[Chunk], sink: int, window: int) -> list[int]:
    """Frames that `frame` sees: its own chunk and what is remembered as that chunk begins."""
    (chunk,) = [chunk for chunk in chunks if chunk.start <= frame < chunk.stop]
    return [*remembered(chunk.start, sink, window), *range(chunk.start, chunk.stop)]


def to_tokens(frame_mask: Tensor) -> Tensor:
    size = ROWS * COLUMNS
    return frame_mask.repeat_interleave(size, 0).repeat_interleave(size, 1)


def cache_of(model: WanModel, memory: tuple[int, int], rule: RopeRule) -> KVCache:
    sink, window = memory
    size = 2, 2 * ROWS, 2 * COLUMNS
    return model.make_cache(*size, sink_frames=sink, window_frames=window, chunk_frames=3, rope_rule=rule)


@CASES
@torch.no_grad()
def test_noisy_chunks_see_clean_ones(
    model: WanModel, context: CrossContext, layout: str, memory: tuple[int, int]
) -> None:
    """Teacher forcing, [clean clip | noisy clip]: a noisy chunk sees itself and the clean past."""
    chunks = [LAYOUTS[layout].chunk(index) for index in range(NUM_CHUNKS)]
    num_frames = chunks[-1].stop
    assert num_frames > sum(memory) + chunks[-1].num_frames  # the window rolls, more than once
    clean, noisy = clip(num_frames, seed=2), clip(num_frames, seed=3)
    timesteps = torch.cat([torch.zeros(2, num_frames), draw(2, num_frames, seed=4).abs() * 300], dim=1)
    mask = torch.zeros(2 * num_frames, 2 * num_frames, dtype=torch.bool)
    for frame in range(num_frames):
        seen = seen_by(frame, chunks, *memory)
        chunk_start = next(chunk.start for chunk in chunks if frame < chunk.stop)
        mask[frame, seen] = True
        mask[num_frames + frame, [num_frames + other if other >= chunk_start else other for other in seen]] = True
    whole = model(
        torch.cat([clean, noisy], dim=2),
        timesteps,
        context,
        WholeClip(
            ROWS,
            COLUMNS,
            CONFIG.head_dim,
            torch.device("cpu"),
            mask=to_tokens(mask),
            frame_positions=[*range(num_frames), *range(num_frames)],
        ),
    )

    cache = cache_of(model, memory, "absolute")
    for chunk in chunks:
        span, noisy_span = slice(chunk.start, chunk.stop), slice(num_frames + chunk.start, num_frames + chunk.stop)
        for _ in range(2):  # a pass that does not commit leaves no trace
            out = model(noisy[:, :, span], timesteps[:, noisy_span], context, cache)
            torch.testing.assert_close(out, whole[:, :, noisy_span], **TOLERANCE)
        with cache.keeping():
            out = model(clean[:, :, span], torch.zeros(2), context, cache)
        torch.testing.assert_close(out, whole[:, :, span], **TOLERANCE)


class ListCache:
    """A cache of plain lists: for each layer, the raw key and value (b l k d) of every frame remembered."""

    def __init__(self, sink: int, window: int, rule: RopeRule) -> None:
        self.sink, self.window, self.rule = sink, window, rule
        self.frames: list[int] = []
        self.num_seen = 0
        self.keeps = False
        self.raw: list[list[tuple[Tensor, Tensor]]] = [[] for _ in range(CONFIG.num_layers)]

    def positions(self, num_new: int) -> list[int]:
        """Position of every frame remembered and of `num_new` new ones."""
        if self.rule == "absolute":
            return [*self.frames, *range(self.num_seen, self.num_seen + num_new)]
        return list(range(len(self.frames) + num_new))

    @contextmanager
    def keeping(self) -> Iterator[None]:
        self.keeps = True
        yield
        self.keeps = False
        self.num_seen += self.num_new
        self.frames = remembered(self.num_seen, self.sink, self.window)

    def begin(self, num_frames: int) -> None:
        self.num_new = num_frames

    def layer(self, index: int) -> ListLayer:
        return ListLayer(self, index)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        positions = self.positions(self.num_new)
        frames = [*self.raw[layer], *split(k, v)]
        keys = [turn(key, position) for (key, _), position in zip(frames, positions, strict=True)]
        queries = [
            turn(query, position) for (query, _), position in zip(split(q, q), positions[-self.num_new :], strict=True)
        ]
        if self.keeps:
            for pair in split(k, v):
                self.raw[layer].append(pair)
                if len(self.raw[layer]) > self.sink + self.window:
                    del self.raw[layer][self.sink]
        return attention(torch.cat(queries, dim=1), torch.cat(keys, dim=1), torch.cat([v for _, v in frames], dim=1))


@dataclass
class ListLayer:
    """One layer of it."""

    lists: ListCache
    index: int

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.lists.attend(self.index, q, k, v)

    def keep(self, k: Tensor, v: Tensor) -> None:
        self.attend(k, k, v)

    def snapshot(self) -> ListLayer:
        raise NotImplementedError


def split(key: Tensor, value: Tensor) -> list[tuple[Tensor, Tensor]]:
    size = ROWS * COLUMNS
    return list(zip(key.split(size, dim=1), value.split(size, dim=1), strict=True))


def angles(position: int) -> list[list[float]]:
    """Angles of a frame's tokens; head_dim 12 has two pairs for the frame, two for the row, two for the column."""
    return [
        [place * 10000 ** (-i / 2) for place in (position, row, column) for i in range(2)]
        for row, column in product(range(ROWS), range(COLUMNS))
    ]


def turn(key: Tensor, position: int) -> Tensor:
    """One frame's keys turned as complex numbers."""
    turns = torch.tensor([[cmath.exp(1j * angle) for angle in token] for token in angles(position)])
    pairs = torch.view_as_complex(key.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * turns[:, None]).flatten(-2)


def stream(model: WanModel, context: CrossContext, cache: KVCache | ListCache, plan: ChunkPlan) -> Iterator[Tensor]:
    """Velocities of noisy chunks, each after the clean passes of those before it."""
    for index in range(NUM_CHUNKS):
        chunk = plan.chunk(index)
        noisy, clean = clip(chunk.num_frames, seed=10 + index), clip(chunk.num_frames, seed=30 + index)
        yield model(noisy, torch.tensor([600.0, 90.0]), context, cache)
        with cache.keeping():
            model(clean, torch.zeros(2), context, cache)


@CASES
@torch.no_grad()
def test_slots_equal_lists_of_raw_keys(
    model: WanModel, context: CrossContext, layout: str, memory: tuple[int, int]
) -> None:
    fast = stream(model, context, cache_of(model, memory, "by_slot"), LAYOUTS[layout])
    slow = stream(model, context, ListCache(*memory, "by_slot"), LAYOUTS[layout])
    for ours, truth in zip(fast, slow, strict=True):
        torch.testing.assert_close(ours, truth, **TOLERANCE)


@CASES
@torch.no_grad()
def test_how_the_rules_differ(model: WanModel, context: CrossContext, layout: str, memory: tuple[int, int]) -> None:
    """sink_fixed is by_slot with the sink turned early; absolute parts from them as soon as a sink falls behind.

    Without a sink all positions are only shifted, which attention cannot see.
    """
    plan, (sink, window) = LAYOUTS[layout], memory
    absolute, sink_fixed, by_slot = (
        list(stream(model, context, cache_of(model, memory, rule), plan)) for rule in RULES
    )
    for index in range(NUM_CHUNKS):
        torch.testing.assert_close(sink_fixed[index], by_slot[index], **TOLERANCE)
        rolled = plan.chunk(index).start > sink + window
        if sink and rolled:
            assert (absolute[index] - by_slot[index]).abs().max() > 1e-2
        else:
            torch.testing.assert_close(absolute[index], by_slot[index], **TOLERANCE)


def run_within(parts: list[nn.Module], run: Callable[[], Tensor]) -> list[nn.Module]:
    """Those of `parts` that `run` calls; it gives an empty tensor."""
    called: list[nn.Module] = []
    hooks = [part.register_forward_pre_hook(lambda part, _: called.append(part)) for part in parts]
    assert run().numel() == 0
    for hook in hooks:
        hook.remove()
    return called


@CASES
@pytest.mark.parametrize("rule", get_args(RopeRule))
@torch.no_grad()
def test_a_pass_for_its_keys_leaves_what_a_whole_one_does(
    model: WanModel, context: CrossContext, layout: str, memory: tuple[int, int], rule: RopeRule
) -> None:
    """Bit for bit, and it is given up before the last block's own work and the head."""
    whole, keys_only = cache_of(model, memory, rule), cache_of(model, memory, rule)
    last = f"blocks.{CONFIG.num_layers - 1}"
    late = [model.get_submodule(name) for name in (f"{last}.self_attn.q", f"{last}.cross_attn", f"{last}.ffn", "head")]
    for index in range(NUM_CHUNKS):
        chunk = LAYOUTS[layout].chunk(index)
        clean = clip(chunk.num_frames, seed=30 + index)
        with whole.keeping():
            model(clean, torch.zeros(2), context, whole)
        with keys_only.keeping():
            given = clean, torch.zeros(2), context, keys_only
            ran = run_within(late, partial(model, *given, keys_only=True))
        assert not ran
        for ours, expected in zip(keys_only.state().buffers, whole.state().buffers, strict=True):
            assert torch.equal(ours, expected)
