"""Geometry by property: tilings counted frame by frame, nearest sizes checked by brute force."""

import re
from itertools import islice, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from motionstream_core.geometry import Chunk, ChunkPlan, ClipLengths, LatentShape, VaeStride, VideoShape

quick = settings(deadline=None, max_examples=60)
STRIDES = st.builds(VaeStride, time=st.integers(1, 6), space=st.sampled_from([1, 4, 8, 16]))
PLANS = st.integers(1, 5).flatmap(lambda k: st.sampled_from([ChunkPlan(k, k), ChunkPlan(k, 1)]))


def nearest_named(error: pytest.ExceptionInfo[ValueError]) -> list[int]:
    """The sizes that a message offers after 'nearest that fit:'."""
    tail = re.search(r"nearest that fit: (.+)$", str(error.value))
    assert tail, f"no nearest sizes in: {error.value}"
    return [int(number) for number in re.findall(r"\d+", tail[1])]


def accepts(check, size: int) -> bool:
    try:
        check(size)
    except ValueError:
        return False
    return True


def assert_names_its_neighbours(check, size: int, search: int) -> None:
    """`check(size)` fails and names exactly its accepted neighbours: the next below and the next above.

    Where nothing below is accepted, the smallest one or two sizes. search: accepted sizes lie closer than this.
    """
    with pytest.raises(ValueError) as error:
        check(size)
    assert str(size) in str(error.value)
    below = next((s for s in range(size - 1, max(0, size - search), -1) if accepts(check, s)), None)
    above = [s for s in range(max(1, size + 1), max(1, size) + 2 * search) if accepts(check, s)]
    named = nearest_named(error)
    if below is None:
        assert named in (above[:1], above[:2])
    else:
        assert named == [below, above[0]]


@pytest.mark.parametrize("name", ["num_frames", "height", "width"])
def test_video_shape_names_the_side_that_is_too_small(name: str) -> None:
    sides = {"num_frames": 5, "height": 480, "width": 832}
    assert VideoShape(**sides).num_frames == 5
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        VideoShape(**{**sides, name: 0})


def test_wans_sizes() -> None:
    wan_21, wan_22 = VaeStride(4, 8), VaeStride(4, 16)
    assert wan_21.latent_shape(VideoShape(81, 480, 832), 16) == LatentShape(16, 21, 60, 104)
    assert wan_22.latent_shape(VideoShape(81, 704, 1280), 48) == LatentShape(48, 21, 44, 80)


@quick
@given(stride=STRIDES, num_latent_frames=st.integers(1, 200))
def test_frame_counts_go_there_and_back(stride: VaeStride, num_latent_frames: int) -> None:
    num_frames = stride.num_frames(num_latent_frames)
    assert num_frames == 1 + sum(stride.time for _ in range(num_latent_frames - 1))
    assert stride.num_latent_frames(num_frames) == num_latent_frames


@quick
@given(stride=STRIDES)
def test_no_latent_frames_are_no_frames(stride: VaeStride) -> None:
    assert stride.num_frames(0) == 0


@quick
@given(stride=STRIDES, num_frames=st.integers(-5, 400))
@example(stride=VaeStride(4, 8), num_frames=80)
@example(stride=VaeStride(4, 8), num_frames=0)
def test_frame_counts_that_do_not_fit_name_the_nearest(stride: VaeStride, num_frames: int) -> None:
    if num_frames >= 1 and (num_frames - 1) % stride.time == 0:
        stride.num_latent_frames(num_frames)
    else:
        assert_names_its_neighbours(stride.num_latent_frames, num_frames, search=stride.time + 1)


@quick
@given(stride=STRIDES, plan=PLANS, num_chunks=st.integers(1, 12))
def test_spans_of_chunks_cover_every_frame_once(stride: VaeStride, plan: ChunkPlan, num_chunks: int) -> None:
    chunks = list(islice(plan.chunks(), num_chunks))
    covered = [frame for chunk in chunks for frame in range(*stride.frame_span(chunk.start, chunk.stop))]
    assert covered == list(range(stride.num_frames(chunks[-1].stop)))


@quick
@given(stride=STRIDES, num_latent_frames=st.integers(1, 40))
def test_a_frame_belongs_to_the_latent_frame_of_the_causal_rule(stride: VaeStride, num_latent_frames: int) -> None:
    """Pixel frame 0 to latent frame 0, frames time * (i - 1) + 1 to time * i to latent frame i."""
    for latent in range(num_latent_frames):
        frames = list(range(*stride.frame_span(latent, latent + 1)))
        expected = [0] if latent == 0 else [stride.time * (latent - 1) + 1 + j for j in range(stride.time)]
        assert frames == expected


@quick
@given(
    stride=STRIDES,
    side=st.integers(1, 400),
    patch_side=st.integers(1, 3),
    name=st.sampled_from(["height", "width"]),
)
@example(stride=VaeStride(4, 8), side=488, patch_side=2, name="height")
@example(stride=VaeStride(4, 8), side=7, patch_side=2, name="width")
def test_sides_are_taken_or_name_the_nearest(stride: VaeStride, side: int, patch_side: int, name: str) -> None:
    unit = stride.space * patch_side

    def check(size: int) -> LatentShape:
        video = VideoShape(1, **{"height": 16 * unit, "width": 16 * unit, name: size})
        return stride.latent_shape(video, 16, patch=(1, patch_side, patch_side))

    if side % unit == 0:
        assert getattr(check(side), name) * stride.space == side
    else:
        assert_names_its_neighbours(check, side, search=unit + 1)


def test_each_side_answers_to_its_own_patch() -> None:
    stride = VaeStride(4, 8)
    assert stride.latent_shape(VideoShape(1, 24, 32), 16, patch=(1, 3, 2)) == LatentShape(16, 1, 3, 4)
    with pytest.raises(ValueError, match="height is 32 px"):
        stride.latent_shape(VideoShape(1, 32, 24), 16, patch=(1, 3, 2))


def test_latent_shape_checks_time_too() -> None:
    with pytest.raises(ValueError, match="77 or 81"):
        VaeStride(4, 8).latent_shape(VideoShape(80, 480, 832), 16)
    with pytest.raises(ValueError, match="temporal patch 2"):
        VaeStride(4, 8).latent_shape(VideoShape(81, 480, 832), 16, patch=(2, 2, 2))


def test_both_layouts_of_the_first_chunk() -> None:
    even, image_first = ChunkPlan(3, 3), ChunkPlan(3, 1)
    assert [(c.start, c.stop) for c in even.chunks(9)] == [(0, 3), (3, 6), (6, 9)]
    assert [(c.start, c.stop) for c in image_first.chunks(7)] == [(0, 1), (1, 4), (4, 7)]
    assert even.num_chunks(21) == 7 and image_first.num_chunks(31) == 11


@quick
@given(plan=PLANS, num_chunks=st.integers(1, 30))
def test_chunks_tile_their_latent_frames(plan: ChunkPlan, num_chunks: int) -> None:
    lengths = [plan.first_chunk_frames] + [plan.chunk_frames] * (num_chunks - 1)
    chunks = list(plan.chunks(sum(lengths)))
    assert [chunk.num_frames for chunk in chunks] == lengths
    assert [chunk.index for chunk in chunks] == list(range(num_chunks))
    assert chunks[0].start == 0 and all(a.stop == b.start for a, b in pairwise(chunks))
    assert plan.num_chunks(sum(lengths)) == num_chunks
    assert chunks == [plan.chunk(index) for index in range(num_chunks)] == list(islice(plan.chunks(), num_chunks))


@quick
@given(plan=PLANS, num_latent_frames=st.integers(-3, 60))
@example(plan=ChunkPlan(3, 3), num_latent_frames=2)
@example(plan=ChunkPlan(3, 1), num_latent_frames=0)
def test_latent_frames_that_fill_no_chunks_name_the_nearest(plan: ChunkPlan, num_latent_frames: int) -> None:
    rest = num_latent_frames - plan.first_chunk_frames
    if num_latent_frames >= 1 and rest >= 0 and rest % plan.chunk_frames == 0:
        plan.num_chunks(num_latent_frames)
    else:
        assert_names_its_neighbours(plan.num_chunks, num_latent_frames, search=plan.chunk_frames + 1)


@quick
@given(first=st.integers(1, 30), step=st.integers(1, 30), num_frames=st.integers(1, 150))
def test_lengths_are_told_apart_as_by_counting(first: int, step: int, num_frames: int) -> None:
    lengths = ClipLengths(first, step)
    fitting = range(first, 300, step)
    assert lengths.at_least(num_frames) == min(count for count in fitting if count >= num_frames)
    assert lengths.at_most(num_frames) == max([0, *(count for count in fitting if count <= num_frames)])
    if num_frames in fitting:
        lengths.check(num_frames)
    else:
        assert_names_its_neighbours(lengths.check, num_frames, search=step + first)


@quick
@given(first=st.integers(1, 30), step=st.integers(1, 30), num_frames=st.integers(1, 150))
def test_the_nearest_length_is_found_as_by_looking_at_all(first: int, step: int, num_frames: int) -> None:
    """The longer of two; and where more than one frame is asked for, a length that moves."""
    fitting = [count for count in range(first, 300, step) if count > 1 or num_frames == 1]
    least = min(abs(count - num_frames) for count in fitting)
    wanted = max(count for count in fitting if abs(count - num_frames) == least)
    assert ClipLengths(first, step).nearest(num_frames) == wanted


def test_the_first_frame_alone_does_not_move() -> None:
    assert ClipLengths(1, 12).moving == ClipLengths(13, 12)
    assert ClipLengths(9, 12).moving == ClipLengths(9, 12)
    assert str(ClipLengths(1, 12)) == "1 + 12 * k"


def test_bad_plans_and_chunks_are_named() -> None:
    with pytest.raises(ValueError, match="chunk_frames must be at least 1"):
        ChunkPlan(0, 1)
    with pytest.raises(ValueError, match="first_chunk_frames must be 1 or chunk_frames"):
        ChunkPlan(3, 2)
    with pytest.raises(ValueError, match="chunk index"):
        ChunkPlan().chunk(-1)
    assert Chunk(index=2, start=6, stop=9).num_frames == 3
