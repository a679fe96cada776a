"""Point trackers, against the ground truth of rendered clips and of pictures that are moved by known amounts."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")

from motionstream_core.evaluation.tracking.ground_truth import queries_of, textured_clip
from motionstream_core.media.frames import WINDOW_FRAMES, ArrayFrames
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.cotracker import CoTracker3, CoTracker3Online
from motionstream_core.tracks.extract.flow import FlowKind, there_and_back
from motionstream_core.tracks.extract.patches import WEIGHTS, Picture, best_half, similarity, structure
from motionstream_core.tracks.extract.tracker import (
    Followed,
    OpenCvTracker,
    Report,
    StreamTracker,
    Tracker,
    check_input,
    grid_queries,
    mask_queries,
    track_both_ways,
)
from tests.core.tracks.moving_pictures import noise_picture, sliding

CPU = torch.device("cpu")


# --- the OpenCV tracker


@pytest.mark.parametrize("flow", get_args(FlowKind))
def test_points_of_the_world_are_found_and_their_visibility_too(flow: FlowKind) -> None:
    distances, true_seen, seen, true = [], 0, 0, 0
    for seed in range(3):
        clip = textured_clip(seed, 25)
        queries, which = queries_of(clip)
        tracks = OpenCvTracker(flow=flow).track(clip.frames, queries)
        told, truth = tracks.visibility.numpy()[1:], clip.visibility[1:, which]
        distances.append(np.linalg.norm(tracks.points.numpy()[1:] - clip.points[1:, which], axis=-1)[told & truth])
        true_seen, seen, true = true_seen + (told & truth).sum(), seen + told.sum(), true + truth.sum()
    error = np.concatenate(distances)
    assert np.median(error) < 0.1 and error.mean() < 0.8
    assert true_seen / seen > 0.98 and true_seen / true > 0.85


@pytest.mark.parametrize("flow", get_args(FlowKind))
def test_a_known_shift_is_measured_to_a_hundredth_of_a_pixel(flow: FlowKind) -> None:
    frames = sliding((3, -2))
    tracks = OpenCvTracker(flow=flow).track(frames, grid_queries(80, 80, 6, 6))
    expected = tracks.points[:1] - torch.arange(7)[:, None, None] * torch.tensor([3.0, -2.0])
    well_inside = ((expected > 8) & (expected < 72)).all(-1)
    assert tracks.visibility[well_inside].all()
    assert (tracks.points - expected)[well_inside].abs().max() < 0.1
    assert (tracks.points - expected)[well_inside].abs().mean() < 0.01
    outside = ((expected < -1) | (expected > 81)).any(-1)
    assert outside.any() and not tracks.visibility[outside].any()


def test_the_way_back_tells_what_was_covered() -> None:
    before, after = (frame.mean(-1).astype(np.uint8) for frame in sliding((4, 1))[:2])
    after = after.copy()
    after[:, 60:] = 128  # a wall comes in from the right
    place = np.array([[40.5, 40.5], [72.5, 40.5]], np.float32)
    there, astray = there_and_back("lucas_kanade", before, after, place, 13, 3)
    assert np.abs(there[0] - (36.5, 39.5)).max() < 0.1 and astray[0] < 0.1
    assert astray[1] > 1


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


def test_a_point_comes_back_turned() -> None:
    """A picture that turns about its middle; from frame 5 to 12 a bar stands in it. Looks come back turned by 0.4."""
    import cv2

    picture, frames = noise_picture(140, 140), []
    for t in range(20):
        matrix = cv2.getRotationMatrix2D((69.5, 69.5), float(np.rad2deg(0.05 * t)), 1.0)
        frames.append(cv2.warpAffine(picture, matrix, (140, 140))[30:110, 30:110])
    clip = np.stack(frames)
    clip[5:13, :, 42:64] = noise_picture(80, 22, seed=9) // 2 + np.array([120, 0, 0], np.uint8)
    queries = np.array([[0, x, y] for x in (50, 54) for y in (34, 40, 46)], np.float32)
    tracks = OpenCvTracker().track(clip, queries)
    angle = -0.05 * np.arange(20)[:, None]  # OpenCV turns anticlockwise on screen
    x, y = (queries[:, 1:] - 40).T
    expected = np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], -1) + 40
    assert tracks.visibility[:5].all() and not tracks.visibility[6:12].any()
    assert tracks.visibility[15:].all()
    error = np.linalg.norm(tracks.points.numpy() - expected, axis=-1)
    assert error[14].max() < 0.9 and error.max() < 2  # where it is, and where it is thought to be while hidden


def test_even_ground_rests_while_things_pass() -> None:
    """A checked disc slides over grey ground: of points on the ground beside its way none is taken along."""
    ys, xs = np.mgrid[:96, :96] + 0.5
    frames = np.full((24, 96, 96, 3), 120, np.uint8)
    for t, frame in enumerate(frames):
        inside = (xs - 20 - 2 * t) ** 2 + (ys - 48) ** 2 < 14**2
        frame[inside] = np.where(((xs // 5 + (ys - 2 * t) // 5) % 2 > 0)[inside, None], (220, 60, 60), (60, 60, 220))
    queries = np.array([[0, x, y] for x in range(10, 90, 10) for y in (10, 20, 78, 88)], np.float32)
    tracks = OpenCvTracker().track(frames, queries)
    assert (tracks.points - tracks.points[:1]).abs().max() < 0.5
    assert tracks.visibility.all()


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


def test_half_a_look_is_known_beside_an_edge() -> None:
    image = noise_picture(40, 50)
    whole = Picture(image).looks(np.array([[20.5, 20.5]], np.float32))
    for covered in (np.s_[:, :18], np.s_[:, 23:], np.s_[:18], np.s_[23:]):  # an occluder up to 3 px from the point
        half = image.copy()
        half[covered] = 30
        seen = Picture(half).looks(np.array([[20.5, 20.5]], np.float32))
        assert best_half(whole, seen)[0] > 0.9 > similarity(whole, seen)[0]
    other = Picture(image).looks(np.array([[33.5, 11.5]], np.float32))
    assert best_half(whole, other)[0] < 0.75


def test_structure_is_the_smaller_curvature() -> None:
    ys, xs = np.mgrid[:40, :50].astype(np.float32)
    middle = np.array([[25.0, 20.0]], np.float32)
    pictures = {
        "even": np.full((40, 50), 90.0),
        "edge": 90 + 40 * np.tanh(xs - 25),
        "corner": 90 + 40 * np.tanh(np.minimum(xs - 25, ys - 20)),
    }
    found = {}
    for name, grey in pictures.items():
        frame = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
        found[name] = structure(Picture(frame).looks(middle))[0]
    assert abs(found["even"]) < 1e-3 and found["edge"] < 0.1 < 10 < found["corner"]


def test_turned_looks_are_those_of_the_turned_picture() -> None:
    image = noise_picture(41, 41)
    quarter = np.array([[[0, -1], [1, 0]]], np.float32)  # offsets (1, 0) to (0, 1): clockwise on screen
    middle = np.array([[20.5, 20.5]], np.float32)
    upright = Picture(image).looks(middle)
    clockwise = Picture(np.ascontiguousarray(np.rot90(image, -1))).looks(middle, quarter)
    assert similarity(upright, clockwise)[0] > 0.999
    np.testing.assert_allclose(upright.color, clockwise.color, atol=1)
    assert similarity(upright, Picture(np.ascontiguousarray(np.rot90(image, -1))).looks(middle))[0] < 0.6


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


def test_queries_in_a_mask_lie_in_it() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:60] = True
    mask[10:20, 20:40] = False
    queries = mask_queries(mask, 4, 8, frame=3)
    assert queries.shape == (24, 3) and (queries[:, 0] == 3).all()
    assert queries[0].tolist() == [3, 42.5, 12.5] and queries[-1].tolist() == [3, 57.5, 27.5]
    assert mask[queries[:, 2].astype(int), queries[:, 1].astype(int)].all()
    with pytest.raises(ValueError, match="mask is empty"):
        mask_queries(np.zeros((4, 4), bool))


# --- long videos


class Noting(ArrayFrames):
    """Frames that note the windows asked for."""

    def read(self, start: int, stop: int) -> np.ndarray:
        self.windows = [*getattr(self, "windows", []), (start, stop)]
        return super().read(start, stop)


class Stepping:
    """A point steps 1 px to the right for every frame that it is followed; its y is the number of the frame."""

    name, in_workers = "stepping", False

    def follow(self, frames: Iterable[np.ndarray], queries: np.ndarray) -> Iterator[Followed]:
        for t, frame in enumerate(frames):
            x = queries[:, 1] + t - queries[:, 0]
            yield np.stack([x, np.full_like(x, frame[0, 0, 0])], -1)[None], (x % 2 == 0)[None]

    def track(self, frames: Any, queries: np.ndarray, report: Report | None = None) -> Tracks:
        return track_both_ways(self, frames, queries, report)


def test_long_videos_are_read_in_windows_both_ways_from_every_query() -> None:
    count = WINDOW_FRAMES + 8
    frames = np.zeros((count, 64, 64, 3), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None, None]
    source, told = Noting(frames), list[tuple[int, int]]()
    queries = np.array([[0, 10, 0], [25, 0, 25], [count - 1, 20, count - 1]], np.float32)
    tracks = Stepping().track(source, queries, lambda *pair: told.append(pair))
    away = np.abs(np.arange(count)[:, None] - queries[None, :, 0])
    assert (tracks.points[..., 0].numpy() == queries[None, :, 1] + away).all()
    assert (tracks.points[..., 1].numpy() == np.arange(count)[:, None]).all()
    assert (tracks.visibility.numpy() == (tracks.points[..., 0].numpy() % 2 == 0)).all()
    assert max(stop - start for start, stop in source.windows) == WINDOW_FRAMES
    assert told == [(k, 2 * count) for k in range(1, 2 * count + 1)]


def test_what_the_report_raises_ends_the_tracking() -> None:
    class Stop(BaseException):
        pass

    def report(done: int, total: int) -> None:
        if done == 3:
            raise Stop

    source = Noting(np.zeros((WINDOW_FRAMES + 1, 80, 80, 3), np.uint8))
    with pytest.raises(Stop):
        OpenCvTracker().track(source, grid_queries(80, 80, 3, 3), report)
    assert source.windows[-1] == (0, WINDOW_FRAMES)


def test_nothing_before_the_first_query_is_read_on_the_way_forward() -> None:
    source = Noting(sliding((1, 0), num_frames=8))
    OpenCvTracker().track(source, np.array([[5, 40, 40]], np.float32))
    assert source.windows == [(5, 8), (0, 6)]


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
    trackers: list[Tracker] = [OpenCvTracker(), CoTracker3(Brightest(), CPU)]
    online = CoTracker3Online(Lagging(4), CPU)
    trackers += [online]
    streams: list[StreamTracker] = [OpenCvTracker(), online]
    assert [tracker.in_workers for tracker in trackers] == [True, False, False]
    assert len({tracker.name for tracker in [*trackers, *streams]}) == 3


class Lagging:
    """Stands for the online predictor: a point's x is the number of times that its frame has been looked at."""

    def __init__(self, step: int) -> None:
        self.step, self.calls = step, list[tuple[int, bool]]()

    def __call__(self, video_chunk: Tensor, **options: Any) -> tuple[Tensor | None, Tensor | None]:
        first = bool(options.get("is_first_step"))
        self.calls.append((video_chunk.shape[1], first))
        if first:
            self.looks, self.count, self.start = torch.zeros(0), options["queries"].shape[1], 0
            return None, None
        self.looks = torch.cat([self.looks, torch.zeros(self.start + video_chunk.shape[1] - len(self.looks))])
        self.looks[self.start :] += 1
        self.start += self.step
        points = torch.stack([self.looks, torch.full_like(self.looks, 3)], -1)[None, :, None]
        return points.expand(-1, -1, self.count, -1), torch.ones(1, len(self.looks), self.count, dtype=torch.bool)


@pytest.mark.parametrize(
    ("count", "windows"),
    [(3, [3]), (8, [8]), (9, [8, 5]), (12, [8, 8]), (14, [8, 8, 6])],
)
def test_online_windows_overlap_by_half_and_the_first_call_only_primes(count: int, windows: list[int]) -> None:
    predictor = Lagging(4)
    frames = np.zeros((count, 16, 24, 3), np.uint8)
    tracks = CoTracker3Online(predictor, CPU).track(frames, np.array([[0, 3.5, 3.5]], np.float32))
    assert predictor.calls == [(windows[0], True), *((length, False) for length in windows)]
    assert tracks.num_frames == count and tracks.visibility.all()
    looked = tracks.points[1:, 0, 0] - 0.5
    expected = [1 if t < 4 or (t >= 4 * (len(windows) - 1) + 4) else 2 for t in range(1, count)]
    assert looked.tolist() == expected  # a frame in two windows is told as the second one sees it
