"""A stream steered by a video that comes in: the same as with tracks known beforehand, one chunk later."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.media.frames import Frames
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, TrackSource, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.online_tracks import OnlineTracks, chunk_delay
from motionstream_core.streaming.stream import StreamSettings, stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.extract.tracker import Followed, OpenCvTracker, grid_queries
from motionstream_core.tracks.transfer import laid_over
from tests.core.tracks.moving_pictures import sliding

HEIGHT, WIDTH = 32, 48
LENGTH, DELAY = 37, 12  # frames: 1 + 12 * 3
SIDE = 64


def delayed(tracks: Tracks, delay: int, num_frames: int) -> Tracks:
    """The same tracks, each frame `delay` later, at rest before."""
    index = (torch.arange(num_frames) - delay).clamp(min=0)
    return Tracks(tracks.points[index], tracks.visibility[index], tracks.height, tracks.width, tracks.ids)


def place(tracks: Tracks) -> Tracks:
    return laid_over(tracks, HEIGHT, WIDTH)


class Camera:
    """Gives frames one by one and notes how many were taken."""

    def __init__(self, frames: Frames) -> None:
        self.frames, self.taken = frames, 0

    def __iter__(self) -> Iterator[Frames]:
        for frame in self.frames:
            self.taken += 1
            yield frame


def online(camera: Camera, delay: int = DELAY) -> OnlineTracks:
    queries = grid_queries(SIDE, SIDE, 5, 5)
    return OnlineTracks(OpenCvTracker(), camera, queries, SIDE, SIDE, delay_frames=delay, place=place)


@pytest.fixture(scope="module")
def reference() -> Frames:
    return sliding((1, 1), num_frames=LENGTH - DELAY, side=SIDE)


def test_the_student_follows_a_chunk_later(
    make_model: Callable[..., LoadedModel], vae: TinyVae, reference: Frames
) -> None:
    loaded = make_model()
    assert chunk_delay(loaded.spec) == DELAY
    image = torch.rand(1, 3, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(3))

    def stream(tracks: TrackSource) -> list[torch.Tensor]:
        context = encode_prompt(loaded.model, loaded.spec, "a red circle")
        conditions = StreamConditions(loaded.model, loaded.spec, context, tracks, image=image, vae=vae)
        settings = StreamSettings(seed=3)
        decoder = TinyStreamingDecoder(vae)
        return [c.latents for c in stream_chunks(loaded, conditions, decoder, num_latent_frames=10, settings=settings)]

    camera = Camera(reference)
    known = place(OpenCvTracker().track(reference, grid_queries(SIDE, SIDE, 5, 5)))
    followed, told = stream(online(camera)), stream(KnownTracks(delayed(known, DELAY, LENGTH)))
    undelayed = stream(KnownTracks(known))
    assert len(followed) == len(told) == 4
    assert all(torch.equal(one, other) for one, other in zip(followed, told, strict=True))
    assert not torch.equal(followed[1], undelayed[1])  # the points do move
    assert camera.taken == len(reference)


def test_no_chunk_asks_for_frames_that_are_filmed_after_it_began(reference: Frames) -> None:
    camera = Camera(reference)
    tracks = online(camera)
    for start, stop in ((0, 1), (1, 13), (13, 25), (25, 37)):
        tracks.at_frames(start, stop)
        assert camera.taken == max(1, start)  # frames 0 .. start - 1, and the first, which says where points are
        assert tracks.num_held <= DELAY


def test_at_rest_before_and_let_go_after(reference: Frames) -> None:
    tracks = online(Camera(reference[:5]))
    first = tracks.at_frames(0, 1)
    assert (first.height, first.width, first.num_tracks) == (HEIGHT, WIDTH, 25)
    resting = tracks.at_frames(1, 13)
    assert torch.equal(resting.points, first.points.expand(12, -1, -1)) and resting.visibility.all()
    after = tracks.at_frames(13, 25)
    assert (after.points[0] - first.points[0]).abs().max() > 0.1
    assert after.visibility[:4].any() and not after.visibility[4:].any()
    assert not tracks.at_frames(25, 37).visibility.any()


def test_pieces_of_several_frames_are_cut_where_the_chunks_are() -> None:
    class Counting:
        """Point = number of the frame; eight frames at a time, as a tracker with windows gives them."""

        name, in_workers = "counting", False

        def follow(self, frames: Iterator[Frames], queries: np.ndarray) -> Iterator[Followed]:
            for start in (0, 8, 16, 24):
                at = np.arange(start, start + 8, dtype=np.float32)[:, None, None]
                yield np.repeat(at, 2, axis=2), np.ones((8, 1), bool)

    tracks = OnlineTracks(Counting(), [], np.zeros((1, 3), np.float32), 99, 99, delay_frames=3)  # type: ignore[arg-type]
    seen = [tracks.at_frames(a, b).points[:, 0, 0] for a, b in ((0, 1), (1, 13), (13, 25), (25, 34))]
    assert torch.cat(seen).tolist() == [0, 0, 0, *range(31)]
    assert tracks.num_held <= 16


@pytest.mark.parametrize("fps", [48.0, 24.0, 16.0, 12.5, 10.0])
def test_a_video_of_another_rate_is_followed_in_its_own_time(fps: float) -> None:
    """x = 30 px a second, whatever the video's rate: between its frames too, and no further than it goes."""
    count = round(2 * fps) + 1

    class Going:
        name, in_workers = "going", False

        def follow(self, frames: Iterator[Frames], queries: np.ndarray) -> Iterator[Followed]:
            for number in range(count):
                yield np.full((1, 1, 2), 30 * number / fps, np.float32), np.ones((1, 1), bool)

    times = np.arange(count) / fps * 16
    queries = np.zeros((1, 3), np.float32)
    tracks = OnlineTracks(Going(), [], queries, 99, 99, delay_frames=12, times=times)  # type: ignore[arg-type]
    seen = [tracks.at_frames(a, b) for a, b in ((0, 1), (1, 13), (13, 25), (25, 37), (37, 49))]
    x = torch.cat([each.points[:, 0, 0] for each in seen])
    shown = torch.cat([each.visibility[:, 0] for each in seen])
    last = int(times[-1] + 1e-9)
    torch.testing.assert_close(x[12 : 12 + last + 1], 30 * torch.arange(last + 1) / 16)
    assert shown.tolist() == [True] * (12 + last + 1) + [False] * (49 - 13 - last)
    assert tracks.num_held <= fps / 16 * 12 + 2


def test_what_cannot_be_followed_live_is_refused() -> None:
    with pytest.raises(ValueError, match="all be of frame 0"):
        OnlineTracks(OpenCvTracker(), [], np.array([[3.0, 1, 1]]), 9, 9, delay_frames=12)
    with pytest.raises(ValueError, match="delay_frames is -1"):
        online(Camera(sliding((1, 1))), delay=-1)
    with pytest.raises(ValueError, match="no frames"):
        online(Camera(sliding((1, 1))[:0])).at_frames(0, 1)
