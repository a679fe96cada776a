"""Counts without a GPU: against closed forms and PyTorch's own counter; the page holds what the command counts."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import counts
from benchmarks.measure.cost import Cost, Counter
from benchmarks.measure.counted import Shape, decode_cost, held_bytes, stage_costs
from benchmarks.measure.models import preset_spec, random_stream, tiny_vae
from benchmarks.measure.stages import CACHE_PASS, CONDITIONS, DECODE, FINISH, HAND_OVER, STEP, Stages
from motionstream_core.checkpoints import ModelSpec
from motionstream_core.models.attention import attention
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.render.warm_up import first_steady_chunk
from motionstream_core.streaming.stream import StreamSettings, stream_chunks

META = torch.device("meta")
CONSTRAINTS = Path(__file__).parents[1] / "constraints.txt"


def narrow(preset: str) -> ModelSpec:
    return preset_spec(preset, tiny=True)


def empty(*shape: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    return torch.empty(shape, device=META, dtype=dtype)


@pytest.mark.parametrize(
    ("work", "flop", "bytes_", "ops"),
    [
        (lambda: F.linear(empty(5, 7), empty(3, 7), empty(3)), 2 * 5 * 7 * 3, 2 * (35 + 21 + 3 + 15), 1),
        (lambda: empty(5, 7).view(-1)[3:], 0, 0, 0),
        (lambda: empty(5).to(torch.bfloat16), 0, 0, 0),
        (lambda: empty(5).float(), 0, 5 * (2 + 4), 1),
        (lambda: empty(5).add_(1), 0, 2 * (5 + 5), 1),
        (lambda: empty(4, 3)[1:].copy_(empty(3)), 0, 2 * (3 + 9), 1),
        (lambda: empty(4, 3) + empty(3).expand(4, 3), 0, 2 * (12 + 3 + 12), 1),
        (lambda: torch.zeros(6, device=META), 0, 24, 1),
        (
            lambda: F.scaled_dot_product_attention(empty(1, 2, 4, 8), empty(1, 2, 9, 8), empty(1, 2, 9, 8)),
            4 * 2 * 4 * 9 * 8,
            2 * 2 * 8 * (4 + 9 + 9 + 4),
            1,
        ),
        (lambda: F.conv2d(empty(1, 3, 8, 8), empty(4, 3, 3, 3), padding=1), 2 * 64 * 27 * 4, 2 * (192 + 108 + 256), 1),
        (lambda: torch.zeros(9) + 1, 0, 0, 0),
    ],
    ids=["linear", "view", "same", "cast", "in_place", "copy", "expand", "fill", "attention", "conv", "host"],
)
def test_operations_cost_what_they_read_and_write(work: Callable[[], object], flop: int, bytes_: int, ops: int) -> None:
    with torch.inference_mode(), Counter() as counter:
        work()
    assert counter.cost == Cost(flop, bytes_, ops)


def test_a_pass_of_the_1_3b_model_has_the_arithmetic_that_its_shape_says() -> None:
    """4680 tokens of the chunk against 14040, 512 words and 257 tokens of the picture, in 30 blocks."""
    spec = preset_spec("wan2.1-1.3b", tiny=False)
    found = stage_costs(Shape(spec, tiny_vae(spec, tiny=True)))
    tokens, seen, dim, ffn, blocks = 3 * 30 * 52, 9 * 30 * 52, 1536, 8960, 30
    linear = 2 * tokens * blocks * (4 * dim**2 + 2 * dim**2 + 2 * dim * ffn)
    attending = 4 * tokens * blocks * dim * (seen + 512 + 257)
    ends = 2 * tokens * dim * (4 * 52 + 4 * 16)
    time = 2 * (256 * dim + dim**2 + 6 * dim**2)
    whole = linear + attending + ends + time
    assert found[STEP].flop == 3 * whole
    assert whole * (blocks - 1) / blocks < found[CACHE_PASS].flop <= whole  # what nobody reads of it may be left out
    # every weight is read once, and a block's keys and values as they are attended to
    assert found[STEP].bytes > 3 * 2 * (linear / (2 * tokens) + blocks * 2 * dim * seen)


@pytest.mark.thorough
def test_blocks_that_are_reckoned_are_those_that_are_run() -> None:
    spec = preset_spec("wan2.2-5b", tiny=True)
    shape = Shape(replace(spec, backbone=replace(spec.backbone, num_layers=3)), tiny_vae(spec, tiny=True))
    reckoned = stage_costs(shape), held_bytes(shape, fp8=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shape, "with_layers", lambda self, num_layers: self)
        assert (stage_costs(shape), held_bytes(shape, fp8=True)) == reckoned


@pytest.mark.parametrize("preset", ["wan2.1-1.3b", "wan2.2-5b"])
def test_a_real_stream_costs_as_much_by_pytorchs_counter(preset: str) -> None:
    """With attention written out as matrix products, which that counter sees on a CPU too."""
    stream = random_stream(narrow(preset), tiny_vae(narrow(preset), tiny=True), torch.device("cpu"), torch.float32, 4)
    model = stream.loaded.model
    model.attention = partial(attention, backend="matmul")
    for block in model.blocks:
        block.cross_attn.attend = model.attention
    chunks = stream_chunks(stream.loaded, stream.conditions, TinyStreamingDecoder(stream.vae), num_latent_frames=12)
    with torch.inference_mode():
        for _ in range(3):
            next(chunks)
        with FlopCounterMode(display=False) as counter:
            next(chunks)  # the cache pass of the third chunk, and the fourth up to its frames
    chunks.close()
    found = stage_costs(Shape(stream.loaded.spec, stream.vae, dtype=torch.float32))
    assert counter.get_total_flops() == sum(each.flop for each in found.values())


class Reads:
    """An instrument that counts how often it is read."""

    def __init__(self) -> None:
        self.count = 0

    def read(self) -> int:
        self.count += 1
        return self.count

    def between(self, begun: int, ended: int) -> tuple[int, int]:
        return begun, ended


def test_stages_follow_one_another_as_the_stream_goes() -> None:
    """Nothing overlaps, every chunk has every stage once and its steps three times; the picture alone takes no step."""
    spec = narrow("wan2.1-1.3b")
    stream = random_stream(spec, tiny_vae(spec, tiny=True), torch.device("cpu"), torch.float32, 3)
    stages = Stages(stream.conditions, TinyStreamingDecoder(stream.vae), Reads())
    given = torch.randn(1, 16, 3, *stream.conditions.latent_size)
    chunks = stream_chunks(
        stream.loaded,
        stages.conditions,
        stages,
        latent_size=stream.conditions.latent_size,
        num_latent_frames=9,
        callback=stages.after_step,
        given=given,
    )
    taken: list[int] = []
    with torch.inference_mode():
        shown = [len(each.frames) for each in stages.handed_over(chunks, lambda frames: taken.append(len(frames)))]
    assert taken == shown == [12, 12]
    first, *others = stages.amounts()
    assert [(name, len(each)) for name, each in first.items()] == [(CONDITIONS, 1), (DECODE, 1), (FINISH, 1)]
    names = [(CONDITIONS, 1), (STEP, 3), (DECODE, 1), (FINISH, 1), (HAND_OVER, 1), (CACHE_PASS, 1)]
    assert [[(name, len(each)) for name, each in chunk.items()] for chunk in others] == [names, names]
    readings = [moment for chunk in stages.amounts() for each in chunk.values() for pair in each for moment in pair]
    assert len(set(readings)) == len(readings)
    spans = sorted(pair for chunk in stages.amounts() for each in chunk.values() for pair in each)
    assert all(ended < begun for (_, ended), (begun, _) in itertools.pairwise(spans))


def test_a_steady_chunk_sees_a_full_memory() -> None:
    spec = preset_spec("wan2.1-1.3b", tiny=True)
    for sink, window, wanted in ((3, 3, 2), (3, 0, 1), (0, 1, 1), (3, 15, 6)):
        assert first_steady_chunk(spec, StreamSettings(sink_frames=sink, window_frames=window)) == wanted


def test_the_1_3b_model_streams_in_eight_gigabytes() -> None:
    """832x480, tiny VAE; the image encoded and the prompt read before."""
    spec = preset_spec("wan2.1-1.3b", tiny=False)
    shape = Shape(spec, tiny_vae(spec, tiny=False))
    fp8, offloaded = held_bytes(shape, fp8=True), held_bytes(shape, offloaded=True)
    assert spec.cache_bytes(spec.frame_size, 2) < offloaded.others < offloaded.total < fp8.total < 8e9
    # 30 blocks of six matrices of the model's width, two of the picture's, two of the feed-forward
    assert fp8.weights == pytest.approx(30 * (10 * 1536**2 + 2 * 1536 * 8960), rel=0.15)


def test_decoding_alone_is_the_streams_decoding() -> None:
    spec = preset_spec("wan2.1-1.3b", tiny=True)
    shape = Shape(spec, tiny_vae(spec, tiny=True))
    assert decode_cost(shape) == stage_costs(shape)[DECODE]


@pytest.mark.slow
@pytest.mark.skipif(
    f"torch=={'.'.join(torch.__version__.split('.')[:2])}." not in CONSTRAINTS.read_text("utf-8"),
    reason="operations are other ones in other versions of torch; the page has those of constraints.txt",
)
def test_the_page_says_what_the_command_counts() -> None:
    page = counts.PAGE.read_text("utf-8")
    assert counts.written(page, counts.tables()) == page, "write it anew: python -m benchmarks.counts --write"


def test_only_what_is_between_the_marks_is_written() -> None:
    page = f"before\n{counts.BEGIN}\nold\n{counts.END}\nafter\n"
    assert counts.written(page, "new") == f"before\n{counts.BEGIN}\n\nnew\n\n{counts.END}\nafter\n"
    with pytest.raises(ValueError, match="has no marks"):
        counts.written("before", "new")
