"""Fewer threads when a stream falls behind, more after a while; by a clock that the test moves."""

from __future__ import annotations

from motionstream_core.live.threads import TRY_AGAIN_S, ThreadTuner


class Stream:
    """Chunks of half a second; `takes[n]` seconds with n threads."""

    def __init__(self, takes: dict[int, float], most: int = 4) -> None:
        self.now, self.takes = 0.0, takes
        self.changes: list[int] = []
        self.tuner = ThreadTuner(most, self.changes.append, lambda: self.now)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            took = self.takes[self.tuner.threads]
            self.now += max(0.5, took)
            self.tuner.made(took, 0.5)


def test_a_stream_in_time_keeps_its_threads() -> None:
    stream = Stream({4: 0.4})
    stream.run(300)
    assert stream.changes == []


def test_threads_are_halved_until_the_stream_is_in_time() -> None:
    stream = Stream({4: 5.0, 2: 2.0, 1: 0.3})
    stream.run(14.5)
    assert stream.changes == [2, 1]


def test_more_are_tried_ever_more_rarely_and_kept_once_they_do() -> None:
    stream = Stream({2: 3.0, 1: 0.3}, most=2)
    stream.run(6 + 10 * TRY_AGAIN_S)
    assert stream.changes[:3] == [1, 2, 1]
    assert 2 <= stream.changes.count(2) <= 4
    stream.takes[2] = 0.2
    stream.run(20 * TRY_AGAIN_S)
    assert stream.tuner.threads == 2


def test_one_thread_that_is_too_slow_stays_one() -> None:
    stream = Stream({1: 2.0}, most=1)
    stream.run(100)
    assert stream.changes == []
