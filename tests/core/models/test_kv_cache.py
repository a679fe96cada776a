"""The key-value cache against a slow list: what it keeps, where it stands, what gradients it lets through."""

from __future__ import annotations

import cmath
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.models.attention import attention
from motionstream_core.models.kv_cache import KVCache, RopeRule
from motionstream_core.models.memory import Attention

NUM_LAYERS, NUM_HEADS, HEAD_DIM, HEIGHT, WIDTH = 2, 2, 12, 1, 2
TOKENS = HEIGHT * WIDTH
RULES = get_args(RopeRule)
STATM = Path("/proc/self/statm")


CHUNK = 3


class Seen:
    """An attention that notes what it is shown and gives the queries back."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        self.keys, self.values = k.clone(), v.clone()
        return q


def make(
    sink: int,
    window: int,
    rule: RopeRule = "sink_fixed",
    dtype: torch.dtype = torch.float32,
    attention: Attention = attention,
    height: int = HEIGHT,
) -> KVCache:
    return KVCache(
        num_layers=NUM_LAYERS,
        batch_size=1,
        num_heads=NUM_HEADS,
        head_dim=HEAD_DIM,
        height=height,
        width=WIDTH,
        sink_frames=sink,
        window_frames=window,
        chunk_frames=CHUNK,
        rope_rule=rule,
        dtype=dtype,
        device=torch.device("cpu"),
        attention=attention,
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


def shown(cache: KVCache, frames: list[int], layer: int, with_gradient: bool) -> tuple[Tensor, Tensor]:
    """Keys and values that the layer's attention sees, the chunk `frames` among them; another chunk came before it."""
    seen = cache._attention
    assert isinstance(seen, Seen)
    with torch.set_grad_enabled(with_gradient):
        for chunk in ([90 + frame for frame in frames], frames):  # a pass that is not kept leaves no trace
            cache.begin(len(chunk))
            key, value = labelled(chunk, layer)
            cache.layer(layer).attend(key, key, value)
    return seen.keys, seen.values


def keep(cache: KVCache, frames: list[int]) -> None:
    with torch.no_grad(), cache.keeping():
        cache.begin(len(frames))
        for layer in range(NUM_LAYERS):
            key, value = labelled(frames, layer)
            cache.layer(layer).attend(key, key, value)


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


@pytest.mark.parametrize("with_gradient", [False, True])
@settings(deadline=None, max_examples=60)
@given(stream=streams())
def test_a_chunk_sees_what_a_slow_list_holds(with_gradient: bool, stream: tuple[int, int, RopeRule, list[int]]) -> None:
    """Inference writes into one buffer, training joins tensors: both show the same."""
    sink, window, rule, sizes = stream
    cache, slow = make(sink, window, rule, attention=Seen()), SlowList(sink, window)
    num_bytes, seen = cache.num_bytes, 0
    for size in sizes:
        chunk = list(range(seen, seen + size))
        assert (cache.num_context_frames, cache.num_frames_seen) == (len(slow.frames), seen)
        frames = slow.frames + chunk
        positions = frames if rule == "absolute" else list(range(len(frames)))
        for layer in range(NUM_LAYERS):
            keys, values = shown(cache, chunk, layer, with_gradient)
            assert torch.equal(values, labelled(frames, layer)[1])
            torch.testing.assert_close(keys, expected_keys(frames, positions, layer), rtol=0, atol=2e-4)
        keep(cache, chunk)
        slow.add(chunk)
        seen += size
    assert cache.num_bytes == num_bytes


def test_memory_is_sink_window_and_chunk() -> None:
    """Keys and values of all three, and the window's keys once more, unrotated, where they change slots."""
    frame_bytes = 4 * NUM_LAYERS * TOKENS * NUM_HEADS * HEAD_DIM
    assert make(1, 2, "absolute").num_bytes == 2 * (1 + 2 + CHUNK) * frame_bytes
    assert make(1, 2, "by_slot").num_bytes == (2 * (1 + 2 + CHUNK) + 2) * frame_bytes


@pytest.mark.parametrize("rule", ["sink_fixed", "by_slot"])
def test_a_steady_stream_stands_still(rule: RopeRule) -> None:
    """Once the window is full the tables are the very same objects for ever; with absolute positions they move on."""
    cache, moving = make(3, 3, rule), make(3, 3, "absolute")
    turns, moved = [], []
    for chunk in range(5):
        for each, rotations in ((cache, turns), (moving, moved)):
            keep(each, list(range(3 * chunk, 3 * chunk + 3)))
            rotations.append(each._rotation)
    assert turns[2] is turns[3] is turns[4]
    assert not torch.equal(moved[3].turns, moved[4].turns)


def test_reset_forgets() -> None:
    cache = make(1, 2, attention=Seen())
    keep(cache, [0, 1, 2])
    cache.reset()
    assert (cache.num_frames_seen, cache.num_context_frames) == (0, 0)
    keys, values = shown(cache, [7], 1, with_gradient=False)
    torch.testing.assert_close(keys, expected_keys([7], [0], 1), rtol=0, atol=1e-4)
    assert torch.equal(values, labelled([7], 1)[1])


@pytest.mark.skipif(not STATM.exists(), reason="the system does not say what memory a process holds")
def test_the_memory_of_states_goes_back_to_the_system_at_once() -> None:
    def resident() -> int:
        return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    cache = make(1, 2, height=4096)
    cache.num_frames_seen = 3
    torch.empty(30 * 2**20, dtype=torch.uint8)  # let go again: glibc puts what is as large on its heap from then on
    before, states, between = resident(), [], []
    for _ in range(20):
        states.append(cache.state())
        between.append(torch.ones(1000))  # what stays there keeps a heap from shrinking
    held = sum(state.num_bytes for state in states)
    assert held > 100e6 and resident() - before > 0.9 * held
    states.clear()
    assert resident() - before < 0.1 * held


def test_a_pass_that_fails_is_not_kept() -> None:
    cache = make(1, 2)
    keep(cache, [0, 1, 2])
    with pytest.raises(RuntimeError), cache.keeping():
        cache.begin(3)
        raise RuntimeError
    assert cache.num_frames_seen == 3
    cache.begin(3)
    cache.layer(0).attend(*(labelled([3, 4, 5], 0)[i] for i in (0, 0, 1)))
    assert cache.num_frames_seen == 3


@pytest.mark.parametrize("with_gradient", [False, True])
def test_a_cache_of_less_precision_gives_the_chunks_dtype(with_gradient: bool) -> None:
    cache = make(1, 2, dtype=torch.bfloat16, attention=(seen := Seen()))
    key, value = (torch.randn(1, 3 * TOKENS, NUM_HEADS, HEAD_DIM) for _ in range(2))
    with torch.set_grad_enabled(with_gradient):
        with cache.keeping():
            cache.begin(3)
            cache.layer(0).attend(key, key, value)
        cache.begin(3)
        cache.layer(0).attend(key, key, value)
    assert seen.keys.dtype == seen.values.dtype == torch.float32
    assert torch.equal(seen.values[:, : 3 * TOKENS], value.bfloat16().float())
    assert cache.num_bytes == make(1, 2).num_bytes // 2


@pytest.mark.parametrize("rule", RULES)
def test_gradients_reach_the_chunk_and_not_the_past(rule: RopeRule) -> None:
    """As training uses it: earlier keys came from a graph, later chunks come before backward, a block runs again."""

    def leaf(num_frames: int, seed: int) -> Tensor:
        shape = (1, num_frames * TOKENS, NUM_HEADS, HEAD_DIM)
        return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()

    def gradients(keep_later: bool, by_snapshot: bool) -> tuple[Tensor, ...]:
        cache = make(1, 2, rule)
        past_key, past_value = leaf(3, 0), leaf(3, 1)
        for step in range(2):  # the second chunk also evicts
            with cache.keeping():
                cache.begin(3)
                for layer in range(NUM_LAYERS):
                    cache.layer(layer).attend(past_key, past_key * 2, past_value * (step + 1))
        key, value, query = leaf(3, 2), leaf(3, 3), leaf(3, 4)
        cache.begin(3)
        memory = cache.layer(0).snapshot() if by_snapshot else cache.layer(0)
        if by_snapshot and keep_later:
            keep(cache, [3, 4, 5])
        loss = memory.attend(query, key, value).square().sum()
        if keep_later:
            for _ in range(3):
                keep(cache, [6, 7, 8])
        loss.backward()
        assert past_key.grad is None and past_value.grad is None
        assert key.grad is not None and value.grad is not None and query.grad is not None
        assert all(float(x.grad.abs().max()) > 1e-3 for x in (key, value, query) if x.grad is not None)
        return key.grad, value.grad, query.grad

    expected = gradients(False, False)
    for case in ((True, False), (False, True), (True, True)):
        assert all(torch.equal(one, other) for one, other in zip(expected, gradients(*case), strict=True)), case


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="rope_rule is 'relative'; known are absolute, sink_fixed, by_slot"):
        make(1, 1, "relative")  # type: ignore[arg-type]
    for sink, window in ((0, 0), (-1, 3), (3, -1)):
        with pytest.raises(ValueError, match="must be at least 0 and not both 0"):
            make(sink, window)
    with pytest.raises(ValueError, match="a chunk of 4 latent frames, but this cache holds 3"):
        make(1, 1).begin(4)
