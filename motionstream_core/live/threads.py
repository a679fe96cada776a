"""How many threads a live stream computes with on a CPU.

Torch's threads wait for one another many hundred times a chunk. Where another program keeps a core busy, each of these
waits may last until the system gives that core back, and two threads of two cores become twenty times slower than one.
"""

from __future__ import annotations

import time
from collections.abc import Callable

BEHIND = 2
"""Chunks in a row that took longer than they last, after which fewer threads are tried."""
TRY_AGAIN_S = 30.0


class ThreadTuner:
    """Halves the threads when a stream falls behind, and tries twice as many again after a while, ever more rarely.

    most: threads at the beginning, and never more. change: told of every new number. clock: seconds.
    """

    def __init__(self, most: int, change: Callable[[int], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.threads = self._most = most
        self._change, self._clock = change, clock
        self._behind = 0
        self._since, self._patience_s = clock(), TRY_AGAIN_S
        self._trying = False

    def made(self, took_s: float, lasts_s: float) -> None:
        """A chunk took so long, and is shown for so long."""
        self._behind = self._behind + 1 if took_s > lasts_s else 0
        if self._behind >= (1 if self._trying else BEHIND) and self.threads > 1:
            self._patience_s *= 2 if self._trying else 1
            self._set(self.threads // 2)
        elif self._trying and self._clock() - self._since > 1:
            self._trying = False
        elif self.threads < self._most and self._clock() - self._since > self._patience_s:
            self._set(min(self._most, self.threads * 2))
            self._trying = True

    def _set(self, threads: int) -> None:
        self.threads, self._behind, self._trying = threads, 0, False
        self._since = self._clock()
        self._change(threads)
