"""Workers on the machines of a Ray cluster."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

from ..entry import one_line
from ..version import own_version
from .pool import J, Outcome, R, Started, Worker, attempt

LOOK_S = 1.0
PLACE_S = 60.0
"""For so long no worker may be ready before that is said."""
MOST_DIE_LOADING = 5


@dataclass(frozen=True)
class RayPool:
    """An actor for every place that the cluster has, each with a worker that is loaded once.

    Ray places them: while jobs wait there is always one actor more than has a place, which a new machine takes up,
    or an autoscaler sees. An actor that dies, or whose machine does, gives its job back; it is not restarted by Ray
    with the job in it, which would wait for a place while others are free. device: None for a GPU each where the
    cluster has any. cpus: that an actor takes. most: actors, None for as many as find a place.
    """

    address: str
    device: str | None = None
    cpus: float = 1.0
    most: int | None = None
    say: Callable[[str], None] = print
    is_here = False

    def outcomes(self, worker: Worker[J, R], waiting: deque[J], started: Started[J]) -> Iterator[tuple[J, Outcome[R]]]:
        """See `Pool`. Raises ImportError without Ray, ValueError for a cluster that is not there or does not fit."""
        if not waiting:
            return
        ray = _ray()
        _connect(ray, self.address)
        try:
            yield from _Run(ray, self, worker, waiting, started).outcomes()
        finally:
            ray.shutdown()


class PoolWorker(Generic[J, R]):
    """What an actor is: a worker of its own, on the machine that Ray chose. Machines show it by this name."""

    def __init__(self, worker: Worker[J, R], device: str) -> None:
        self._worker, self._device = worker, device

    def load(self) -> tuple[str, str]:
        """Which version of this package works, and on which host."""
        self._worker.load(self._device)
        return own_version(), socket.gethostname()

    def work(self, job: J) -> Outcome[R]:
        """See `attempt`."""
        return attempt(self._worker, job)


class _Run(Generic[J, R]):
    """One run over a cluster. `_busy`: what each open reference belongs to, an actor and its job, None: it loads."""

    def __init__(self, ray: Any, pool: RayPool, worker: Worker[J, R], waiting: deque[J], started: Started[J]) -> None:
        self._ray, self._pool, self._worker, self._waiting, self._started = ray, pool, worker, waiting, started
        self._device = pool.device or ("cuda" if ray.cluster_resources().get("GPU", 0) else "cpu")
        num_gpus = int(self._device == "cuda")
        self._actor = ray.remote(num_cpus=pool.cpus, num_gpus=num_gpus, max_restarts=0)(PoolWorker)
        self._busy: dict[Any, tuple[Any, J | None]] = {}
        self._idle: list[Any] = []
        self._hosts: dict[Any, str] = {}
        self._died_loading = 0

    def outcomes(self) -> Iterator[tuple[J, Outcome[R]]]:
        says_at = time.monotonic() + PLACE_S
        while self._waiting or any(job is not None for _, job in self._busy.values()):
            self._give_out()
            done, _ = self._ray.wait(list(self._busy), num_returns=1, timeout=LOOK_S)
            for reference in done:
                actor, job = self._busy.pop(reference)
                if job is None:
                    self._loaded(reference, actor)
                else:
                    yield job, self._done(reference, actor)
            if not self._hosts and time.monotonic() > says_at:
                says_at = float("inf")
                self._pool.say(f"no worker is ready yet: {self._there()}; waiting")

    def _give_out(self) -> None:
        """A job for every free actor, and one actor more that waits for a place, or loads."""
        while self._idle and self._waiting:
            actor, job = self._idle.pop(), self._waiting.popleft()
            self._started(job, self._hosts[actor])
            self._busy[actor.work.remote(job)] = (actor, job)
        is_coming = any(job is None for _, job in self._busy.values())
        if self._waiting and not is_coming and len(self._busy) < (self._pool.most or float("inf")):
            actor = self._actor.remote(self._worker, self._device)
            self._busy[actor.load.remote()] = (actor, None)

    def _loaded(self, reference: Any, actor: Any) -> None:
        """An actor is ready. Raises what its loading raised, since the next one would not do better."""
        try:
            version, host = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except self._ray.exceptions.RayActorError as error:
            self._died_loading += 1
            if self._died_loading >= MOST_DIE_LOADING:
                last = str(error).strip().rsplit("\n", 1)[-1]  # Ray's own words come first, then what it was
                raise ValueError(
                    f"--ray: {self._died_loading} workers died before they were ready: {one_line(last)}; every machine "
                    "needs this package, in this version, and the memory for its model"
                ) from None
            return
        if version != own_version():
            raise ValueError(f"--ray: {host} has version {version} of this package, and here is {own_version()}")
        self._died_loading = 0
        self._hosts[actor] = host
        self._idle.append(actor)

    def _done(self, reference: Any, actor: Any) -> Outcome[R]:
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:  # of the cluster: `work` itself raises none
            self._hosts.pop(actor)
            self._ray.kill(actor)  # one that was only cut off would hold its place
            return Outcome(error=f"its worker or the machine of it is gone: {one_line(error)}", again=True)
        self._idle.append(actor)
        return outcome

    def _there(self) -> str:
        total = self._ray.cluster_resources()
        wanted = f"{self._pool.cpus:g} CPU" + (" and 1 GPU" if self._device == "cuda" else "")
        return f"a worker takes {wanted}, and the cluster has {total.get('CPU', 0):g} CPU, {total.get('GPU', 0):g} GPU"


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
