"""What is measured of a clip, against sums done by hand; and a tracker on footage whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionstream_core.evaluation.clips.cases import follow, input_tracks
from motionstream_core.evaluation.clips.judge import ClipJudge, brought_to
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.tracker import OpenCvTracker, Queries

pytest.importorskip("cv2", reason="the tracker without weights")


class ToldWhere:
    """A tracker that says what it was told to say, and remembers what it was asked."""

    name = "told"
    in_workers = True

    def __init__(self, answer: Tracks) -> None:
        self.answer, self.asked = answer, np.zeros((0, 3))

    def track(self, frames: NDArray[np.uint8], queries: Queries, report: object = None) -> Tracks:
        self.asked = queries
        return self.answer


def waves(shift_px: tuple[float, float], num_frames: int = 5, size: int = 64) -> NDArray[np.uint8]:
    """A ground of waves that slides by `shift_px` from frame to frame."""
    rng = np.random.default_rng(0)
    length, heading, phase = rng.uniform(6, 30, 30), rng.uniform(0, 2 * np.pi, 30), rng.uniform(0, 2 * np.pi, 30)
    frames = []
    for t in range(num_frames):
        y, x = np.mgrid[:size, :size] + 0.5
        along = (x - shift_px[0] * t)[..., None] * np.cos(heading) + (y - shift_px[1] * t)[..., None] * np.sin(heading)
        grey = 128 + 15 * np.sin(2 * np.pi * along / length + phase).sum(-1)
        frames.append(np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1))
    return np.stack(frames)


def test_epe_is_the_mean_over_visible_told_points_after_the_first_frame() -> None:
    video = np.zeros((3, 256, 300, 3), np.uint8)
    told = torch.tensor([[[10.0, 20.0], [50.0, 60.0], [80.0, 90.0]]]).repeat(3, 1, 1)
    visible = torch.tensor([[True, True, False], [True, False, True], [True, True, True]])
    # asked are the two points that are visible at first; found 3, 4 px away (5), then at 0 and at 12 px
    found = torch.tensor([[[10.0, 20], [50, 60]], [[13, 24], [0, 0]], [[10, 20], [62, 60]]])
    seen = torch.tensor([[True, True], [True, True], [False, True]])
    tracker = ToldWhere(Tracks(found, seen, 256, 300))
    error = ClipJudge(tracker).track_error(video, Tracks(told, visible, 256, 300))
    assert tracker.asked.tolist() == [[0, 10, 20], [0, 50, 60]]
    assert error.epe_px == pytest.approx((5 + 0 + 12) / 3) and error.followed == pytest.approx(2 / 3)
    nothing = Tracks(told, torch.tensor([[True, False, False]] * 1 + [[False] * 3] * 2), 256, 300)
    with pytest.raises(ValueError, match="visible in the first frame and again later"):
        ClipJudge(tracker).track_error(video, nothing)


def test_points_outside_the_frame_do_not_count() -> None:
    told = torch.tensor([[[10.0, 20.0]], [[400.0, 20.0]], [[11.0, 20.0]]])
    found = torch.tensor([[[10.0, 20.0]], [[0.0, 0.0]], [[14.0, 24.0]]])
    every = torch.ones(3, 1, dtype=torch.bool)
    tracker = ToldWhere(Tracks(found, every, 256, 300))
    error = ClipJudge(tracker).track_error(np.zeros((3, 256, 300, 3), np.uint8), Tracks(told, every, 256, 300))
    assert error.epe_px == pytest.approx(5)


def test_likeness_leaves_the_given_frame_out() -> None:
    truth = np.full((3, 16, 16, 3), 100, np.uint8)
    video = truth.copy()
    video[0] = 0
    assert ClipJudge(ToldWhere(Tracks.empty(1, 16, 16))).likeness(video, truth).psnr_db == float("inf")
    video[1:] = 110
    likeness = ClipJudge(ToldWhere(Tracks.empty(1, 16, 16))).likeness(video, truth)
    assert likeness.psnr_db == pytest.approx(10 * np.log10(255**2 / 100)) and likeness.lpips is None
    # flat frames: only the light's term is left
    c1 = (0.01 * 255) ** 2
    assert likeness.ssim == pytest.approx((2 * 100 * 110 + c1) / (100**2 + 110**2 + c1), abs=1e-4)


def test_lpips_is_the_mean_over_frames_in_parts() -> None:
    class Brightness(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("shift", torch.zeros(1))

        def forward(self, frames: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return (frames - target).mean(dim=(1, 2, 3, 4))

    video = np.zeros((12, 16, 16, 3), np.uint8)
    video[1:] = np.arange(1, 12)[:, None, None, None] * 5
    judge = ClipJudge(ToldWhere(Tracks.empty(1, 16, 16)), Brightness())  # pyright: ignore[reportArgumentType]
    assert judge.likeness(video, np.zeros_like(video)).lpips == pytest.approx(6 * 5 / 255)  # eleven frames, 8 and 3


def test_small_frames_are_enlarged_and_points_come_back_to_scale() -> None:
    frames = waves((1.5, -0.5))
    queries = np.array([[0, 20.0, 40.0], [0, 33.0, 25.0]], np.float32)
    found = follow(frames, queries, OpenCvTracker())
    t = torch.arange(5)[:, None, None]
    expected = torch.tensor([[[20.0, 40.0], [33.0, 25.0]]]) + t * torch.tensor([1.5, -0.5])
    assert (found.height, found.width) == (64, 64)
    assert (found.points - expected).norm(dim=-1).max() < 0.3


def test_a_video_that_does_as_told_errs_little_and_another_by_its_distance() -> None:
    frames = waves((1.5, -0.5))
    tracks = input_tracks(frames, OpenCvTracker(), 6)
    inner = tracks.points[0].sub(32).abs().amax(-1) < 20
    truth = tracks.points[0, inner] + 4 * torch.tensor([1.5, -0.5])
    assert (tracks.points[4, inner] - truth).norm(dim=-1).max() < 0.5
    judge = ClipJudge(OpenCvTracker())
    assert judge.track_error(frames, tracks).epe_px < 0.1
    still = judge.track_error(np.repeat(frames[:1], 5, 0), tracks).epe_px
    assert still == pytest.approx(2.5 * np.hypot(1.5, 0.5), rel=0.15)  # frames 1 to 4 are 1 to 4 steps away


def test_videos_may_be_compared_at_another_size() -> None:
    """One pixel of every 2 x 2 differs by 60 levels: at half the size all do, by 15."""
    truth = np.full((2, 24, 24, 3), 100, np.uint8)
    video = truth.copy()
    video[:, ::2, ::2] += 60
    as_they_are = ClipJudge(OpenCvTracker()).likeness(video, truth).psnr_db
    assert as_they_are == pytest.approx(20 * np.log10(255 / 30), abs=1e-6)
    halved = ClipJudge(OpenCvTracker(), size=(12, 12)).likeness(video, truth).psnr_db
    assert halved == pytest.approx(20 * np.log10(255 / 15), abs=1.0)
    assert brought_to(video, (48, 12)).shape == (2, 48, 12, 3) and brought_to(video, None) is video
