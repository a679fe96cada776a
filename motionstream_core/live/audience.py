"""Who watches a live stream, and what they are shown: pictures are encoded in a thread of their own."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .protocol import pack_chunk

JPEG_QUALITY = 92
QUEUED = 6
Pixels = NDArray[np.uint8]


class Viewer(Protocol):
    """Whoever watches a stream. Both calls come from the stream's threads and must return at once."""

    def told(self, message: dict[str, Any]) -> None: ...

    def shown(self, packed: bytes) -> None: ...


class Audience:
    """Viewers come and go in any thread. What nobody has time to encode is dropped, oldest first.

    present: whether somebody is taken to be there before the first viewer comes. clock: seconds.
    """

    def __init__(self, present: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._viewers: list[Viewer] = []
        self._lock = threading.Lock()
        self._away_since: float | None = None if present else clock()
        self._queue: queue.Queue[tuple[dict[str, Any], Pixels] | None] = queue.Queue(QUEUED)
        self._last: bytes | None = None
        self._thread = threading.Thread(target=self._encode, name="motionstream-show", daemon=True)

    def __len__(self) -> int:
        return len(self._viewers)

    @property
    def away_s(self) -> float:
        """For how long nobody has watched."""
        with self._lock:
            return 0.0 if self._away_since is None else self._clock() - self._away_since

    def join(self, viewer: Viewer) -> None:
        """Somebody watches from now on; the picture shown last comes first."""
        with self._lock:
            self._viewers.append(viewer)
            self._away_since = None
            last = self._last
        if last is not None:
            viewer.shown(last)

    def leave(self, viewer: Viewer) -> None:
        """Somebody watches no longer."""
        with self._lock:
            if viewer in self._viewers:
                self._viewers.remove(viewer)
            if not self._viewers:
                self._away_since = self._clock()

    def tell(self, message: dict[str, Any]) -> None:
        """A message to everybody."""
        for viewer in self._all():
            viewer.told(message)

    def begin(self) -> None:
        """Pictures are encoded from now on."""
        self._thread.start()

    def end(self) -> None:
        """The pictures that wait are shown, and no more."""
        self._queue.put(None)
        self._thread.join()

    def show(self, header: dict[str, Any], pixels: Pixels) -> None:
        """Frames (t h w 3) to everybody; returns at once. header: of `protocol.pack_chunk`."""
        while True:
            try:
                return self._queue.put_nowait((header, pixels))
            except queue.Full:
                self._drop_oldest(header)

    def _drop_oldest(self, header: dict[str, Any]) -> None:
        try:
            dropped = self._queue.get_nowait()
        except queue.Empty:
            return
        if dropped is not None and dropped[0]["reset"]:
            header["reset"] = True

    def _encode(self) -> None:
        while (item := self._queue.get()) is not None:
            header, pixels = item
            pictures = [_jpeg(each) for each in pixels]
            newest = header | {"reset": True, "answers": [], "frame_ms": 0}
            newest["start_frame"] += len(pixels) - 1
            with self._lock:
                self._last = pack_chunk(newest, pictures[-1:])
            packed = pack_chunk(header, pictures)
            for viewer in self._all():
                viewer.shown(packed)

    def _all(self) -> list[Viewer]:
        with self._lock:
            return list(self._viewers)


def _jpeg(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return file.getvalue()
