"""What a stream's user wants to know of its speed."""

from __future__ import annotations

import statistics
import time


class StreamClock:
    """When the models were there, when the first generated frame was there, and how long each chunk took."""

    def __init__(self) -> None:
        self._started = self._ready = self._last = time.perf_counter()
        self._first_s: float | None = None
        self._chunks_s: list[float] = []

    def loaded(self) -> None:
        """The models are on their devices: from here the stream is measured."""
        self._ready = self._last = time.perf_counter()

    def chunk(self, generated: bool) -> None:
        """A chunk's frames are there; `generated` unless it is the image itself."""
        now = time.perf_counter()
        if generated:
            self._chunks_s.append(now - self._last)
            self._first_s = self._first_s or now - self._ready
        self._last = now

    def describe(self, num_frames: int) -> str:
        """A line for each figure."""
        loading = self._ready - self._started
        lines = [f"{num_frames / max(self._last - self._ready, 1e-9):.1f} frames per second"]
        if self._first_s is not None:
            lines.insert(0, f"first generated frame after {self._first_s:.2f} s ({loading:.2f} s of loading before it)")
            lines.append(
                f"{statistics.median(self._chunks_s):.2f} s per chunk "
                f"({min(self._chunks_s):.2f} to {max(self._chunks_s):.2f} s)"
            )
        return "\n".join(lines)
