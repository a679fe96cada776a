"""Where renders are made: in this process, or by workers of a Ray cluster; one loop over either."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..entry import one_line
from ..version import own_version
from .renders import ModelChoice, Render
from .state import DONE, Record, State
from .worker import Outcome, Output, RenderWorker

LOOK_S = 1.0
PLACE_S = 60.0
"""For so long no worker may be ready before that is said."""
MOST_DIE_LOADING = 5
Started = Callable[[Render, str], None]


class Pool(Protocol):
    """Workers that take renders as they become free."""

    def outcomes(self, waiting: deque[Render], started: Started) -> Iterator[tuple[Render, Outcome]]:
        """What became of each render that waits, as it ends; one may be put back among them meanwhile.

        started: is told where a render begins.
        """
        ...


@dataclass(frozen=True)
class InProcess:
    """One worker, here."""

    choice: ModelChoice
    output: Output

    def outcomes(self, waiting: deque[Render], started: Started) -> Iterator[tuple[Render, Outcome]]:
        """See `Pool`. Raises as `RenderWorker.load` does."""
        worker = RenderWorker(self.choice, self.output)
        if waiting:
            worker.load()
        while waiting:
            job = waiting.popleft()
            started(job, "here")
            yield job, worker.render(job)


@dataclass(frozen=True)
class RayPool:
    """An actor for every place that the cluster has, each with the model loaded once.

    Ray places them: while renders wait there is always one actor more than has a place, which a new machine takes up,
    or an autoscaler sees. An actor that dies, or whose machine does, gives its render back; it is not restarted by Ray
    with the render in it, which would wait for a place while others are free. device: None for a GPU each where the
    cluster has any. cpus: that an actor takes. most: actors, None for as many as find a place.
    """

    choice: ModelChoice
    output: Output
    address: str
    device: str | None = None
    cpus: float = 1.0
    most: int | None = None
    say: Callable[[str], None] = print

    def outcomes(self, waiting: deque[Render], started: Started) -> Iterator[tuple[Render, Outcome]]:
        """See `Pool`. Raises ImportError without Ray, ValueError for a cluster that is not there or does not fit."""
        ray = _ray()
        _connect(ray, self.address)
        try:
            yield from _Cluster(ray, self, waiting, started).outcomes()
        finally:
            ray.shutdown()


class _Cluster:
    """One run over a cluster. `_busy`: what each open reference belongs to, an actor and its render, None: it loads."""

    def __init__(self, ray: Any, pool: RayPool, waiting: deque[Render], started: Started) -> None:
        self._ray, self._pool, self._waiting, self._started = ray, pool, waiting, started
        device = pool.device or ("cuda" if ray.cluster_resources().get("GPU", 0) else "cpu")
        self._actor = ray.remote(num_cpus=pool.cpus, num_gpus=int(device == "cuda"), max_restarts=0)(RenderWorker)
        self._choice = replace(pool.choice, device=device)
        self._busy: dict[Any, tuple[Any, Render | None]] = {}
        self._idle: list[Any] = []
        self._hosts: dict[Any, str] = {}
        self._died_loading = 0

    def outcomes(self) -> Iterator[tuple[Render, Outcome]]:
        says_at = time.monotonic() + PLACE_S
        while self._waiting or any(job is not None for _, job in self._busy.values()):
            self._give_out()
            done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=LOOK_S)
            for reference in done:
                actor, job = self._busy.pop(reference)
                if job is None:
                    self._loaded(reference, actor)
                else:
                    yield job, self._made(reference, actor)
            if not self._hosts and time.monotonic() > says_at:
                says_at = float("inf")
                self._pool.say(f"no worker is ready yet: {self._there()}; waiting")

    def _give_out(self) -> None:
        """A render for every free actor, and one actor more that waits for a place, or loads."""
        while self._idle and self._waiting:
            actor, job = self._idle.pop(), self._waiting.popleft()
            self._started(job, self._hosts[actor])
            self._busy[actor.render.remote(job)] = (actor, job)
        is_coming = any(job is None for _, job in self._busy.values())
        if self._waiting and not is_coming and len(self._busy) < (self._pool.most or float("inf")):
            actor = self._actor.remote(self._choice, self._pool.output)
            self._busy[actor.load.remote()] = (actor, None)

    def _loaded(self, reference: Any, actor: Any) -> None:
        """An actor has its model. Raises what its loading raised, since the next one would not do better."""
        try:
            version, host = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except self._ray.exceptions.RayActorError as error:
            self._died_loading += 1
            if self._died_loading >= MOST_DIE_LOADING:
                raise RuntimeError(
                    f"--ray: {self._died_loading} workers died while they loaded: {one_line(error)}"
                ) from None
            return
        if version != own_version():
            raise ValueError(f"--ray: {host} has version {version} of this package, and here is {own_version()}")
        self._died_loading = 0
        self._hosts[actor] = host
        self._idle.append(actor)

    def _made(self, reference: Any, actor: Any) -> Outcome:
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # of the cluster: `render` itself raises none
            self._hosts.pop(actor)
            self._ray.kill(actor)  # one that was only cut off would hold its place
            return Outcome(error=f"its worker or the machine of it is gone: {one_line(error)}", again=True)
        self._idle.append(actor)
        return outcome

    def _there(self) -> str:
        total = self._ray.cluster_resources()
        wanted = f"{self._pool.cpus:g} CPU" + (" and 1 GPU" if self._choice.device == "cuda" else "")
        return f"a worker takes {wanted}, and the cluster has {total.get('CPU', 0):g} CPU, {total.get('GPU', 0):g} GPU"


def run(renders: list[Render], state: State, pool: Pool, attempts: int, record: Callable[[Record], None]) -> None:
    """Make every render that `state` does not know as done; what fails is tried `attempts` times at most.

    record: is told of every state that changed. Raises as the pool does; what was done then stays done.
    """
    waiting = deque(each for each in renders if state.of(each.job_id).state != DONE)

    def started(job: Render, where: str) -> None:
        record(state.sent(job.job_id, where, job.digest))

    for job, outcome in pool.outcomes(waiting, started):
        if not outcome.error:
            record(state.done(job.job_id, (outcome.file,)))
        elif outcome.again and state.of(job.job_id).attempts < attempts:
            record(state.waiting(job.job_id, outcome.error))
            waiting.append(job)
        else:
            record(state.failed(job.job_id, outcome.error))


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ImportError("--ray needs Ray; pip install ray, or the extra cluster of this package") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    """Raises ValueError where no cluster answers."""
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        remedy = "ray start --head begins one"
        raise ValueError(f"--ray: no cluster answers at {address} ({one_line(error)}); {remedy}") from None
