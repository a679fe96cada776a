"""Jobs to servers, one at a time each, until all are done or given up."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .jobs import Job
from .server import GONE, Ended, RefusedError, Server, VanishedError
from .state import DONE, FAILED, SENT, Record, State

_IDLE_S = 0.2


@dataclass(frozen=True)
class Patience:
    """attempts: how often a job is sent at most. away_s: how long a server may be gone before it is given up."""

    attempts: int = 3
    away_s: float = 600.0


@dataclass
class News:
    """Whom the run tells what: `progress` of a job in 0..1, `record` of one whose state changed, `say` in words."""

    progress: Callable[[str, float], None]
    record: Callable[[Record], None]
    say: Callable[[str], None]


class Run:
    """The jobs that `state` has taken up, over several servers."""

    def __init__(self, jobs: Sequence[Job], state: State, patience: Patience, news: News) -> None:
        self._jobs = {job.job_id: job for job in jobs}
        self._state, self._patience, self._news = state, patience, news
        self._sent: dict[str, list[str]] = {}
        self._waiting: deque[str] = deque()
        self._underway = 0
        for job in jobs:
            record = state.of(job.job_id)
            if record.state == SENT:
                self._sent.setdefault(record.server, []).append(job.job_id)
                self._underway += 1
            elif record.state not in (DONE, FAILED):
                self._waiting.append(job.job_id)

    async def over(self, servers: Sequence[Server]) -> None:
        """Returns when every job is done or failed, or no server is left; then some wait."""
        await asyncio.gather(*map(self._serve, servers))

    async def _serve(self, server: Server) -> None:
        """What was sent to this server before, then whatever waits."""
        own = self._sent.pop(server.url, [])
        while True:
            if not own and not self._waiting:
                if not self._underway:
                    return
                await asyncio.sleep(_IDLE_S)  # a job of another server's may come back
                continue
            if own:
                job_id = own.pop(0)
            else:
                job_id = self._waiting.popleft()
                self._underway += 1
            try:
                there = await self._work(server, self._jobs[job_id])
            finally:
                self._underway -= 1
            if not there:
                self._underway -= len(own)
                for each in own:
                    self._again(each, f"{server.url} is gone")
                return

    async def _work(self, server: Server, job: Job) -> bool:
        """Bring one job to its end, or back among those that wait. False where the server is given up."""
        while True:
            if not await server.wait(self._patience.away_s):
                self._news.say(f"{server.url} has not answered for {self._patience.away_s:g} s and is given up")
                self._again(job.job_id, f"{server.url} is gone")
                return False
            try:
                self._end(job, await self._attempt(server, job))
            except VanishedError:
                server.forget()
                self._again(job.job_id, f"{server.url} was started anew and had lost it")
            except RefusedError as error:
                self._end(job, Ended(error=str(error), again=False))
            except GONE as error:
                server.forget()
                self._news.say(f"{server.url}: {type(error).__name__}; waiting for it")
                await asyncio.sleep(_IDLE_S)
                continue
            return True

    async def _attempt(self, server: Server, job: Job) -> Ended:
        record = self._state.of(job.job_id)
        if record.state != SENT or record.server != server.url:
            names = {file: await server.send(file) for file in job.files.values()}
            record = self._state.sent(job.job_id, server.url, str(uuid.uuid4()))
            self._news.record(record)
            await server.post(record.prompt_id, job.with_files(names))
        return await server.follow(record.prompt_id, lambda share: self._news.progress(job.job_id, share))

    def _end(self, job: Job, ended: Ended) -> None:
        if not ended.error:
            self._news.record(self._state.done(job.job_id, ended.files))
        elif ended.again:
            self._again(job.job_id, ended.error)
        else:
            self._news.record(self._state.failed(job.job_id, ended.error))

    def _again(self, job_id: str, error: str) -> None:
        record = self._state.of(job_id)
        if record.attempts >= self._patience.attempts:
            self._news.record(self._state.failed(job_id, error))
            return
        self._news.record(self._state.waiting(job_id, error))
        self._waiting.append(job_id)
