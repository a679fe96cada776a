"""Every kind of hostile input, a few of each: nothing crashes, nothing wrong is taken, time and memory are kept."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.hostile.arena import Limits, tried
from tests.hostile.families import FAMILIES

pytestmark = pytest.mark.hostile
SLOW = {"commands"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in FAMILIES]
)
def test_it_is_refused_in_words_in_time_in_memory(name: str) -> None:
    family = FAMILIES[name]
    tally = family.run(family.quick, seed=7)
    assert tally.inputs >= 1
    assert tally.crashes == []
    assert tally.silent == []
    assert family.refused or tally.refused < tally.inputs  # what is right among them is taken


# --- the arena itself: what breaks a rule is seen


def crash(_: int) -> None:
    raise KeyError("a bug")


def spin(_: int) -> None:
    while True:
        time.sleep(0.01)


def take_memory(_: int) -> None:
    bytearray(400 * 2**20)


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def say_nothing(_: int) -> None:
    raise ValueError("")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (crash, "KeyError"),
        (spin, "more than 0.2 s"),
        (take_memory, "MemoryError"),
        (die, "signal 9"),
        (say_nothing, "message of 0"),
    ],
)
def test_a_planted_fault_is_seen(act: object, words: str) -> None:
    tally = tried([1], act, Limits(0.2, 200))  # type: ignore[arg-type]
    assert tally.inputs == 1 and len(tally.crashes) == 1
    assert words in tally.crashes[0]


def test_what_is_taken_wrongly_is_seen() -> None:
    assert tried([1, 2], lambda each: "two" if each == 2 else None, Limits()).silent == ["2: two"]
