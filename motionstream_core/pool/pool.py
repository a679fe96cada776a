"""What is common to every place where jobs are done: workers, what became of a job, and who tries again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

HOPELESS = (ValueError, FileNotFoundError)
"""Errors of the job itself: it would fail the next time too."""
RETRIES = 2
HERE = "here"
J = TypeVar("J", bound=Hashable)
J_in = TypeVar("J_in", contravariant=True)
R = TypeVar("R")
R_out = TypeVar("R_out", covariant=True)


class Worker(Protocol[J_in, R_out]):
    """Does jobs of one kind, with what it loads once. A cluster gets copies of it, so it is picklable before that."""

    def load(self, device: str) -> None:
        """What all jobs need. Whatever it raises ends the whole run."""
        ...

    def work(self, job: J_in) -> R_out:
        """Do one job. It may be done twice, also by two workers one after the other, and must come to the same."""
        ...


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """value: what became of a job. error: why nothing did; again: another attempt may do better."""

    value: R | None = None
    error: str = ""
    again: bool = False


Started = Callable[[J, str], None]


class Pool(Protocol):
    """Workers that take jobs as they become free.

    is_here: whether that is this process, one job after another.
    """

    @property
    def is_here(self) -> bool: ...

    def outcomes(self, worker: Worker[J, R], waiting: deque[J], started: Started[J]) -> Iterator[tuple[J, Outcome[R]]]:
        """What became of each job that waits, as it ends; more may be put among them meanwhile.

        started: is told where a job begins. Raises as `worker.load` does.
        """
        ...


@dataclass(frozen=True)
class InProcess:
    """One worker, here. device: of torch, as a word."""

    device: str
    is_here = True

    def outcomes(self, worker: Worker[J, R], waiting: deque[J], started: Started[J]) -> Iterator[tuple[J, Outcome[R]]]:
        """See `Pool`."""
        if waiting:
            worker.load(self.device)
        while waiting:
            job = waiting.popleft()
            started(job, HERE)
            yield job, attempt(worker, job)


def attempt(worker: Worker[J, R], job: J) -> Outcome[R]:
    """Do a job; nothing is raised but what ends the process."""
    try:
        return Outcome(worker.work(job))
    except HOPELESS as error:
        return Outcome(error=str(error) or type(error).__name__)
    except Exception as error:
        return Outcome(error=f"{type(error).__name__}: {error}", again=True)


def ended(
    pool: Pool,
    worker: Worker[J, R],
    waiting: deque[J],
    attempts: int,
    started: Started[J],
    again: Callable[[J, str], None],
) -> Iterator[tuple[J, Outcome[R]]]:
    """What became of each job in the end; one that may do better is tried `attempts` times at most.

    started: is told where every attempt begins, again: why another one follows.
    """
    tried = Counter[J]()
    for job, outcome in pool.outcomes(worker, waiting, started):
        tried[job] += 1
        if outcome.error and outcome.again and tried[job] < attempts:
            again(job, outcome.error)
            waiting.append(job)
        else:
            yield job, outcome
