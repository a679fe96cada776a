"""The key-value cache against a slow list: what it keeps, where it stands, what gradients it lets through."""

from __future__ import annotations

import cmath
from dataclasses import dataclass, field
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.models.attention import attention
from motionstream_core.models.kv_cache import KVCache, RopeRule

NUM_LAYERS, NUM_HEADS, HEAD_DIM, HEIGHT, WIDTH = 2, 2, 12, 1, 2
TOKENS = HEIGHT * WIDTH
RULES = get_args(RopeRule)


def make(sink: int, window: int, rule: RopeRule = "sink_fixed", dtype: torch.dtype = torch.float32) -> KVCache:
    return KVCache(
        num_layers=NUM_LAYERS,
        batch_size=1,
        num_heads=NUM_HEADS,
        head_dim=HEAD_DIM,
        height=HEIGHT,
        width=WIDTH,
        sink_frames=sink,
        window_frames=window,
        rope_rule=rule,
        dtype=dtype,
        device=torch.device("cpu"),
    )


def labelled(frames: list[int], layer: int) -> tuple[Tensor, Tensor]:
    """Keys and values (1 l k d) that tell frame, layer and token: a key's pairs are (label, 0), values are label."""
    label = torch.tensor([[1.0 + frame + 100 * layer + 0.25 * token for token in range(TOKENS)] for frame in frames])
    value = label.flatten()[None, :, None, None].expand(1, -1, NUM_HEADS, HEAD_DIM)
    return value * torch.tensor([1.0, 0.0]).repeat(HEAD_DIM // 2), value.clone()


def expected_keys(frames: list[int], positions: list[int], layer: int) -> Tensor:
    """`labelled` keys turned one complex number at a time (head_dim 12: 4 features each for frame, row, column)."""
    keys, _ = labelled(frames, layer)
    keys = keys.clone()
    for i, position in enumerate(positions):
        for token in range(TOKENS):
            for pair, place in enumerate((position, position, 0, 0, token, token)):
                turned = complex(keys[0, i * TOKENS + token, 0, 2 * pair], 0) * cmath.exp(
                    1j * place * 0.01 ** (pair % 2)
                )
                keys[0, i * TOKENS + token, :, 2 * pair] = turned.real
                keys[0, i * TOKENS + token, :, 2 * pair + 1] = turned.imag
    return keys


def commit(cache: KVCache, frames: list[int]) -> None:
    turn = cache.chunk_rotation(len(frames))
    for layer in range(NUM_LAYERS):
        cache.write(layer, *labelled(frames, layer), turn)
    cache.advance(len(frames))


@dataclass
class SlowList:
    """The frames that a stream still remembers, by dropping the oldest of the window one at a time."""

    sink: int
    window: int
    frames: list[int] = field(default_factory=list)

    def add(self, chunk: list[int]) -> None:
        for frame in chunk:
            self.frames.append(frame)
            if len(self.frames) > self.sink + self.window:
                del self.frames[self.sink]


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, int, RopeRule, list[int]]:
    """sink, window, rule and the sizes of the chunks."""
    sink = draw(st.integers(0, 3))
    window = draw(st.integers(0 if sink else 1, 5))
    chunk = draw(st.integers(1, 3))
    first = draw(st.sampled_from([1, chunk]))
    return sink, window, draw(st.sampled_from(RULES)), [first] + [chunk] * draw(st.integers(4, 8))


@settings(deadline=None, max_examples=60)
@given(streams())
def test_the_context_is_that_of_a_slow_list(stream: tuple[int, int, RopeRule, list[int]]) -> None:
    sink, window, rule, sizes = stream
    cache, slow = make(sink, window, rule), SlowList(sink, window)
    num_bytes = cache.num_bytes
    seen = 0
    for size in sizes:
        chunk = list(range(seen, seen + size))
        assert cache.context_frame_numbers() == slow.frames
        assert cache.num_context_frames == len(slow.frames)
        assert cache.num_frames_seen == seen
        frames = slow.frames + chunk
        positions = frames if rule == "absolute" else list(range(len(frames)))
        turn = cache.chunk_rotation(size)
        for layer in range(NUM_LAYERS):
            keys, values = cache.read(layer, *labelled(chunk, layer), turn)
            assert torch.equal(values, labelled(frames, layer)[1])
            torch.testing.assert_close(keys, expected_keys(frames, positions, layer), rtol=0, atol=2e-4)
        commit(cache, chunk)
        slow.add(chunk)
        seen += size
    assert cache.context_frame_numbers() == slow.frames
    assert cache.num_bytes == num_bytes == 2 * 4 * NUM_LAYERS * (sink + window) * TOKENS * NUM_HEADS * HEAD_DIM


@pytest.mark.parametrize("rule", RULES)
def test_reading_changes_nothing(rule: RopeRule) -> None:
    """A chunk reads once per denoise step before it is written."""
    cache = make(1, 2, rule)
    commit(cache, [0, 1, 2])
    commit(cache, [3, 4])
    turn = cache.chunk_rotation(2)
    first = cache.read(0, *labelled([5, 6], 0), turn)
    cache.read(0, *labelled([8, 9], 0), turn)
    again = cache.read(0, *labelled([5, 6], 0), turn)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("rule", ["sink_fixed", "by_slot"])
def test_a_steady_stream_stands_still(rule: RopeRule) -> None:
    """Once the window is full the tables are the very same objects for ever; with absolute positions they move on."""
    cache, moving = make(3, 3, rule), make(3, 3, "absolute")
    turns, moved = [], []
    for chunk in range(5):
        turns.append(cache.chunk_rotation(3))
        moved.append(moving.chunk_rotation(3))
        for each in (cache, moving):
            commit(each, list(range(3 * chunk, 3 * chunk + 3)))
    assert turns[2] is turns[3] is turns[4]
    assert not torch.equal(moved[3].cos, moved[4].cos)


def test_reset_forgets() -> None:
    cache = make(1, 2)
    commit(cache, [0, 1, 2])
    cache.reset()
    assert (cache.num_frames_seen, cache.num_context_frames, cache.context_frame_numbers()) == (0, 0, [])
    keys, values = cache.read(1, *labelled([7], 1), cache.chunk_rotation(1))
    torch.testing.assert_close(keys, expected_keys([7], [0], 1), rtol=0, atol=1e-4)
    assert torch.equal(values, labelled([7], 1)[1])
    commit(cache, [7])
    assert cache.context_frame_numbers() == [0]


def test_a_cache_of_less_precision_gives_the_chunks_dtype() -> None:
    cache = make(1, 2, dtype=torch.bfloat16)
    key, value = (torch.randn(1, 3 * TOKENS, NUM_HEADS, HEAD_DIM) for _ in range(2))
    turn = cache.chunk_rotation(3)
    cache.write(0, key, value, turn)
    cache.advance(3)
    keys, values = cache.read(0, key, value, cache.chunk_rotation(3))
    assert keys.dtype == values.dtype == torch.float32
    assert torch.equal(values[:, : 3 * TOKENS], value.bfloat16().float())
    assert torch.equal(values[:, 3 * TOKENS :], value)
    assert cache.num_bytes == make(1, 2).num_bytes // 2


@pytest.mark.parametrize("rule", RULES)
def test_gradients_reach_the_chunk_and_not_the_past(rule: RopeRule) -> None:
    """As training uses it: earlier keys were written from a graph, and later writes come before backward."""

    def leaf(num_frames: int, seed: int) -> Tensor:
        shape = (1, num_frames * TOKENS, NUM_HEADS, HEAD_DIM)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()

    def gradients(write_later: bool) -> tuple[Tensor, ...]:
        cache = make(1, 2, rule)
        past_key, past_value = leaf(3, 0), leaf(3, 1)
        for step in range(2):  # the second write also evicts
            for layer in range(NUM_LAYERS):
                cache.write(layer, past_key * 2, past_value * (step + 1), cache.chunk_rotation(3))
            cache.advance(3)
        key, value, query = leaf(3, 2), leaf(3, 3), leaf(3, 4)
        keys, values = cache.read(0, key, value, cache.chunk_rotation(3))
        assert keys.requires_grad and values.requires_grad
        loss = attention(query, keys, values).square().sum()
        if write_later:
            for _ in range(3):
                commit(cache, [6, 7, 8])
        loss.backward()
        assert past_key.grad is None and past_value.grad is None
        assert key.grad is not None and value.grad is not None and query.grad is not None
        assert all(float(x.grad.abs().max()) > 1e-3 for x in (key, value, query) if x.grad is not None)
        return key.grad, value.grad, query.grad

    for now, later in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(now, later)


@pytest.mark.parametrize("rule", RULES)
def test_what_is_read_of_the_past_carries_no_gradient(rule: RopeRule) -> None:
    cache = make(1, 2, rule)
    key, value = (x.requires_grad_() for x in labelled([0, 1, 2], 0))
    cache.write(0, key, value, cache.chunk_rotation(3))
    cache.advance(3)
    keys, values = cache.read(0, *labelled([3], 0), cache.chunk_rotation(1))
    assert not keys.requires_grad and not values.requires_grad


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="rope_rule is 'relative'; known are absolute, sink_fixed, by_slot"):
        make(1, 1, "relative")  # type: ignore[arg-type]
    for sink, window in ((0, 0), (-1, 3), (3, -1)):
        with pytest.raises(ValueError, match="must be at least 0 and not both 0"):
            make(sink, window)
