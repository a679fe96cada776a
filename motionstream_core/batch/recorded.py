"""A table's renders over a pool, every step of them in the file of states."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..pool.pool import Pool, Worker, ended
from .renders import Render
from .state import DONE, Record, State
from .worker import Output


def missing(renders: list[Render], state: State, output: Output) -> list[Render]:
    """The renders that neither `state` nor what lies in `output` knows as done; the latter are noted as done."""
    left = [each for each in renders if state.of(each.job_id).state != DONE]
    made = output.all_made(left)
    for job, video in made.items():
        state.done(job.job_id, (video,))
    return [each for each in left if each not in made]


def run(
    renders: list[Render],
    state: State,
    pool: Pool,
    worker: Worker[Render, str],
    attempts: int,
    record: Callable[[Record], None],
) -> None:
    """Make the renders; what fails is tried `attempts` times at most.

    record: is told of every state that changed. Raises as the pool does; what was done then stays done.
    """

    def started(job: Render, where: str) -> None:
        record(state.sent(job.job_id, where, job.digest))

    def again(job: Render, error: str) -> None:
        record(state.waiting(job.job_id, error))

    for job, outcome in ended(pool, worker, deque(renders), attempts, started, again):
        if outcome.value is None:
            record(state.failed(job.job_id, outcome.error))
        else:
            record(state.done(job.job_id, (outcome.value,)))
