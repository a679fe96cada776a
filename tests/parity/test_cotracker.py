"""The adapters to CoTracker3 against its real code, with random weights: shapes, calls, which coordinate is meant.

COTRACKER_PATH names a checkout of facebookresearch/co-tracker; without it these tests skip and say so.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from motionstream_core.media.frames import Frames
from motionstream_core.tracks.extract.cotracker import CoTracker3, CoTracker3Online

CPU = torch.device("cpu")
SMALL = (64, 96)  # h w the model looks at, in place of its 384 x 512
HEIGHT, WIDTH = 60, 84


@pytest.fixture(scope="module")
def package() -> Iterator[Any]:
    path = os.environ.get("COTRACKER_PATH")
    if not path:
        pytest.skip("COTRACKER_PATH is not set: name a checkout of facebookresearch/co-tracker")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(path)
        from cotracker import predictor  # pyright: ignore[reportMissingImports]

        yield predictor
        for name in [name for name in sys.modules if name.split(".")[0] == "cotracker"]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def frames() -> Frames:
    return np.random.default_rng(0).integers(0, 256, (27, HEIGHT, WIDTH, 3), dtype=np.uint8)


def tamed(predictor: Any) -> Any:
    """Random weights that move points by a few pixels, and a small picture."""
    torch.manual_seed(0)
    for name, parameter in predictor.model.named_parameters():
        if name.startswith("updateformer.") and "head" in name:
            nn.init.normal_(parameter, std=0.02)
    predictor.model.model_resolution = predictor.interp_shape = SMALL
    predictor.support_grid_size = 2
    return predictor.eval()


@pytest.fixture(scope="module")
def offline(package: Any) -> Any:
    return tamed(package.CoTrackerPredictor(checkpoint=None, offline=True, window_len=16))


@pytest.fixture(scope="module")
def online(package: Any) -> Any:
    return tamed(package.CoTrackerOnlinePredictor(checkpoint=None, window_len=16))


QUERIES = np.array([[0, 10.5, 20.5], [0, 40.25, 30.75], [9, 60.5, 12.0], [20, 83.5, 59.5]], np.float32)


def video(frames: Frames) -> Tensor:
    return torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float()


def centred(queries: np.ndarray) -> Tensor:
    return torch.from_numpy(queries - np.array([0, 0.5, 0.5], np.float32))[None]


def test_the_offline_adapter_says_what_the_predictor_says(offline: Any, frames: Frames) -> None:
    short, asked = frames[:12], QUERIES[:3]
    tracks = CoTracker3(offline, CPU).track(short, asked)
    points, visibility = offline(video(short), queries=centred(asked), backward_tracking=True)
    assert tracks.points.shape == (12, 3, 2)
    assert torch.allclose(tracks.points, points[0] + 0.5, atol=1e-4)
    assert (tracks.points[1:] - tracks.points[:1]).abs().max() > 0.1  # the random weights do move the points
    inside = ((tracks.points >= 0) & (tracks.points < torch.tensor([WIDTH, HEIGHT]))).all(-1)
    assert torch.equal(tracks.visibility, visibility[0] & inside)
    for index, (frame, x, y) in enumerate(asked.tolist()):
        assert torch.allclose(tracks.points[int(frame), index], torch.tensor([x, y]), atol=1e-3)
        assert tracks.visibility[int(frame), index]


def as_its_demo_does(online: Any, frames: Frames, queries: np.ndarray) -> tuple[Tensor, Tensor]:
    """Points and visibility of a whole video by the procedure of co-tracker's online_demo.py."""
    options = {"add_support_grid": True}
    online(video(frames[:8]), is_first_step=True, queries=centred(queries), **options)  # primes, and answers nothing
    points, visibility = None, None
    for stop in range(16, len(frames) + 1, 8):
        points, visibility = online(video(frames[stop - 16 : stop]), **options)
    rest = len(frames) % 8
    if rest:
        points, visibility = online(video(frames[-rest - 8 :]), **options)
    assert points is not None and visibility is not None
    return points[0], visibility[0]


@pytest.mark.parametrize("count", [7, 16, 24, 27])
def test_the_online_adapter_says_what_its_demo_says(online: Any, frames: Frames, count: int) -> None:
    clip, asked = frames[:count], QUERIES[:2]
    if count < 16:  # the demo does not do so short a video: one window of all there is
        online(video(clip), is_first_step=True, queries=centred(asked), add_support_grid=True)
        points, visibility = (each[0] for each in online(video(clip), add_support_grid=True))
    else:
        points, visibility = as_its_demo_does(online, clip, asked)
    pieces = list(CoTracker3Online(online, CPU).follow(iter(clip), asked))
    place, seen = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
    assert place.shape == (count, 2, 2) == points.shape
    num_full = max(0, count // 8 - 1)
    assert [len(piece[0]) for piece in pieces] == [8] * num_full + [count - 8 * num_full]
    np.testing.assert_allclose(place[1:], points[1:] + 0.5, atol=1e-3)
    assert np.abs(np.diff(place, axis=0)).max() > 0.1
    inside = ((place >= 0) & (place < (WIDTH, HEIGHT))).all(-1)
    assert (seen[1:] == (visibility.numpy() & inside)[1:]).all()
    np.testing.assert_allclose(place[0], asked[:, 1:])


def test_online_tracks_start_at_any_frame_and_go_both_ways(online: Any, frames: Frames) -> None:
    told: list[tuple[int, int]] = []
    tracks = CoTracker3Online(online, CPU).track(frames, QUERIES, lambda *pair: told.append(pair))
    assert tracks.points.shape == (27, 4, 2) and tracks.points.isfinite().all()
    for index, (frame, x, y) in enumerate(QUERIES.tolist()):
        assert tracks.points[int(frame), index].tolist() == [x, y]
    # backward from frame 20: the pass over frames 20 .. 0, and frame 20 - t of it is frame t of that pass
    turned = QUERIES.copy()
    turned[:, 0] = 20 - turned[:, 0]
    pieces = CoTracker3Online(online, CPU).follow(iter(frames[20::-1]), turned)
    back = np.concatenate([place for place, _ in pieces])
    np.testing.assert_allclose(tracks.points[:20, 3], back[:0:-1, 3], atol=1e-4)
    assert told[-1] == (27 + 21, 27 + 21)


class Brightest(nn.Module):
    """In the network's place: finds the brightest pixel, as its index, in the picture that the predictor hands it."""

    def forward(self, video: Tensor, queries: Tensor, **_: Any) -> tuple[Tensor, ...]:
        at = video[0].mean(1).flatten(1).argmax(1)
        point = torch.stack([at % video.shape[4], at // video.shape[4]], -1).float()[None, :, None]
        points = point.expand(-1, -1, queries.shape[1], -1).clone()
        return points, torch.ones(points.shape[:3]), torch.ones(points.shape[:3]), None  # type: ignore[return-value]

    def init_video_online_processing(self) -> None:
        """The network's own has state to clear."""


def test_the_predictors_count_from_the_first_pixels_centre(package: Any) -> None:
    """A lit pixel (x, y) comes back at (x + 0.5, y + 0.5), its centre, through their resizing there and back."""
    lit = np.zeros((9, 33, 49, 3), np.uint8)
    where = [(3 * t, 20 - 2 * t) for t in range(9)]
    for t, (x, y) in enumerate(where):
        lit[t, y, x] = 255
    expected = torch.tensor(where) + 0.5
    asked = np.array([[0, 0.5, 20.5]], np.float32)
    for kind, adapter in (
        (package.CoTrackerPredictor, CoTracker3),
        (package.CoTrackerOnlinePredictor, CoTracker3Online),
    ):
        predictor = kind(checkpoint=None, window_len=16)
        predictor.interp_shape = (65, 97)  # twice the size where corners are aligned
        predictor.model = Brightest()
        tracks = adapter(predictor, CPU).track(lit, asked)
        assert torch.allclose(tracks.points[:, 0], expected, atol=1e-3), adapter


def test_the_networks_features_are_sampled_at_pixel_indices(offline: Any) -> None:
    """Whole coordinates are pixel centres inside the network too, so that its own step adds no half pixel."""
    ramp = torch.arange(24.0).view(1, 1, 1, 1, 24).expand(1, 1, 128, 16, 24).contiguous()
    feature, _ = offline.model.get_track_feat(ramp, torch.zeros(1, 1), torch.tensor([[[7.0, 5.0]]]))
    assert torch.allclose(feature, torch.tensor(7.0))
