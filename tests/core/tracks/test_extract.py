"""Point trackers, against the ground truth of rendered clips and of pictures that are moved by known amounts."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")

from motionstream_core.tracks import Tracks, extract
from motionstream_core.tracks.cotracker import CoTracker3
from motionstream_core.tracks.extract import OpenCvTracker, check_input, grid_queries
from motionstream_core.tracks.patches import WEIGHTS, Picture, similarity
from motionstream_core.world import LEVELS, Clip, render, sample_motion, sample_scene

CPU = torch.device("cpu")


def noise_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured noise, uint8: every place looks different from every other."""
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip((soft - soft.mean()) * 3 + 128, 0, 255).astype(np.uint8)


def sliding(shift: tuple[int, int], num_frames: int = 7, side: int = 80) -> np.ndarray:
    """A window over a still picture; what it shows moves by minus `shift` px (x, y) a frame."""
    picture = noise_picture(side + 60, side + 60)
    start = (30, 30)
    return np.stack(
        [
            picture[
                start[1] + t * shift[1] : start[1] + t * shift[1] + side,
                start[0] + t * shift[0] : start[0] + t * shift[0] + side,
            ]
            for t in range(num_frames)
        ]
    )


def rich_clip(seed: int, num_frames: int = 33) -> Clip:
    """A clip of the world with texture fine enough to be followed: the world's own has waves of 16 px and more."""
    rng, level = np.random.default_rng((91, seed)), LEVELS["textured"]
    scene = sample_scene(rng, level)
    count = 24
    length, heading = rng.uniform(6, 20, count), rng.uniform(0, 2 * np.pi, count)
    columns = (np.cos(heading) / length, np.sin(heading) / length, rng.uniform(0, 1, count))
    waves = [2 * np.pi * each for each in columns] + [rng.uniform(0.01, 0.06, count), rng.uniform(-0.15, 0.15, count)]
    sprites = tuple(replace(sprite, pattern="dots") for sprite in scene.sprites)
    scene = replace(scene, texture=np.stack(waves, 1).astype(np.float32), sprites=sprites)
    return render(scene, sample_motion(rng, scene, level, num_frames))


def queries_of(clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Queries at frame 0 of the clip's points that are visible there, and which these are."""
    which = np.flatnonzero(clip.visibility[0])
    return np.concatenate([np.zeros((len(which), 1)), clip.points[0, which]], axis=1).astype(np.float32), which


# --- the OpenCV tracker


def test_points_of_the_world_are_found_and_their_visibility_too() -> None:
    distances, true_seen, seen, true = [], 0, 0, 0
    for seed in range(4):
        clip = rich_clip(seed)
        queries, which = queries_of(clip)
        tracks = OpenCvTracker().track(clip.frames, queries)
        told, truth = tracks.visibility.numpy()[1:], clip.visibility[1:, which]
        distances.append(np.linalg.norm(tracks.points.numpy()[1:] - clip.points[1:, which], axis=-1)[told & truth])
        true_seen, seen, true = true_seen + (told & truth).sum(), seen + told.sum(), true + truth.sum()
    error = np.concatenate(distances)
    assert np.median(error) < 0.1 and error.mean() < 0.8
    assert true_seen / seen > 0.98 and true_seen / true > 0.85


def test_a_known_shift_is_measured_to_a_hundredth_of_a_pixel() -> None:
    frames = sliding((3, -2))
    tracks = OpenCvTracker().track(frames, grid_queries(80, 80, 6, 6))
    expected = tracks.points[:1] - torch.arange(7)[:, None, None] * torch.tensor([3.0, -2.0])
    well_inside = ((expected > 8) & (expected < 72)).all(-1)
    assert tracks.visibility[well_inside].all()
    assert (tracks.points - expected)[well_inside].abs().max() < 0.1
    assert (tracks.points - expected)[well_inside].abs().mean() < 0.01
    outside = ((expected < -1) | (expected > 81)).any(-1)
    assert outside.any() and not tracks.visibility[outside].any()


def test_a_point_is_followed_to_both_ends_of_the_clip() -> None:
    frames = sliding((2, 1))
    queries = np.array([[3, 40, 40], [0, 50, 30], [6, 30, 44]], np.float32)
    tracks = OpenCvTracker().track(frames, queries)
    steps = torch.arange(7)[:, None, None] - torch.from_numpy(queries[:, 0])[None, :, None]
    expected = torch.from_numpy(queries[:, 1:]) - steps * torch.tensor([2.0, 1.0])
    assert tracks.visibility.all()
    assert (tracks.points - expected).abs().max() < 0.1
    for index, frame in enumerate((3, 0, 6)):
        assert torch.equal(tracks.points[frame, index], torch.from_numpy(queries[index, 1:]))


def occluded_clip() -> tuple[np.ndarray, int]:
    """A sliding picture; from frame 4 to 7 a bar stands over columns 30..49."""
    frames = sliding((1, 0), num_frames=12).copy()
    bar = noise_picture(80, 20, seed=9) // 2 + np.array([120, 0, 0], np.uint8)
    frames[4:8, :, 30:50] = bar
    return frames, 4


def test_a_covered_point_is_unseen_and_comes_back_as_itself() -> None:
    frames, start = occluded_clip()
    queries = np.array([[0, x, y] for x in (42, 45) for y in (30, 40, 50)], np.float32)
    tracks = OpenCvTracker().track(frames, queries)
    expected = tracks.points[:1] - torch.arange(12)[:, None, None] * torch.tensor([1.0, 0.0])
    assert tracks.visibility[:start].all()
    assert not tracks.visibility[start : start + 4].any()
    assert tracks.visibility[start + 5 :].all()
    assert (tracks.points - expected)[tracks.visibility].abs().max() < 0.15
    assert (tracks.points - expected).abs().max() < 1.5  # and where they hide their neighbours say where they are


def test_a_point_that_never_comes_back_stays_unseen() -> None:
    frames = sliding((1, 0), num_frames=10).copy()
    frames[4:, :, 20:60] = noise_picture(80, 40, seed=9)
    tracks = OpenCvTracker().track(frames, np.array([[0, 44, 40], [0, 46, 30]], np.float32))
    assert tracks.visibility[:4].all() and not tracks.visibility[4:].any()


def test_fading_light_loses_nothing() -> None:
    light = np.linspace(1, 0.3, 12)[:, None, None, None]
    frames = (sliding((1, 1), num_frames=12) * light).astype(np.uint8)
    tracks = OpenCvTracker().track(frames, grid_queries(80, 80, 5, 5))
    inside = ((tracks.points > 8) & (tracks.points < 72)).all(-1)
    assert tracks.visibility[inside].float().mean() > 0.98


def test_no_query_gives_no_track() -> None:
    tracks = OpenCvTracker().track(sliding((1, 0)), np.zeros((0, 3), np.float32))
    assert (tracks.num_frames, tracks.num_tracks, tracks.height, tracks.width) == (7, 0, 80, 80)


def test_without_opencv_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = sliding((1, 0))
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="opencv-python-headless"):
        OpenCvTracker().track(frames, grid_queries(80, 80, 2, 2))


# --- what points look like


def test_a_patch_is_the_pixels_around_its_point() -> None:
    picture = Picture(noise_picture(40, 50))
    points = np.array([[20.5, 10.5], [30.0, 25.5]], np.float32)  # a pixel's centre; the edge between two pixels
    found = picture.patches(points)
    grey = picture.grey.astype(np.float32)
    for row, pixels in enumerate((grey[6:15, 16:25], (grey[21:30, 25:34] + grey[21:30, 26:35]) / 2)):
        expected = (pixels.ravel() - pixels.ravel() @ WEIGHTS) * np.sqrt(WEIGHTS)
        np.testing.assert_allclose(found[row], expected, atol=0.5)  # OpenCV rounds to whole levels


def test_only_the_same_place_looks_the_same() -> None:
    picture = Picture(noise_picture(40, 50))
    points = np.array([[20.5, 10.5], [30.5, 25.5]], np.float32)
    looks = picture.looks(points)
    np.testing.assert_allclose(similarity(looks, looks), 1, atol=1e-5)
    assert (similarity(looks, looks[[1, 0]]) < 0.5).all()
    flat = [Picture(np.full((40, 50, 3), color, np.uint8)).looks(points) for color in ((90, 90, 90), (200, 90, 90))]
    assert (similarity(flat[0], flat[0]) > 0.99).all() and (similarity(flat[0], flat[1]) == 0).all()


def test_a_look_is_found_again_nearby() -> None:
    picture = Picture(noise_picture(40, 50))
    points = np.array([[20.5, 10.5], [30.5, 25.5]], np.float32)
    looks = picture.looks(points)
    found = picture.find(looks, points + np.array([[1.0, -0.7], [-0.8, 0.5]], np.float32), 3.0, 12)
    np.testing.assert_allclose(found, points, atol=0.1)
    far = picture.find(looks, points + np.float32(6.0), 1.5, 12)
    assert (np.abs(far - points - 6.0) <= 1.5 + 1e-4).all()


# --- queries


def test_the_grid_covers_the_frame_evenly() -> None:
    queries = grid_queries(30, 40, rows=3, columns=4, frame=2)
    assert queries.tolist() == [[2, 10 * j + 5, 10 * i + 5] for i in range(3) for j in range(4)]
    assert grid_queries(480, 832).shape == (2500, 3)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ((7, 1, 1), "whole frame below 7"),
        ((-1, 1, 1), "query 1 is"),
        ((0.5, 1, 1), "query 1 is"),
        ((0, 80, 1), r"x in \[0, 80\)"),
        ((0, 1, -0.1), r"y in \[0, 80\)"),
        ((0, float("nan"), 1), "query 1 is"),
    ],
)
def test_impossible_queries_are_refused(query: tuple[float, ...], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        check_input(sliding((0, 0)), np.array([(0, 1, 1), query], np.float32))


def test_frames_of_another_kind_are_refused() -> None:
    wrong: list[Any] = [np.zeros((3, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
    for frames in wrong:
        with pytest.raises(ValueError, match="uint8"):
            check_input(frames, np.zeros((1, 3)))
    with pytest.raises(ValueError, match=r"\(n 3\)"):
        check_input(sliding((0, 0)), np.zeros((4, 2)))


# --- CoTracker3


class Brightest:
    """Stands for the predictor: finds the brightest pixel of each frame, in the predictor's convention (its index)."""

    def __init__(self) -> None:
        self.calls: list[tuple[Tensor, Tensor, bool]] = []

    def __call__(self, video: Tensor, queries: Tensor, backward_tracking: bool) -> tuple[Tensor, Tensor]:
        self.calls.append((video, queries, backward_tracking))
        flat = video[0].mean(1).flatten(1).argmax(1)
        point = torch.stack([flat % video.shape[4], flat // video.shape[4]], -1).float()
        count = queries.shape[1]
        return point[None, :, None].expand(-1, -1, count, -1), torch.ones(1, len(point), count, dtype=torch.bool)


def test_cotracker_counts_from_pixel_centres_and_tracks_from_edges() -> None:
    frames = np.zeros((4, 16, 24, 3), np.uint8)
    for t in range(4):
        frames[t, 5, 6 + t] = 255
    predictor = Brightest()
    tracks = CoTracker3(predictor, CPU).track(frames, np.array([[0, 6.5, 5.5]], np.float32))
    # the lit pixel (6 + t, 5) covers [6 + t, 7 + t) x [5, 6): its centre is at 6.5 + t, 5.5
    assert torch.equal(tracks.points[:, 0], torch.tensor([[6.5 + t, 5.5] for t in range(4)]))
    video, queries, backward = predictor.calls[0]
    assert video.shape == (1, 4, 3, 16, 24) and video.dtype == torch.float32 and video.max() == 255
    assert queries.tolist() == [[[0, 6, 5]]] and not backward
    CoTracker3(predictor, CPU).track(frames, np.array([[2, 8.5, 5.5]], np.float32))
    assert predictor.calls[1][2]


def test_cotrackers_points_outside_the_frame_are_unseen() -> None:
    def far(video: Tensor, queries: Tensor, backward_tracking: bool) -> tuple[Tensor, Tensor]:
        points = torch.tensor([[3.0, 3.0], [40.0, 3.0], [float("nan"), 3.0]])
        return points[None, :, None], torch.ones(1, 3, 1)

    tracks = CoTracker3(far, CPU).track(np.zeros((3, 16, 24, 3), np.uint8), np.array([[0, 3.5, 3.5]], np.float32))
    assert isinstance(tracks, Tracks)
    assert tracks.visibility[:, 0].tolist() == [True, False, False]


def test_without_cotracker_the_error_says_how_to_get_it_and_its_licence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cotracker", None)
    with pytest.raises(ImportError, match=r"co-tracker.*CC BY-NC 4\.0"):
        CoTracker3.load(tmp_path / "scaled_offline.pth", CPU)


def test_every_tracker_has_the_face() -> None:
    trackers: list[extract.Tracker] = [OpenCvTracker(), CoTracker3(Brightest(), CPU)]
    assert [tracker.in_workers for tracker in trackers] == [True, False]
