"""A live stream's frames on their way to whoever watches: in time, and with what they answer of a hand."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from statistics import median

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from .audience import Audience
from .pacing import Pacer
from .recording import About

PACE_MEMORY = 20


@dataclass(frozen=True)
class Answer:
    """What a chunk answers of a hand: its oldest sample's time by the client's clock; first: the hand is new."""

    id: int
    t_ms: float
    first: bool


class Screen:
    """Shows frames in order, tells when the next chunk shall be begun, and measures how fast they come.

    All calls come from the stream's own thread. device: that the stream is made on. clock: seconds.
    """

    def __init__(
        self, about: About, audience: Audience, device: torch.device, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.num_frames = 0
        self.pacer = Pacer(about.fps, clock)
        self._about, self._audience, self._device, self._clock = about, audience, device, clock
        self._answers: list[Answer] = []
        self._reset = True
        self._paces: deque[float] = deque(maxlen=PACE_MEMORY)
        self._made_at: float | None = None
        self._made_frames = 0
        self._process = psutil.Process()

    @property
    def begun(self) -> float:
        """The clock's time at which the newest chunk was begun."""
        return self.pacer.begun

    def wait_s(self) -> float:
        """Seconds until the next chunk shall be begun."""
        return self.pacer.wait_s()

    def begin(self, answers: Iterable[Answer] = ()) -> None:
        """A chunk is begun, which answers these: of each hand the oldest counts."""
        first: dict[int, Answer] = {}
        for answer in answers:
            first.setdefault(answer.id, answer)
        self._answers = list(first.values())
        self.pacer.begin()

    def rest(self) -> None:
        """Nothing is shown for a while, or something else: the next chunk is begun at once, and no pace is measured."""
        self.pacer.reset()
        self._made_at = None

    def picture(self, pixels: NDArray[np.uint8]) -> None:
        """The first image (h w 3), before any chunk."""
        self._offer(-1, pixels[None], 0.0, 0.0, 0.0, 0)
        self._reset = True

    def show(self, chunk: int, pixels: NDArray[np.uint8], back_frames: int, *, begins_chunk: bool) -> None:
        """The next frames (t h w 3) of a chunk. back_frames: that can be undone."""
        if begins_chunk:
            now = self._clock()
            if self._made_at is not None:
                self._paces.append(self._made_frames / max(1e-9, now - self._made_at))
            self._made_at, self._made_frames = now, 0
        self._made_frames += len(pixels)
        whole = self._about.chunk_frames if begins_chunk and self.num_frames else None
        frame_s = self.pacer.ready(len(pixels), whole)
        made_s, buffer_s = self._clock() - self.pacer.begun, self.pacer.buffer_s
        self._offer(chunk, pixels, frame_s, made_s, buffer_s, back_frames)
        self._answers = []
        self.num_frames += len(pixels)

    def went_back(self, num_frames: int, chunk: int, last: NDArray[np.uint8], back_frames: int) -> None:
        """There are only so many frames now, `last` (h w 3) of chunk number `chunk` the newest."""
        self.num_frames = num_frames
        self.rest()
        self._reset = True
        self._answers = []
        self._offer(chunk, last[None], 0.0, 0.0, 0.0, back_frames, shift=-1)

    def _offer(
        self,
        chunk: int,
        pixels: NDArray[np.uint8],
        frame_s: float,
        made_s: float,
        buffer_s: float,
        back_frames: int,
        shift: int = 0,
    ) -> None:
        header = {
            "index": chunk,
            "start_frame": max(0, self.num_frames + shift),
            "frame_ms": round(frame_s * 1000, 3),
            "made_ms": round(made_s * 1000, 1),
            "reset": self._reset,
            "answers": [asdict(each) for each in self._answers],
            "num_frames": self.num_frames + (len(pixels) if made_s else 0),
            "fps_made": round(median(self._paces), 2) if self._paces else 0.0,
            "buffer_ms": round(buffer_s * 1000),
            "memory_mb": round(self._memory_mb()),
            "back_s": round(back_frames / self._about.fps, 2),
        }
        self._reset = False
        self._audience.show(header, pixels)

    def _memory_mb(self) -> float:
        held = self._process.memory_info().rss
        if self._device.type == "cuda":
            held = torch.cuda.memory_reserved(self._device)
        return held / 2**20
