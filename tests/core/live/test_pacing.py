"""When a chunk is begun, and how long its frames are shown, by a clock that the test moves."""

from __future__ import annotations

import itertools

import pytest

from motionstream_core.live.pacing import MARGIN_S, Pacer

FPS, CHUNK = 16.0, 8


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Maker:
    """Makes chunks that take `takes` seconds and `keeps` seconds more until the next can begin."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.pacer = Pacer(FPS, self.clock)
        self.begun: list[float] = []
        self.ready: list[float] = []
        self.frame_s: list[float] = []

    def chunk(self, takes: float, keeps: float = 0.0) -> None:
        while (left := self.pacer.wait_s()) > 0:
            self.clock.now += left
        self.pacer.begin()
        self.begun.append(self.clock.now)
        self.clock.now += takes
        self.frame_s.append(self.pacer.ready(CHUNK, CHUNK))
        self.ready.append(self.clock.now)
        self.clock.now += keeps

    def shown(self) -> list[tuple[float, float]]:
        """From when until when each chunk's frames are shown, by a player that shows what it has at once."""
        spans, free = [], 0.0
        for ready, frame_s in zip(self.ready, self.frame_s, strict=True):
            start = max(ready, free)
            free = start + CHUNK * frame_s
            spans.append((start, free))
        return spans


def test_a_fast_maker_begins_as_late_as_it_can() -> None:
    maker = Maker()
    for _ in range(10):
        maker.chunk(0.2, keeps=0.03)
    assert maker.frame_s == [1 / FPS] * 10
    spans = maker.shown()
    for (_, end), (start, _) in itertools.pairwise(spans[1:]):
        assert start == pytest.approx(end)  # without a gap
    for ready, (start, _) in zip(maker.ready[2:], spans[2:], strict=True):
        assert start - ready == pytest.approx(MARGIN_S)  # and no earlier than the margin


def test_two_slow_chunks_are_forgiven_and_three_are_believed() -> None:
    maker = Maker()
    for _ in range(10):
        maker.chunk(0.2)
    for _ in range(2):
        maker.chunk(0.4)
        maker.chunk(0.2)
        assert maker.shown()[-1][0] - maker.begun[-1] == pytest.approx(0.2 + MARGIN_S)
    maker.chunk(0.4)
    maker.chunk(0.2)
    assert maker.shown()[-1][0] - maker.begun[-1] == pytest.approx(0.4 + MARGIN_S)


def test_a_slow_maker_never_waits_and_is_shown_evenly_at_its_own_rate() -> None:
    maker = Maker()
    for _ in range(20):
        maker.chunk(0.8, keeps=0.1)
    cycles = [after - before for before, after in itertools.pairwise(maker.ready)]
    assert cycles == pytest.approx([0.9] * 19, abs=0.03)  # hardly a wait
    assert maker.frame_s[-1] == pytest.approx(0.9 / CHUNK, rel=0.03)
    spans = maker.shown()
    gaps = [start - end for (_, end), (start, _) in itertools.pairwise(spans)]
    assert max(gaps[3:]) < 0.02


def test_the_rate_comes_back_when_making_is_fast_again() -> None:
    maker = Maker()
    for _ in range(6):
        maker.chunk(0.9)
    for _ in range(12):
        maker.chunk(0.1)
    assert maker.frame_s[-1] == 1 / FPS


def test_after_a_reset_the_next_chunk_is_begun_at_once() -> None:
    maker = Maker()
    for _ in range(3):
        maker.chunk(0.2)
    assert maker.pacer.wait_s() > 0 and maker.pacer.buffer_s > 0
    maker.pacer.reset()
    assert maker.pacer.wait_s() == 0 and maker.pacer.buffer_s == 0
    maker.chunk(0.2)
    assert maker.pacer.wait_s() > 0


def test_the_first_frames_count_and_the_chunks_others_follow() -> None:
    clock = Clock()
    pacer = Pacer(FPS, clock)
    for _ in range(3):
        clock.now += pacer.wait_s()
        pacer.begin()
        clock.now += 0.1
        pacer.ready(4, CHUNK)
        clock.now += 0.05
        pacer.ready(4)
    clock.now += pacer.wait_s()
    assert pacer.buffer_s == pytest.approx(0.1 + MARGIN_S)  # what the first frames take, not the whole chunk
