"""A video that is still coming in steers a stream: its points are followed chunk by chunk, with a fixed delay."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import numpy as np
import torch

from ..checkpoints.spec import ModelSpec
from ..media.frames import Frames
from ..media.times import TOLERANCE
from ..tracks import Tracks
from ..tracks.extract.timing import between
from ..tracks.extract.tracker import Queries, StreamTracker


def chunk_delay(spec: ModelSpec) -> int:
    """Frames of one chunk: the delay with which a live video can be followed.

    When a chunk is begun the frames that it will stand beside are still to be filmed; those of the chunk before are
    there.
    """
    return spec.vae_stride.time * spec.chunk_plan.chunk_frames


class OnlineTracks:
    """`conditions.TrackSource` of points followed through frames as they come in.

    Frame t of the stream shows where the points were at time t - delay_frames of the video; until that has come they
    rest where they began. After the video's last frame every point is let go (invisible).

    tracker: see `StreamTracker`; with one that looks ahead, as CoTracker3 online does by 8 to 16 frames, more
        of the video is waited for than the delay says. frames: uint8 (h w 3) of height x width px, taken one by one
        and only when needed: an iterator may wait for a camera. queries: (n 3), all of frame 0 of the video.
    times: of those frames, rising from 0, in frames of the stream; None: frame by frame. What lies between two frames
        of the video is waited for until the later one is there.
    place: from tracks of the video to tracks of the stream, for a few frames at a time and keeping their number, as
        `transfer.laid_over` does. Memory does not grow with the length.

    Raises ValueError for a negative delay and for queries of later frames.
    """

    def __init__(
        self,
        tracker: StreamTracker,
        frames: Iterable[Frames],
        queries: Queries,
        height: int,
        width: int,
        *,
        delay_frames: int,
        times: Iterable[float] | None = None,
        place: Callable[[Tracks], Tracks] | None = None,
    ) -> None:
        if delay_frames < 0:
            raise ValueError(f"delay_frames is {delay_frames}; it must be at least 0")
        if (queries[:, 0] != 0).any():
            raise ValueError("queries must all be of frame 0: a stream cannot know where later points were before")
        self._pieces = tracker.follow(frames, queries)
        self._size, self._delay, self._place = (height, width), delay_frames, place
        self._coming = iter(itertools.count() if times is None else times)
        self._times = np.zeros(0)  # of the video's frames that are held
        self._points = queries[None, :, 1:].astype(np.float32)[:0]
        self._visible = np.zeros(self._points.shape[:2], bool)
        self._ended = False

    @property
    def num_held(self) -> int:
        """Frames of tracks in memory."""
        return len(self._points)

    def at_frames(self, start: int, stop: int) -> Tracks:
        """Tracks of the stream's frames [start, stop); asked for once, in order."""
        # what is before the video's first frame shows that one
        wanted = np.maximum(np.arange(start, stop) - self._delay, 0).astype(np.float64)
        self._advance(wanted[0], wanted[-1])
        points, visible = between(self._points, self._visible, self._times, wanted)
        visible = visible & (wanted <= self._times[-1] + TOLERANCE)[:, None]
        followed = Tracks(torch.from_numpy(points), torch.from_numpy(visible), *self._size)
        return followed if self._place is None else self._place(followed)

    def _advance(self, first: float, last: float) -> None:
        """Hold the video from time `first` to `last`, or up to its end; at least one frame, to say where it ended."""
        while not self._ended and (not len(self._times) or self._times[-1] < last - TOLERANCE):
            piece = next(self._pieces, None)
            if piece is None:
                self._ended = True
            else:
                self._points = np.concatenate([self._points, piece[0].astype(np.float32)])
                self._visible = np.concatenate([self._visible, piece[1]])
                self._times = np.concatenate([self._times, [*itertools.islice(self._coming, len(piece[0]))]])
        if not len(self._points):
            raise ValueError("the video has no frames")
        drop = max(0, int(np.searchsorted(self._times, first + TOLERANCE, side="right")) - 1)
        self._points, self._visible, self._times = self._points[drop:], self._visible[drop:], self._times[drop:]
