"""Training data: what is told, which window is shown, what is written; on shards whose latents say their place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import load
from motionstream_core.models.vae.tiny_vae import TinyVae, TinyVaeConfig
from motionstream_core.training.data import (
    MAX_POINTS,
    NO_POINT,
    Batch,
    LatentClips,
    View,
    WorldMix,
    choose_tracks,
    clip_frames,
    collate,
    draw_clip,
    prepare_world,
    write_shard,
)
from motionstream_core.training.data import world as world_clips
from motionstream_core.training.data.trajectories import StoredTrajectories, Trajectories, save_trajectories

SIDE, LATENT_FRAMES, STRIDE = 16, 4, 8
FRAMES = 1 + 4 * (LATENT_FRAMES - 1)
CPU = torch.device("cpu")
MIX = WorldMix(num_frames=5)


def owners(num_sprites: int = 2) -> np.ndarray:
    """As a clip of the world has them: nine points a sprite, then the grid, some of it on sprites, then padding."""
    grid = np.full(100, -1)
    grid[:8] = 0
    owner = np.concatenate([np.repeat(np.arange(num_sprites), 9), grid])
    return np.pad(owner, (0, MAX_POINTS - len(owner)), constant_values=NO_POINT).astype(np.int8)


def placed_points(num_clips: int) -> Tensor:
    """(clips t n 2): every point of every clip at another place; they slide by one px a frame."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, SIDE * STRIDE * 2, (num_clips, 1, MAX_POINTS, 2)) / 2
    return torch.from_numpy(start + np.arange(FRAMES)[None, :, None, None]).half()


def write_placed_shard(folder: Path, name: str, num_clips: int, first: int = 0) -> Tensor:
    """Latents whose channels are: column, row, latent frame, clip number."""
    folder.mkdir(parents=True, exist_ok=True)
    cell, frame = torch.arange(SIDE), torch.arange(LATENT_FRAMES)
    shape = (num_clips, LATENT_FRAMES, SIDE, SIDE)
    latents = torch.stack(
        [
            cell.expand(shape),
            cell[:, None].expand(shape),
            frame[:, None, None].expand(shape),
            (first + torch.arange(num_clips))[:, None, None, None].expand(shape),
        ],
        dim=1,
    )
    points = placed_points(num_clips)
    owner = torch.from_numpy(owners()).expand(num_clips, -1)
    tensors = {
        "latents": latents.half(),
        "points": points,
        "visibility": (owner != NO_POINT)[:, None].expand(-1, FRAMES, -1).contiguous(),
        "owner": owner.contiguous(),
    }
    captions = json.dumps([f"clip {first + index}" for index in range(num_clips)])
    save_file(tensors, str(folder / name), {"captions": captions})
    return points.float()


@pytest.fixture
def vae() -> TinyVae:
    torch.manual_seed(0)
    config = TinyVaeConfig(
        latent_channels=4,
        patch_size=2,
        decoder_widths=(4, 4, 4, 4),
        encoder_width=4,
        decoder_space_upscale=(True, True, False),
        encoder_space_downscale=(True, True, False),
    )
    return TinyVae(config).eval().requires_grad_(False)


# --- which tracks are told


def test_padding_is_never_told() -> None:
    owner, rng = owners(), np.random.default_rng(0)
    for _ in range(2000):
        chosen = choose_tracks(owner, rng)
        assert (owner[chosen] != NO_POINT).all()
        assert len(set(chosen.tolist())) == len(chosen)


def test_from_no_track_to_all_in_the_shares_it_promises() -> None:
    owner, rng = owners(), np.random.default_rng(1)
    draws = [choose_tracks(owner, rng) for _ in range(4000)]
    counts = np.array([len(chosen) for chosen in draws])
    num_real = int((owner != NO_POINT).sum())
    assert counts.min() == 0 and counts.max() > 0.97 * num_real
    # one in ten by decree, and of the sparse ones without background those that pass over both objects
    assert np.mean(counts == 0) == pytest.approx(0.1 + 0.4 * 0.15**2, abs=0.02)
    most_sparse = 7 * 2 + 15  # more than that is a share, 0.15 to all, of everything
    assert np.mean(counts > most_sparse) == pytest.approx(0.3 * (1 - (most_sparse + 1) / num_real) / 0.85, abs=0.02)
    sparse = [chosen for chosen in draws if 0 < len(chosen) <= 14]
    assert np.mean([(owner[chosen] == -1).any() for chosen in sparse]) < 0.5
    assert any(len(chosen) == 1 and chosen[0] == 9 for chosen in draws)  # an object by its centre alone
    some_background = [(owner[chosen] == -1).any() for chosen in draws]
    assert np.mean(some_background) == pytest.approx(0.3 + 0.2, abs=0.03)


def test_a_sparse_choice_spares_objects_at_times() -> None:
    owner, rng = owners(3), np.random.default_rng(2)
    told = [set(owner[chosen].tolist()) - {-1} for chosen in (choose_tracks(owner, rng) for _ in range(1000))]
    assert {frozenset(each) for each in told} >= {frozenset(), frozenset({0}), frozenset({1, 2}), frozenset({0, 1, 2})}


# --- windows


def test_windows_shift_points_with_the_latents(tmp_path: Path) -> None:
    stored = write_placed_shard(tmp_path, "world_00000.safetensors", 3)
    clips, rng = LatentClips(tmp_path), np.random.default_rng(3)
    seen, offsets = 0, set()
    for cells, latent_frames in ((8, 2), (6, 4)):
        for _ in range(30):
            batch = clips.batch(2, View(latent_frames, cells), rng)
            assert batch.latents.shape == (2, 4, latent_frames, cells, cells)
            assert batch.points.shape[1] == 1 + 4 * (latent_frames - 1)
            for sample in range(2):
                latents = batch.latents[sample]
                clip = int(latents[3, 0, 0, 0])
                assert batch.captions[sample] == f"clip {clip}"
                assert (latents[2] == torch.arange(latent_frames)[:, None, None]).all()
                offset = latents[:2, 0, 0, 0]
                offsets.add(tuple(offset.tolist()))
                told = batch.visibility[sample].all(0)
                back = batch.points[sample, :, told] + STRIDE * offset
                for n in range(back.shape[1]):
                    same = (stored[clip, : back.shape[0]] == back[:, n : n + 1]).all(-1).all(0)
                    assert same.any()  # a point of that clip, carried back by what the latents say of the window
                inside = (batch.points[sample] >= 0).all(-1) & (batch.points[sample] < STRIDE * cells).all(-1)
                inside &= batch.visibility[sample]
                for t, n in inside.nonzero().tolist():
                    x, y = batch.points[sample, t, n]
                    column, row = int(x // STRIDE), int(y // STRIDE)
                    assert latents[0, 0, row, column] == (x + STRIDE * offset[0]) // STRIDE
                    assert latents[1, 0, row, column] == (y + STRIDE * offset[1]) // STRIDE
                    seen += 1
    assert seen > 500 and len(offsets) > 20


def test_the_whole_view_is_the_whole_clip(tmp_path: Path) -> None:
    write_placed_shard(tmp_path, "world_00000.safetensors", 1)
    batch = LatentClips(tmp_path).batch(1, View(LATENT_FRAMES, SIDE), np.random.default_rng(0))
    assert batch.latents.shape == (1, 4, LATENT_FRAMES, SIDE, SIDE)
    assert batch.latents[0, 0, 0, 0, 0] == 0 and batch.latents[0, 1, 0, -1, 0] == SIDE - 1


def test_a_window_shows_an_object(tmp_path: Path) -> None:
    points = write_placed_shard(tmp_path, "world_00000.safetensors", 2)
    clips, rng, owner = LatentClips(tmp_path), np.random.default_rng(4), owners()
    for _ in range(60):
        latents = clips.batch(1, View(2, 8), rng).latents[0]
        local = points[int(latents[3, 0, 0, 0]), 0, torch.from_numpy(owner >= 0)] - STRIDE * latents[:2, 0, 0, 0]
        assert ((local >= 0) & (local < STRIDE * 8)).all(-1).any()


def test_batches_depend_on_the_generator_alone(tmp_path: Path) -> None:
    write_placed_shard(tmp_path, "world_00000.safetensors", 4)
    view = View(3, 6)

    def draw(seed: int) -> Batch:
        return LatentClips(tmp_path).batch(3, view, np.random.default_rng(seed))

    first, again, other = draw(5), draw(5), draw(6)
    assert torch.equal(first.latents, again.latents) and torch.equal(first.points, again.points)
    assert first.captions == again.captions
    assert first.points.shape != other.points.shape or not torch.equal(first.points, other.points)


# --- batches


def test_padding_of_a_batch_is_invisible() -> None:
    def sample(num_tracks: int) -> tuple[Tensor, Tensor, Tensor, str]:
        points = torch.rand(5, num_tracks, 2) + 1
        return torch.zeros(4, 2, 4, 4), points, torch.ones(5, num_tracks, dtype=torch.bool), f"{num_tracks}"

    counts = [2, 0, 5]
    samples = [sample(count) for count in counts]
    batch = collate(samples)
    assert batch.points.shape == (3, 5, 5, 2) and batch.visibility.shape == (3, 5, 5)
    for index, count in enumerate(counts):
        assert torch.equal(batch.points[index, :, :count], samples[index][1])
        assert batch.visibility[index, :, :count].all()
        assert not batch.visibility[index, :, count:].any()
    assert batch.captions == ["2", "0", "5"]
    none = collate([sample(0), sample(0)])
    assert none.points.shape[2] == 1 and not none.visibility.any()


def test_a_batch_moves_as_a_whole() -> None:
    batch = Batch(torch.zeros(1, 4, 1, 2, 2), torch.zeros(1, 1, 3, 2), torch.ones(1, 1, 3, dtype=torch.bool), ["a"])
    moved = batch.to(torch.device("meta"))
    assert {each.device.type for each in (moved.latents, moved.points, moved.visibility)} == {"meta"}
    assert moved.captions == ["a"]


# --- clips and shards


def test_two_successive_seeds_show_one_scene_with_two_motions() -> None:
    for seed in (0, 6):
        one, other, third = (draw_clip(seed + step, MIX) for step in range(3))
        assert np.array_equal(one.frames[0], other.frames[0]) and one.caption == other.caption
        assert not np.array_equal(one.frames[-1], other.frames[-1])
        assert not np.array_equal(one.frames[0], third.frames[0])


def test_a_shard_holds_its_clips(tmp_path: Path, vae: TinyVae) -> None:
    write_shard(tmp_path / "world_00000.safetensors", vae, range(4, 7), MIX, CPU)
    clips = LatentClips(tmp_path)
    assert len(clips) == 3
    tensors = clips._shards[0]
    for index, seed in enumerate(range(4, 7)):
        clip = draw_clip(seed, MIX)
        count = clip.points.shape[1]
        latents = vae.encode(clip_frames(clip))[0]
        torch.testing.assert_close(tensors["latents"][index].float(), latents, rtol=0.05, atol=0.05)
        np.testing.assert_allclose(tensors["points"][index, :, :count].float(), clip.points, atol=0.13)  # fp16
        assert np.array_equal(tensors["visibility"][index, :, :count], clip.visibility)
        assert np.array_equal(tensors["owner"][index, :count], clip.owner)
        assert (tensors["owner"][index, count:] == NO_POINT).all()
        assert not tensors["visibility"][index, :, count:].any()
        assert clips._captions[0][index] == clip.caption


def test_a_shard_appears_whole_or_not_at_all(tmp_path: Path, vae: TinyVae, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "world_00000.safetensors"

    def half_written(tensors: object, file: str, metadata: object) -> None:
        assert Path(file).parent == tmp_path and Path(file) != path
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(load, "save_file", half_written)
        with pytest.raises(OSError, match="disk full"):
            write_shard(path, vae, range(1), MIX, CPU)
        assert not path.exists()
        with pytest.raises(FileNotFoundError, match="no training shards"):
            LatentClips(tmp_path)
    write_shard(path, vae, range(1), MIX, CPU)
    assert len(LatentClips(tmp_path)) == 1
    content = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(load, "save_file", half_written)
        with pytest.raises(OSError, match="disk full"):
            write_shard(path, vae, range(2), MIX, CPU)
    assert path.read_bytes() == content


def test_preparing_goes_on_where_it_was_stopped(tmp_path: Path, vae: TinyVae, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[range] = []

    def write(path: Path, vae: TinyVae, seeds: range, mix: WorldMix, device: torch.device) -> None:
        written.append(seeds)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")

    monkeypatch.setattr(world_clips, "write_shard", write)
    done: list[tuple[int, int]] = []
    folder = tmp_path / "world"
    prepare_world(folder, vae, 5, MIX, CPU, clips_per_shard=2, report=lambda *pair: done.append(pair))
    assert written == [range(0, 2), range(2, 4), range(4, 6)]
    assert done == [(1, 3), (2, 3), (3, 3)]
    (folder / "world_00001.safetensors").unlink()
    prepare_world(folder, vae, 5, MIX, CPU, clips_per_shard=2)
    assert written[3:] == [range(2, 4)]
    prepare_world(tmp_path / "others", vae, 3, MIX, CPU, clips_per_shard=3, first_clip=6)
    assert written[4:] == [range(6, 9)]


def test_refresh_takes_in_what_was_written_since(tmp_path: Path) -> None:
    write_placed_shard(tmp_path, "world_00000.safetensors", 2)
    clips = LatentClips(tmp_path)
    write_placed_shard(tmp_path, "world_00001.safetensors", 3, first=2)
    assert len(clips) == 2
    clips.refresh()
    clips.refresh()
    assert len(clips) == 5
    rng = np.random.default_rng(0)
    captions = {each for _ in range(20) for each in clips.batch(4, View(1, 4), rng).captions}
    assert captions == {f"clip {index}" for index in range(5)}


def test_trajectories_keep_their_points_to_the_cell(tmp_path: Path) -> None:
    """In half precision a point at 831.7 px stands at 831.5 or 832: another cell, or none."""
    points = torch.rand(1, 5, 400, 2, generator=torch.Generator().manual_seed(0)) * 832
    latents = torch.zeros(1, 4, 2, 4, 4)
    batch = Batch(latents, points, torch.ones(1, 5, 400, dtype=torch.bool), ["a"])
    made = Trajectories(latents[:, None], latents, batch, torch.arange(400)[None])
    save_trajectories(tmp_path / "ode_00000.safetensors", made)
    kept = StoredTrajectories(tmp_path).take(torch.tensor([0])).batch.points
    assert torch.equal(kept, points)
