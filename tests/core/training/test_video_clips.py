"""Clips of videos as batches, and the order in which any clips come: every clip once an epoch, from any step on."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.training.data.batches import Batch, TrainingClips, View, pad_text, prefetched
from motionstream_core.training.data.videos import TrackDraw, VideoClips
from motionstream_core.training.data.world import MAX_POINTS, LatentClips

HEIGHT, WIDTH, LATENT_FRAMES, STRIDE, GRID = 6, 10, 3, 8, 12
FRAMES = 1 + 4 * (LATENT_FRAMES - 1)
WHOLE = View(LATENT_FRAMES, 10)
NUM_CLIPS = 7


def grid_points() -> Tensor:
    """(n 2): a point in every cell of the frame, row by row, each at another place of its cell."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    inside = torch.rand(HEIGHT * WIDTH, 2, generator=torch.Generator().manual_seed(0)) * 0.7 + 0.1
    return (torch.stack([x, y], -1).reshape(-1, 2) + inside) * STRIDE


def write_shard(path: Path, first: int, count: int, extras: bool = True, version: int = 1, name: str = "e") -> None:
    """Latents whose channels are column, row, latent frame, clip number. Clip i's text is i + 1 tokens of i."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {"empty_text": torch.full((3, 2), 9.0).bfloat16()} if extras else {}
    shape = (LATENT_FRAMES, HEIGHT, WIDTH)
    start = grid_points()
    for row in range(count):
        clip = first + row
        channels = [
            torch.arange(WIDTH).expand(shape),
            torch.arange(HEIGHT)[:, None].expand(shape),
            torch.arange(LATENT_FRAMES)[:, None, None].expand(shape),
            torch.full(shape, clip),
        ]
        held = {
            "latents": torch.stack(channels).half(),
            "start": start,
            "offset": torch.arange(FRAMES)[:, None, None].expand(-1, len(start), 2).half() * 0.25,
            "visibility": torch.ones(FRAMES, len(start), dtype=torch.bool),
        }
        if extras:
            held["text"] = torch.full((clip + 1, 2), float(clip)).bfloat16()
            held["image"] = -torch.stack(channels).half()
        tensors |= {f"{row:05d}.{key}": value.clone().contiguous() for key, value in held.items()}
    about = {
        "version": version,
        "clips": [{"caption": f"clip {first + row}", "video": "v", "start_s": 0.0} for row in range(count)],
        "frame_size": [HEIGHT * STRIDE, WIDTH * STRIDE],
        "fps": 16.0,
        "stride": [4, STRIDE],
        "encoders": name,
    }
    save_file(tensors, str(path), {"about": json.dumps(about)})


@pytest.fixture
def videos(tmp_path: Path) -> VideoClips:
    write_shard(tmp_path / "video_00000.safetensors", 0, 3)
    write_shard(tmp_path / "video_00002.safetensors", 3, 4)
    return VideoClips(tmp_path, TrackDraw(1, 60))


def write_world(folder: Path) -> LatentClips:
    rng = np.random.default_rng(0)
    for shard, count in enumerate((3, 4)):
        tensors = {
            "latents": torch.randn(count, 4, LATENT_FRAMES, 8, 8).half(),
            "points": torch.from_numpy(rng.uniform(0, 64, (count, FRAMES, MAX_POINTS, 2))).half(),
            "visibility": torch.ones(count, FRAMES, MAX_POINTS, dtype=torch.bool),
            "owner": torch.from_numpy(rng.integers(-1, 2, (count, MAX_POINTS))).to(torch.int8),
        }
        captions = json.dumps([f"clip {3 * shard + index}" for index in range(count)])
        save_file(tensors, str(folder / f"world_{shard:05d}.safetensors"), {"captions": captions})
    return LatentClips(folder)


@pytest.fixture(params=["videos", "world"])
def clips(request: pytest.FixtureRequest, tmp_path: Path) -> TrainingClips:
    return request.getfixturevalue("videos") if request.param == "videos" else write_world(tmp_path)


def same(first: Batch, second: Batch, row: int, other: int) -> bool:
    """Whether sample `row` of one batch is sample `other` of the next, whatever either was padded to."""
    seen, seen_too = first.visibility[row].any(0), second.visibility[other].any(0)
    return (
        torch.equal(first.latents[row], second.latents[other])
        and torch.equal(first.points[row][:, seen], second.points[other][:, seen_too])
        and first.captions[row] == second.captions[other]
    )


# --- order


def test_every_epoch_shows_every_clip_once_and_in_an_order_of_its_own(clips: TrainingClips) -> None:
    epochs = [clips.epoch_batch(epoch * NUM_CLIPS, NUM_CLIPS, View(2, 8), 5).captions for epoch in range(6)]
    everything = sorted(f"clip {index}" for index in range(NUM_CLIPS))
    assert all(sorted(epoch) == everything for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert clips.epoch_batch(0, NUM_CLIPS, View(2, 8), 6).captions != epochs[0]


def test_batches_cross_epochs_and_resume_in_their_midst(clips: TrainingClips) -> None:
    view, size = View(2, 5 if isinstance(clips, LatentClips) else 10), 3
    straight = [clips.epoch_batch(step * size, size, view, 1) for step in range(8)]
    counted = Counter(caption for batch in straight for caption in batch.captions)
    assert set(counted.values()) == {3, 4}  # 24 samples of 7 clips
    for step in (7, 2, 5):
        again = clips.epoch_batch(step * size, size, view, 1)
        assert torch.equal(again.latents, straight[step].latents) and torch.equal(again.points, straight[step].points)
        assert torch.equal(again.visibility, straight[step].visibility)


def test_ranks_take_disjoint_parts_of_one_order(clips: TrainingClips) -> None:
    view, micro, num_ranks, num_micro = View(2, 5 if isinstance(clips, LatentClips) else 10), 2, 2, 2
    batch_size = micro * num_ranks * num_micro
    for step in range(3):
        whole = clips.epoch_batch(step * batch_size, batch_size, view, 3)
        for rank in range(num_ranks):
            for index in range(num_micro):
                first = (rank * num_micro + index) * micro
                part = clips.epoch_batch(step * batch_size + first, micro, view, 3)
                assert all(same(part, whole, row, first + row) for row in range(micro))


def test_a_clip_is_seen_differently_in_every_epoch(videos: VideoClips) -> None:
    shown = {
        (float(batch.latents[row, 0, 0, 0, 0]), float(batch.latents[row, 1, 0, 0, 0]))
        for batch in (videos.epoch_batch(epoch * NUM_CLIPS, NUM_CLIPS, View(2, 3), 0) for epoch in range(10))
        for row in range(NUM_CLIPS)
        if batch.captions[row] == "clip 2"
    }
    assert len(shown) > 5


# --- what a sample of a video holds


def test_a_window_moves_points_and_image_with_the_latents(videos: VideoClips) -> None:
    grid, seen = grid_points(), 0
    for position in range(40):
        batch = videos.epoch_batch(position, 1, View(2, 4), 7)
        latents = batch.latents[0]
        assert latents.shape == (4, 2, 4, 4)
        clip = int(latents[3, 0, 0, 0])
        assert batch.captions == [f"clip {clip}"]
        assert batch.image is not None and torch.equal(batch.image[0], -latents)
        assert batch.points.shape[1] == 5
        corner = latents[:2, 0, 0, 0] * STRIDE
        told = batch.visibility[0].any(0)
        back = batch.points[0][:, told] + corner
        steps = torch.arange(5)[:, None, None] * 0.25
        for n in range(back.shape[1]):
            assert ((grid[:, None] + steps[None, :, 0] - back[None, :, n]).abs().amax((1, 2)) < 1e-3).any()
        inside = (batch.points[0][:, told] >= 0).all(-1) & (batch.points[0][:, told] < 4 * STRIDE).all(-1)
        assert inside.any(0).all()  # no track is told that the window never shows
        seen += int(told.sum())
    assert seen > 100


def test_a_view_wider_than_the_frame_shows_all_of_it(videos: VideoClips) -> None:
    batch = videos.batch(2, View(LATENT_FRAMES, 64), np.random.default_rng(0))
    assert batch.latents.shape == (2, 4, LATENT_FRAMES, HEIGHT, WIDTH)
    assert batch.latents[:, 0, :, :, 0].eq(0).all() and batch.latents[:, 1, :, 0].eq(0).all()


def test_text_is_padded_with_zeros_and_the_empty_text_with_it(videos: VideoClips) -> None:
    batch = videos.epoch_batch(0, NUM_CLIPS, WHOLE, 0)
    assert batch.text is not None and batch.empty_text is not None
    assert batch.text.shape == (NUM_CLIPS, 7, 2) and batch.empty_text.shape == (7, 2)
    for row, caption in enumerate(batch.captions):
        clip = int(caption.split()[1])
        assert (batch.text[row, : clip + 1] == clip).all() and not batch.text[row, clip + 1 :].any()
    assert (batch.empty_text[:3] == 9).all() and not batch.empty_text[3:].any()
    alone = videos.epoch_batch([c == "clip 0" for c in batch.captions].index(True), 1, WHOLE, 0)
    assert alone.text is not None and alone.text.shape == (1, 3, 2)  # the empty text is longer than this caption


def test_clips_without_embeddings_have_none(tmp_path: Path) -> None:
    write_shard(tmp_path / "video_00000.safetensors", 0, 2, extras=False)
    batch = VideoClips(tmp_path).batch(2, WHOLE, np.random.default_rng(0))
    assert batch.text is None and batch.empty_text is None and batch.image is None and batch.image_tokens is None


def test_the_number_of_tracks_runs_over_the_orders_of_magnitude() -> None:
    draw, rng, everything = TrackDraw(), np.random.default_rng(0), np.arange(2500) * 3
    counts = []
    for _ in range(3000):
        chosen = draw.choose(everything, rng)
        counts.append(len(chosen))
        assert len(set(chosen.tolist())) == len(chosen) and set(chosen.tolist()) <= set(everything.tolist())
    told = np.array([count for count in counts if count])
    assert np.mean(np.array(counts) == 0) == pytest.approx(0.1, abs=0.02)
    assert told.min() == 1 and told.max() > 2300
    for low, high in ((1, 10), (10, 100), (100, 1000)):  # a decade each of log10(2501) = 3.4
        assert np.mean((told >= low) & (told < high)) == pytest.approx(1 / np.log10(2501), abs=0.03)
    some = [len(TrackDraw(1000, 2500, 0.0).choose(everything, rng)) for _ in range(300)]
    assert 1000 <= min(some) < 1100 and 2300 < max(some) <= 2500


def test_the_number_of_tracks_may_be_uniform() -> None:
    draw, rng, everything = TrackDraw(1000, 2500, 0.0, uniform=True), np.random.default_rng(0), np.arange(2500)
    counts = np.array([len(draw.choose(everything, rng)) for _ in range(2000)])
    assert counts.min() >= 1000 and counts.max() <= 2500
    for low in (1000, 1500, 2000):
        assert np.mean((counts >= low) & (counts < low + 500)) == pytest.approx(1 / 3, abs=0.04)


def test_impossible_draws_are_refused() -> None:
    for wrong in ((0, 5, 0.1), (6, 5, 0.1), (1, 5, 1.1)):
        with pytest.raises(ValueError, match="impossible"):
            TrackDraw(*wrong)


# --- held out


@pytest.mark.parametrize("count", [1, 2, 3])
def test_clips_that_are_held_out_are_never_drawn_for_training(videos: VideoClips, count: int) -> None:
    trained, held_out = videos.apart(count)

    def numbers(clips: VideoClips) -> Counter[int]:
        batch = clips.epoch_batch(0, len(clips), WHOLE, seed=4)
        assert batch.captions == [f"clip {int(each)}" for each in batch.latents[:, 3, 0, 0, 0]]
        return Counter(batch.latents[:, 3, 0, 0, 0].int().tolist())

    one, other = numbers(trained), numbers(held_out)
    assert one | other == Counter(range(NUM_CLIPS)) and not one & other and len(other) == count
    drawn = trained.batch(60, WHOLE, np.random.default_rng(2)).latents[:, 3, 0, 0, 0]
    assert set(drawn.int().tolist()) == set(one)


def test_too_few_clips_to_hold_some_out_are_named(videos: VideoClips) -> None:
    with pytest.raises(ValueError, match=r"holds 7 clips, and 7 are held out.*prepare at least 8"):
        videos.apart(7)


# --- faults


def test_faults_of_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="prepare"):
        VideoClips(tmp_path)
    write_shard(tmp_path / "video_00000.safetensors", 0, 1, name="one")
    write_shard(tmp_path / "video_00001.safetensors", 1, 1, name="other")
    with pytest.raises(ValueError, match=r"video_00001.*other encoders"):
        VideoClips(tmp_path)
    write_shard(tmp_path / "video_00001.safetensors", 1, 1, version=7)
    with pytest.raises(ValueError, match="version 7"):
        VideoClips(tmp_path)


def test_views_that_the_clips_cannot_fill_are_named(videos: VideoClips, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="view has 4 latent frames"):
        videos.epoch_batch(0, 1, View(4, 4), 0)
    folder = tmp_path / "tokens"
    write_shard(folder / "video_00000.safetensors", 0, 1)
    with pytest.raises(ValueError, match="CLIP tokens"):
        _with_tokens(folder).epoch_batch(0, 1, View(2, 9), 0)
    batch = _with_tokens(folder).epoch_batch(0, 1, View(2, 10), 0)
    assert batch.image_tokens is not None and batch.image_tokens.shape == (1, 5, 2)


def _with_tokens(folder: Path) -> VideoClips:
    from safetensors import safe_open

    path = folder / "video_00000.safetensors"
    with safe_open(str(path), framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        about = file.metadata()
    save_file(tensors | {"00000.image_tokens": torch.ones(5, 2).bfloat16()}, str(path), about)
    return VideoClips(folder)


# --- small parts


def test_texts_of_one_length_need_no_padding() -> None:
    texts = [torch.full((2, 3), float(index)) for index in range(2)]
    assert torch.equal(pad_text(texts), torch.stack(texts))


def test_prefetched_keeps_order_and_runs_ahead() -> None:
    made: list[int] = []

    def make(step: int) -> int:
        made.append(step)
        return step * step

    iterator = prefetched(make, range(3, 9), ahead=2)
    assert next(iterator) == 9
    deadline = time.monotonic() + 5
    while len(made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert made == [3, 4, 5, 6]  # one in use, two ready, one in hand
    assert list(iterator) == [16, 25, 36, 49, 64]


def test_prefetched_raises_at_the_step_that_failed() -> None:
    def make(step: int) -> int:
        if step == 2:
            raise ValueError("clip 2 is broken")
        return step

    iterator = prefetched(make, range(5))
    assert [next(iterator), next(iterator)] == [0, 1]
    with pytest.raises(ValueError, match="clip 2 is broken"):
        next(iterator)


def test_closing_prefetched_ends_its_thread() -> None:
    iterator = prefetched(lambda step: step, range(1_000_000))
    next(iterator)
    assert any(thread.name == "prefetch" for thread in threading.enumerate())
    iterator.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert not any(thread.name == "prefetch" for thread in threading.enumerate())
