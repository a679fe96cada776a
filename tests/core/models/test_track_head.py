"""Track maps and track heads against explicit loops; a chunk's encoding against the whole clip's, bit for bit."""

from __future__ import annotations

import math
from itertools import product
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.track_head import (
    EXACT_STEP,
    CoordinateRule,
    HeadVariant,
    TrackHead,
    TrackHeadConfig,
    id_embedding,
    track_map,
)

FRAME_SIZE = (32, 48)  # height, width px
ROWS, COLUMNS = 4, 6
VARIANTS = pytest.mark.parametrize("variant", ["packed", "temporal_conv"])
COORDINATES = pytest.mark.parametrize("coordinates", get_args(CoordinateRule))


def config(
    variant: HeadVariant = "packed", coordinates: CoordinateRule = "floor", id_dim: int = 8, bias: bool = True
) -> TrackHeadConfig:
    return TrackHeadConfig(variant=variant, coordinates=coordinates, id_dim=id_dim, out_channels=5, bias=bias)


def make(wanted: TrackHeadConfig) -> TrackHead:
    torch.manual_seed(0)
    return TrackHead(wanted).requires_grad_(False)


def tracks(num_frames: int, num_tracks: int, seed: int = 0, batch_size: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """points (b t n 2) in and around the frame, visibility (b t n), ids (n)."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor([FRAME_SIZE[1], FRAME_SIZE[0]])
    points = (torch.rand(batch_size, num_frames, num_tracks, 2, generator=generator) * 1.4 - 0.2) * size
    visibility = torch.rand(batch_size, num_frames, num_tracks, generator=generator) < 0.8
    return points, visibility, torch.randperm(100_000, generator=generator)[:num_tracks]


def slow_cell(x: float, y: float, coordinates: CoordinateRule) -> tuple[float, float] | None:
    """(row, column) of a point, None outside the frame; between two cells where it is shared by them."""
    height, width = FRAME_SIZE
    if not (0 <= x < width and 0 <= y < height):
        return None
    if coordinates == "floor":
        return math.floor(y / 8), math.floor(x / 8)
    if coordinates == "round":
        return round(y / height * (ROWS - 1)), round(x / width * (COLUMNS - 1))
    row, column = max(0.0, min(y / 8 - 0.5, ROWS - 1)), max(0.0, min(x / 8 - 0.5, COLUMNS - 1))
    return round(row * 16) / 16, round(column * 16) / 16


def slow_map(points: Tensor, visibility: Tensor, embedding: Tensor, coordinates: CoordinateRule) -> Tensor:
    batch_size, num_frames, num_tracks, _ = points.shape
    out = torch.zeros(batch_size, embedding.shape[-1], num_frames, ROWS, COLUMNS, dtype=torch.float64)
    for b, t, n in product(range(batch_size), range(num_frames), range(num_tracks)):
        x, y = points[b, t, n].tolist()
        cell = slow_cell(x, y, coordinates)
        if not visibility[b, t, n] or cell is None:
            continue
        for row, column in product(*({math.floor(at), math.ceil(at)} for at in cell)):
            share = max(0.0, 1 - abs(row - cell[0])) * max(0.0, 1 - abs(column - cell[1]))  # a tent over its place
            out[b, :, t, row, column] += share * embedding[b, n].double()
    return out


@COORDINATES
@pytest.mark.parametrize(("num_frames", "num_tracks"), [(5, 40), (1, 1), (4, 300)])
def test_the_map_equals_three_loops(coordinates: CoordinateRule, num_frames: int, num_tracks: int) -> None:
    points, visibility, _ = tracks(num_frames, num_tracks)
    embedding = torch.randn(2, num_tracks, 3, generator=torch.Generator().manual_seed(1))
    expected = slow_map(points, visibility, embedding, coordinates)
    made = track_map(points, visibility, embedding, FRAME_SIZE, config(coordinates=coordinates))
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("coordinates", "point", "cell"),
    [
        ("floor", (0.0, 0.0), (0, 0)),
        ("floor", (7.99, 8.0), (1, 0)),
        ("floor", (47.99, 31.99), (3, 5)),
        ("floor", (48.0, 5.0), None),
        ("floor", (5.0, 32.0), None),
        ("floor", (-0.01, 5.0), None),
        ("floor", (5.0, -0.01), None),
        # 5 and 3 steps across 48 and 32 px: cell borders at odd multiples of 4.8 and 5.33
        ("round", (0.0, 0.0), (0, 0)),
        ("round", (4.7, 5.3), (0, 0)),
        ("round", (4.9, 5.4), (1, 1)),
        ("round", (47.99, 31.99), (3, 5)),
        ("round", (43.1, 26.6), (2, 4)),
        ("round", (48.0, 5.0), None),
        ("round", (5.0, -0.01), None),
    ],
)
def test_where_a_point_falls(
    coordinates: CoordinateRule, point: tuple[float, float], cell: tuple[int, int] | None
) -> None:
    points, visibility = torch.tensor(point).view(1, 1, 1, 2), torch.ones(1, 1, 1, dtype=torch.bool)
    made = track_map(points, visibility, torch.tensor([[[2.0]]]), FRAME_SIZE, config(coordinates=coordinates))
    assert [tuple(place) for place in made[0, 0, 0].nonzero().tolist()] == ([] if cell is None else [cell])
    assert float(made.sum()) == (0 if cell is None else 2)


def test_a_shared_point_can_be_read_back() -> None:
    """To a quarter of a pixel, between the outermost centres of cells; "floor" tells the cell and no more."""
    points = 4 + torch.rand(1, 1, 400, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([39.9, 23.9])
    columns, rows = (torch.arange(COLUMNS) + 0.5) * 8, (torch.arange(ROWS) + 0.5) * 8
    apart: dict[CoordinateRule, Tensor] = {}
    for rule in ("bilinear", "floor"):
        told = track_map(
            points, torch.ones(1, 1, 400, dtype=torch.bool), torch.eye(400)[None], FRAME_SIZE, config(coordinates=rule)
        )
        share = told[0, :, 0]
        torch.testing.assert_close(share.sum((1, 2)), torch.ones(400))
        read = torch.stack([share.sum(1) @ columns, share.sum(2) @ rows], dim=-1)
        apart[rule] = (read - points[0, 0]).abs().amax()
    assert apart["bilinear"] <= 0.2501 < 3.9 < apart["floor"]


@COORDINATES
@pytest.mark.parametrize("nowhere", [math.nan, math.inf, -math.inf, 1e30])
def test_a_position_that_is_none_harms_nothing(coordinates: CoordinateRule, nowhere: float) -> None:
    """Trackers write NaN where a point is lost; such a point is invisible, even if marked otherwise."""
    points, visibility, _ = tracks(3, 6)
    embedding = torch.randn(2, 6, 4)
    visibility[:, :, 2] = False
    expected = track_map(points, visibility, embedding, FRAME_SIZE, config(coordinates=coordinates))
    points[:, :, 2] = nowhere
    for marked in (False, True):
        visibility[0, :, 2] = marked
        made = track_map(points, visibility, embedding, FRAME_SIZE, config(coordinates=coordinates))
        assert torch.equal(made, expected)


def test_a_frame_that_is_no_multiple_of_the_stride_is_refused() -> None:
    """Its last points would fall into the next row, or the next frame."""
    points, visibility, _ = tracks(1, 2)
    with pytest.raises(ValueError, match=r"\(32, 44\) px.* multiples of 8"):
        track_map(points, visibility, torch.randn(2, 2, 4), (32, 44), config())


@COORDINATES
def test_the_embedding_is_cosines_then_sines(coordinates: CoordinateRule) -> None:
    ids, step = [0, 1, 77, 99_999], EXACT_STEP[coordinates]
    made = id_embedding(torch.tensor(ids), 64, coordinates=coordinates)
    for row, number in zip(made.tolist(), ids, strict=True):
        angles = [number * 10000.0 ** (-i / 32) for i in range(32)]
        exact = [*map(math.cos, angles), *map(math.sin, angles)]
        assert max(abs(a - b) for a, b in zip(row, exact, strict=True)) <= 0.51 * step
    assert torch.equal(made, torch.round(made / step) * step)


def test_fastvideos_head_has_angles_in_fp32() -> None:
    """As it was trained (FastVideo: track_encoder.py): near the exact ones, and for large ids not quite."""
    ids = torch.arange(0, 100_000, 37)
    apart = (id_embedding(ids, 64, "temporal_conv") - id_embedding(ids, 64)).abs()
    assert apart[ids < 100].max() < 1e-4
    assert 1e-3 < apart.max() < 1e-2


def crowded(num_frames: int, num_tracks: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Tracks of which sixty walk together, so that some cells hold dozens."""
    points, visibility, ids = tracks(num_frames, num_tracks, seed)
    points[:, :, :60] = points[:, :, :1] + torch.rand(60, 2, generator=torch.Generator().manual_seed(seed))
    return points, visibility, ids


@VARIANTS
@COORDINATES
@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_chunk_is_the_slice_of_the_clip(
    variant: HeadVariant, coordinates: CoordinateRule, first: int, dtype: torch.dtype
) -> None:
    """Bit for bit, also where dozens of points collide, and in whatever order the points come."""
    head = make(config(variant, coordinates, id_dim=64)).to(dtype)
    plan, stride = ChunkPlan(3, first), VaeStride()
    chunks = [plan.chunk(index) for index in range(4)]
    points, visibility, ids = crowded(stride.num_frames(chunks[-1].stop), 200, seed=first)
    whole = head.encode(points, visibility, ids, FRAME_SIZE, at_start=True)
    assert whole.shape == (2, 5, chunks[-1].stop, ROWS, COLUMNS)
    for chunk in chunks:
        start, stop = stride.frame_span(chunk.start, chunk.stop)
        order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(chunk.index))
        for pick in (slice(None), order):
            own = (points[:, start:stop, pick], visibility[:, start:stop, pick], ids[pick])
            made = head.encode(*own, FRAME_SIZE, at_start=chunk.start == 0)
            assert torch.equal(made, whole[:, :, chunk.start : chunk.stop])


@VARIANTS
@settings(deadline=None, max_examples=25)
@given(
    coordinates=st.sampled_from(get_args(CoordinateRule)),
    chunk_frames=st.integers(1, 4),
    num_chunks=st.integers(1, 4),
    num_tracks=st.integers(0, 130),
    seed=st.integers(0, 999),
    alone=st.booleans(),
)
def test_any_chunking_gives_the_same_bits(
    variant: HeadVariant,
    coordinates: CoordinateRule,
    chunk_frames: int,
    num_chunks: int,
    num_tracks: int,
    seed: int,
    alone: bool,
) -> None:
    head = make(config(variant, coordinates, id_dim=64))
    plan, stride = ChunkPlan(chunk_frames, 1 if alone else chunk_frames), VaeStride()
    chunks = [plan.chunk(index) for index in range(num_chunks)]
    points, visibility, ids = tracks(stride.num_frames(chunks[-1].stop), num_tracks, seed, batch_size=1)
    spans = [stride.frame_span(chunk.start, chunk.stop) for chunk in chunks]
    pieces = [
        head.encode(points[:, start:stop], visibility[:, start:stop], ids, FRAME_SIZE, at_start=start == 0)
        for start, stop in spans
    ]
    assert torch.equal(torch.cat(pieces, dim=2), head.encode(points, visibility, ids, FRAME_SIZE, at_start=True))


@VARIANTS
@pytest.mark.parametrize("frame_size", [(96, 160), (8, 8)])
def test_no_frame_size_changes_the_bits(variant: HeadVariant, frame_size: tuple[int, int]) -> None:
    """Convolutions of these sizes round otherwise for one latent frame than for seven."""
    head = make(config(variant, id_dim=64))
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(1, 25, 300, 2, generator=generator) * torch.tensor(frame_size[::-1])
    visibility, ids = torch.ones(1, 25, 300, dtype=torch.bool), torch.randperm(100_000, generator=generator)[:300]
    whole = head.encode(points, visibility, ids, frame_size, at_start=True)
    for start, stop in ((0, 1), (1, 4), (4, 7)):
        span = slice(*VaeStride().frame_span(start, stop))
        made = head.encode(points[:, span], visibility[:, span], ids, frame_size, at_start=start == 0)
        assert torch.equal(made, whole[:, :, start:stop])


@VARIANTS
def test_no_track_is_a_zero_map(variant: HeadVariant) -> None:
    """Nobody holds a handle: what the head then says is its answer to zeros."""
    head = make(config(variant))
    points, visibility, ids = tracks(5, 0)
    made = head.encode(points, visibility, ids, FRAME_SIZE, at_start=True)
    torch.testing.assert_close(made, head(torch.zeros(2, 8, 5, ROWS, COLUMNS), at_start=True))


@VARIANTS
def test_ids_may_differ_within_a_batch(variant: HeadVariant) -> None:
    head = make(config(variant))
    points, visibility, ids = tracks(5, 7)
    both = torch.stack([ids, ids.flip(0)])
    made = head.encode(points, visibility, both, FRAME_SIZE, at_start=True)
    for b in range(2):
        alone = head.encode(points[b : b + 1], visibility[b : b + 1], both[b], FRAME_SIZE, at_start=True)
        torch.testing.assert_close(made[b : b + 1], alone)
    assert not torch.allclose(made, head.encode(points, visibility, ids, FRAME_SIZE, at_start=True))


def slow_head(head: TrackHead, maps: Tensor) -> Tensor:
    """Motion latents (b c f h w) of a clip's maps (b d t h w), each value by its definition."""
    weights = {name: tensor.double() for name, tensor in head.state_dict().items()}
    batch_size, id_dim, num_frames, rows, columns = maps.shape
    num_latent_frames = 1 + (num_frames - 1) // 4
    out = torch.empty(batch_size, 5, num_latent_frames, rows, columns, dtype=torch.float64)
    for b, f, h, w in product(range(batch_size), range(num_latent_frames), range(rows), range(columns)):
        four = []  # the pixel frames of latent frame f
        for frame in range(4 * f - 3, 4 * f + 1):
            if frame >= 0:
                four.append(maps[b, :, frame, h, w].double())
            elif head.config.variant == "packed":
                four.append(maps[b, :, 0, h, w].double())
            else:
                four.append(torch.zeros(id_dim, dtype=torch.float64))
        if head.config.variant == "packed":
            inner = torch.cat(four)
        else:
            kernel = weights["temporal_conv.weight"][..., 0, 0]
            inner = sum((kernel[:, :, s] @ four[s] for s in range(4)), weights["temporal_conv.bias"])
        out[b, :, f, h, w] = weights["proj.weight"][..., 0, 0, 0] @ inner + weights["proj.bias"]
    return out


@VARIANTS
def test_the_head_equals_its_definition(variant: HeadVariant) -> None:
    head = make(config(variant))
    maps = torch.randn(2, 8, 9, 2, 3, generator=torch.Generator().manual_seed(1))
    expected = slow_head(head, maps)
    torch.testing.assert_close(head(maps, at_start=True).double(), expected, rtol=0, atol=1e-5)
    later = head(maps[:, :, 5:], at_start=False)
    torch.testing.assert_close(later.double(), expected[:, :, 2:], rtol=0, atol=1e-5)


@VARIANTS
def test_frames_that_do_not_fill_are_refused(variant: HeadVariant) -> None:
    head, maps = make(config(variant)), torch.zeros(1, 8, 4, 2, 2)
    with pytest.raises(ValueError, match=r"1 \+ 4 \* k at the start of a clip and 4 \* k later"):
        head(maps, at_start=True)
    with pytest.raises(ValueError, match="5 track frames do not fill"):
        head(torch.zeros(1, 8, 5, 2, 2), at_start=False)


@pytest.mark.parametrize(
    ("variant", "bias", "shapes"),
    [
        ("packed", False, {"proj.weight": (16, 256, 1, 1, 1)}),
        ("packed", True, {"proj.weight": (16, 256, 1, 1, 1), "proj.bias": (16,)}),
        ("temporal_conv", False, {"temporal_conv.weight": (16, 64, 4, 1, 1), "proj.weight": (16, 16, 1, 1, 1)}),
        (
            "temporal_conv",
            True,
            {
                "temporal_conv.weight": (16, 64, 4, 1, 1),
                "temporal_conv.bias": (16,),
                "proj.weight": (16, 16, 1, 1, 1),
                "proj.bias": (16,),
            },
        ),
    ],
)
def test_names_and_shapes_of_weights(variant: HeadVariant, bias: bool, shapes: dict[str, tuple[int, ...]]) -> None:
    """Those of Track-v0's `track_encoder.*` for temporal_conv."""
    head = TrackHead(TrackHeadConfig(variant=variant, bias=bias))
    assert {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()} == shapes


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(ValueError, match="'pooled'; known are 'packed' and 'temporal_conv'"):
        TrackHead(config("pooled"))  # type: ignore[arg-type]
