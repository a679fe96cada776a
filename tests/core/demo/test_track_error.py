"""Lucas-Kanade track error on images whose motion is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from motionstream_core.demo.track_error import ENLARGE, lucas_kanade_error
from motionstream_core.tracks import Tracks

SIZE, FRAMES = 128, 9
VELOCITY = np.array([1.37, -0.81])


def textured_video() -> np.ndarray:
    """A band-limited texture (t h w 3) that slides by VELOCITY px a frame, drawn from its formula: no resampling."""
    rng = np.random.default_rng(0)
    waves = [(rng.uniform(0.1, 0.7, 2) * rng.choice([-1, 1], 2), rng.uniform(0, 6.3)) for _ in range(24)]
    axis = np.arange(SIZE) + 0.5
    frames = []
    for t in range(FRAMES):
        x, y = axis[None, :] - VELOCITY[0] * t, axis[:, None] - VELOCITY[1] * t
        value = sum(np.sin(k[0] * x + k[1] * y + phase) for k, phase in waves)
        frames.append(np.clip(128 + 18 * value, 0, 255))
    return np.repeat(np.stack(frames)[..., None], 3, -1).astype(np.uint8)


def tracks_of(velocity: np.ndarray, num_frames: int = FRAMES) -> Tracks:
    grid = np.stack(np.meshgrid(np.linspace(30, 98, 6), np.linspace(30, 98, 6)), -1).reshape(-1, 2)
    points = torch.from_numpy(grid[None] + np.arange(num_frames)[:, None, None] * velocity).float()
    return Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), SIZE, SIZE)


def test_true_tracks_have_a_small_error() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    error, share = lucas_kanade_error(textured_video(), tracks_of(VELOCITY))
    assert error < 0.3
    assert share > 0.9


def test_mirrored_and_still_tracks_have_a_large_one() -> None:
    """Off by what they are off by: the mean over the frames of the distance that grows with them."""
    pytest.importorskip("cv2", reason="needs OpenCV")
    video = textured_video()
    mean_time = np.arange(1, FRAMES).mean()
    for wrong in (VELOCITY * [-1, 1], np.zeros(2)):
        error, share = lucas_kanade_error(video, tracks_of(wrong))
        assert error == pytest.approx(np.linalg.norm(wrong - VELOCITY) * mean_time, abs=0.4)
        assert error > 5 and share > 0.9


def test_points_are_followed_from_where_they_are() -> None:
    """Two halves that move apart."""
    pytest.importorskip("cv2", reason="needs OpenCV")
    still, video = textured_video()[:1], textured_video()
    video[:, :, :64] = still[:, :, :64]
    places = torch.tensor([[30.0, 40.0], [40.0, 90.0], [92.0, 40.0], [100.0, 90.0]])
    way = torch.from_numpy(VELOCITY).float() * torch.arange(FRAMES)[:, None, None]
    points = places[None] + way * torch.tensor([0.0, 0.0, 1.0, 1.0])[None, :, None]
    error, share = lucas_kanade_error(video, Tracks(points, torch.ones(FRAMES, 4, dtype=torch.bool), SIZE, SIZE))
    assert error < 0.3 and share == 1


def test_points_are_handed_over_in_opencvs_coordinates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A track counts from a pixel's edge, OpenCV from its centre: the frame's corner (0, 0) lies at (-0.5, -0.5)."""
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV")
    starts: list[np.ndarray] = []
    real = cv2.calcOpticalFlowPyrLK

    def spy(before: np.ndarray, after: np.ndarray, place: np.ndarray, *more: object, **how: object) -> object:
        starts.append(place.copy())
        return real(before, after, place, *more, **how)

    monkeypatch.setattr(cv2, "calcOpticalFlowPyrLK", spy)
    tracks = tracks_of(VELOCITY)
    lucas_kanade_error(textured_video(), tracks)
    np.testing.assert_allclose(starts[0][:, 0], tracks.points[0].numpy() * ENLARGE - 0.5, atol=1e-4)


def test_invisible_points_do_not_count() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    video, right, wrong = textured_video(), tracks_of(VELOCITY), tracks_of(-VELOCITY)
    both = torch.cat([right.points, wrong.points], 1)
    visibility = torch.cat([right.visibility, torch.zeros_like(wrong.visibility)], 1)
    error, share = lucas_kanade_error(video, Tracks(both, visibility, SIZE, SIZE))
    assert error < 0.3 and share > 0.9
    unseen = Tracks(torch.full_like(right.points, float("nan")), torch.zeros_like(right.visibility), SIZE, SIZE)
    for none in (unseen, Tracks.empty(FRAMES, SIZE, SIZE)):
        error, share = lucas_kanade_error(video, none)
        assert np.isnan(error) and share == 0


def test_what_cannot_be_followed_is_not_counted_as_followed() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3)).astype(np.uint8)
    _, share = lucas_kanade_error(noise, tracks_of(np.zeros(2)))
    assert share < 0.3


def test_other_sizes_are_refused() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV")
    with pytest.raises(ValueError, match=r"frames are \(9, 128, 128\) \(t h w\), tracks \(8, 128, 128\)"):
        lucas_kanade_error(textured_video(), tracks_of(VELOCITY, FRAMES - 1))


def test_without_opencv_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ImportError, match="needs OpenCV; pip install"):
        lucas_kanade_error(np.zeros((2, 8, 8, 3), np.uint8), Tracks.empty(2, 8, 8))
