"""When to begin the next chunk of a live stream: as late as it can be, so that it answers the newest of the hand."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

MARGIN_S = 0.04
REMEMBERED = 8
SLACK = 1.02


class Pacer:
    """Just in time: a chunk is begun when it will just be ready as the frames shown before it run out.

    How long a chunk takes is told by the last few, and a margin is added. Where making is slower than showing, chunks
    are made without a pause and shown at the rate made, evenly.

    fps: at which the frames shall be shown. clock: seconds.
    """

    def __init__(self, fps: float, clock: Callable[[], float] = time.monotonic, margin_s: float = MARGIN_S) -> None:
        self._frame_s, self._clock, self._margin_s = 1 / fps, clock, margin_s
        self._takes_s: deque[float] = deque(maxlen=REMEMBERED)
        self._cycles_s: deque[float] = deque(maxlen=REMEMBERED)
        self.reset()

    def reset(self) -> None:
        """Nothing is being shown: the next chunk is begun at once."""
        self._shown_until: float | None = None
        self._last_ready: float | None = None
        self._wait_from: float | None = None
        self._last_frames, self._waited_s = 1, 0.0
        self.begun = self._clock()

    def wait_s(self) -> float:
        """Seconds until the next chunk shall be begun; 0 where its time has come."""
        if self._shown_until is None or not self._takes_s:
            return 0.0
        now = self._clock()
        left = self._shown_until - _expected(self._takes_s) - self._margin_s - now
        if left > 0 and self._wait_from is None:
            self._wait_from = now
        return max(0.0, left)

    def begin(self) -> None:
        """The next chunk is begun."""
        self.begun = self._clock()
        self._waited_s = 0.0 if self._wait_from is None else self.begun - self._wait_from
        self._wait_from = None

    @property
    def buffer_s(self) -> float:
        """For how long there are frames to show."""
        return 0.0 if self._shown_until is None else max(0.0, self._shown_until - self._clock())

    def ready(self, num_frames: int, chunk_frames: int | None = None) -> float:
        """Frames of the chunk that was begun last are ready to be shown; for how long each of them shall be (s).

        chunk_frames: how many the whole chunk has, where these are its first ones; those that follow come in time.
        None: they follow.
        """
        now = self._clock()
        if chunk_frames is not None:
            self._takes_s.append(now - self.begun)
            if self._last_ready is not None:  # what a frame takes where nothing waits
                self._cycles_s.append((now - self._last_ready - self._waited_s) / self._last_frames)
            self._last_ready, self._last_frames = now, chunk_frames
        frame_s = max(self._frame_s, SLACK * _expected(self._cycles_s) if self._cycles_s else 0.0)
        before = now if self._shown_until is None else max(now, self._shown_until)
        self._shown_until = before + num_frames * frame_s
        return frame_s


def _expected(times_s: deque[float]) -> float:
    """The longest of the last few but two, since something else runs now and then."""
    return sorted(times_s)[-min(3, len(times_s))] if len(times_s) > 3 else max(times_s)
