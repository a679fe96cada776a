"""A function over many items in worker processes: in order, a bounded number ahead, and past items that kill them."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered_map(work: Callable[[T], R], items: Iterable[T], num_workers: int) -> Generator[R | None, None, None]:
    """work(item) for each item in order; None where a worker process died of it. What `work` raises is raised here.

    num_workers: 0 works in this process, where nothing can be survived. Otherwise `work` and items must be picklable;
    at most num_workers + 2 results wait, so that memory stays bounded.
    """
    if num_workers == 0:
        yield from map(work, items)
        return
    pool = _Pool(num_workers)
    rest = iter(items)
    waiting: deque[tuple[T, Future[R]]] = deque()
    try:
        while True:
            for item in itertools.islice(rest, num_workers + 2 - len(waiting)):
                waiting.append((item, pool.submit(work, item)))
            if not waiting:
                return
            item, future = waiting.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:
                # One of those at work did it, and nobody says which: each is tried alone when its turn comes.
                pool.restart()
                yield _alone(pool, work, item)
                waiting = deque((each, pool.submit(work, each)) for each, _ in waiting)
    finally:
        pool.close()


def _alone(pool: _Pool, work: Callable[[T], R], item: T) -> R | None:
    try:
        return pool.submit(work, item).result()
    except BrokenProcessPool:
        pool.restart()
        return None


class _Pool:
    """A pool of processes that can be replaced. They are spawned: a forked one would inherit threads and devices."""

    def __init__(self, num_workers: int) -> None:
        self._num_workers = num_workers
        self._executor = self._new()

    def _new(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self._num_workers, mp_context=context, initializer=_single_threaded)

    def submit(self, work: Callable[[T], R], item: T) -> Future[R]:
        return self._executor.submit(work, item)

    def restart(self) -> None:
        self.close()
        self._executor = self._new()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)


def _single_threaded() -> None:
    """The processes are the parallelism: threads of their own would only crowd them."""
    for name in ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):  # read by libraries that are loaded after this
        os.environ[name] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
