"""Hostile inputs under a limit of time and memory, each in a process of its own or in one of a batch of them."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch

BATCH = 50
LONGEST_MESSAGE = 5000
REFUSALS = (ValueError, OSError)
"""What may be raised at an input that is refused; everything else is a crash."""

Act = Callable[[Any], "str | None"]
"""Does what a user's input would do; None where it was taken and that was right, else a line that says what is wrong.
Raises one of REFUSALS where it is refused."""


@dataclass(frozen=True)
class Limits:
    """seconds: of one input. mebibytes: that its batch may take beside what the process has."""

    seconds: float = 20.0
    mebibytes: int = 512


@dataclass
class Tally:
    """What became of many inputs. peak_mib: beside what the process had before; longest_s: of one input."""

    inputs: int = 0
    refused: int = 0
    crashes: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    peak_mib: float = 0.0
    longest_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Count another's in."""
        self.inputs += other.inputs
        self.refused += other.refused
        self.crashes += other.crashes
        self.silent += other.silent
        self.peak_mib = max(self.peak_mib, other.peak_mib)
        self.longest_s = max(self.longest_s, other.longest_s)


class _TooLong(BaseException):
    """An input took longer than its limit."""


def tried(inputs: Sequence[Any], act: Act, limits: Limits) -> Tally:
    """Try every input, in batches. A batch that dies is tried again, one by one, so that the culprit is named."""
    tally = Tally()
    for start in range(0, len(inputs), BATCH):
        batch = inputs[start : start + BATCH]
        done = _in_child(batch, act, limits)
        if isinstance(done, Tally):
            tally.add(done)
            continue
        for each in batch:
            alone = _in_child([each], act, limits)
            tally.add(alone if isinstance(alone, Tally) else Tally(1, crashes=[f"{_short(each)}: {alone}"]))
    return tally


def _in_child(inputs: Sequence[Any], act: Act, limits: Limits) -> Tally | str:
    """The tally of a forked process, or how it ended without one."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        status = 1
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(_tally(inputs, act, limits), pipe)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status, used = os.wait4(child, 0)
    if not told or status:
        end = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"status {os.WEXITSTATUS(status)}"
        return f"the process ended with {end}"
    tally: Tally = pickle.loads(told)
    tally.peak_mib = max(0.0, used.ru_maxrss / 1024 - tally.peak_mib)
    return tally


def _tally(inputs: Sequence[Any], act: Act, limits: Limits) -> Tally:
    """In the child. Its `peak_mib` is what the process had at first."""
    torch.set_num_threads(1)  # other threads did not come along
    pages, size = _held()
    most = size + limits.mebibytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGALRM, _stop)
    tally = Tally(inputs=len(inputs), peak_mib=pages / 2**20)
    for each in inputs:
        start = time.perf_counter()
        signal.setitimer(signal.ITIMER_REAL, limits.seconds)
        try:
            wrong = act(each)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if wrong is not None:
                tally.silent.append(f"{_short(each)}: {wrong}")
        except REFUSALS as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            tally.refused += 1
            if not str(error).strip() or len(str(error)) > LONGEST_MESSAGE:
                tally.crashes.append(f"{_short(each)}: a message of {len(str(error))} characters")
        except _TooLong:
            tally.crashes.append(f"{_short(each)}: more than {limits.seconds:g} s")
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            tally.crashes.append(f"{_short(each)}: {type(error).__name__}: {str(error)[:300]}")
        tally.longest_s = max(tally.longest_s, time.perf_counter() - start)
    return tally


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _TooLong


def _held() -> tuple[int, int]:
    """Bytes of memory and of address space that this process has."""
    with open("/proc/self/statm") as file:
        size, pages, *_ = map(int, file.read().split())
    return pages * resource.getpagesize(), size * resource.getpagesize()


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:120]}... ({len(text)} characters)"


if not sys.platform.startswith("linux"):
    raise ImportError("processes are forked and limited as Linux does it")
