"""What became of each job, in SQLite: it outlives the client and is written before and after every step."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path

WAITING, SENT, DONE, FAILED = "waiting", "sent", "done", "failed"
_VERSION = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, digest TEXT NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
    server TEXT NOT NULL, prompt_id TEXT NOT NULL, sent REAL, ended REAL, files TEXT NOT NULL, error TEXT NOT NULL
)"""


@dataclass(frozen=True)
class Record:
    """state: waiting, sent, done or failed. attempts: how often it was sent. sent, ended: seconds since 1970.

    files: what the server saved, below its output folder. error: why it failed last.
    """

    job_id: str
    digest: str
    state: str = WAITING
    attempts: int = 0
    server: str = ""
    prompt_id: str = ""
    sent: float | None = None
    ended: float | None = None
    files: tuple[str, ...] = ()
    error: str = ""

    @property
    def seconds(self) -> float | None:
        """From when it was sent to its end; None before that."""
        return None if self.sent is None or self.ended is None else self.ended - self.sent


class State:
    """The file of states, held by one client at a time. Raises ValueError where another one holds it or it is none."""

    def __init__(self, path: Path) -> None:
        try:
            self._base = sqlite3.connect(path, timeout=0, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise ValueError(f"--state: {path} cannot be opened ({error})") from None
        try:
            self._base.execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed, or the process ends
            self._base.execute("BEGIN EXCLUSIVE")
            self._prepare()
            self._base.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise ValueError(f"--state: {_fault(path, error)}") from None

    def close(self) -> None:
        """Let another client have it."""
        self._base.close()

    def begin(self, jobs: Iterable[tuple[str, str]], servers: Collection[str]) -> None:
        """Take up the jobs (job_id, digest): done ones stay done where their digest is the same, and those that were
        sent to one of `servers` stay sent, to be looked for there; all others wait, and their attempts begin anew."""
        self._base.execute("BEGIN")
        for job_id, digest in jobs:
            before = self._read(job_id)
            if before is None or before.digest != digest or not _stays(before, servers):
                self._write(Record(job_id, digest))
        self._base.execute("COMMIT")

    def sent(self, job_id: str, server: str, prompt_id: str) -> Record:
        """Note a job before it is sent, so that it is found again whatever happens next."""
        before = self.of(job_id)
        record = Record(job_id, before.digest, SENT, before.attempts + 1, server, prompt_id, time.time())
        return self._write(record)

    def done(self, job_id: str, files: tuple[str, ...]) -> Record:
        """Note a job that ended well."""
        return self._ended(job_id, DONE, files, "")

    def failed(self, job_id: str, error: str) -> Record:
        """Note a job that is given up."""
        return self._ended(job_id, FAILED, (), error)

    def waiting(self, job_id: str, error: str) -> Record:
        """Note a job that is to be sent once more, and why."""
        return self._ended(job_id, WAITING, (), error)

    def of(self, job_id: str) -> Record:
        """What is known of a job. Raises KeyError for one that was never taken up."""
        found = self._read(job_id)
        if found is None:
            raise KeyError(job_id)
        return found

    def _ended(self, job_id: str, state: str, files: tuple[str, ...], error: str) -> Record:
        return self._write(replace(self.of(job_id), state=state, ended=time.time(), files=files, error=error))

    def _prepare(self) -> None:
        version = self._base.execute("PRAGMA user_version").fetchone()[0]
        tables = self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if version != _VERSION and (version or tables):
            raise sqlite3.DatabaseError("another program's, or of another version")
        self._base.execute(_TABLE)
        self._base.execute(f"PRAGMA user_version = {_VERSION}")

    def _read(self, job_id: str) -> Record | None:
        found = self._base.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        if found is None:
            return None
        values = dict(zip((each.name for each in fields(Record)), found, strict=True))
        return Record(**{**values, "files": tuple(json.loads(values["files"]))})

    def _write(self, record: Record) -> Record:
        values = [getattr(record, each.name) for each in fields(Record)]
        values[-2] = json.dumps(record.files)
        self._base.execute(f"INSERT OR REPLACE INTO jobs VALUES ({', '.join('?' * len(values))})", values)
        return record


def _stays(record: Record, servers: Collection[str]) -> bool:
    return record.state == DONE or (record.state == SENT and record.server in servers)


def _fault(path: Path, error: sqlite3.DatabaseError) -> str:
    if "locked" in str(error):
        return f"{path} is held by another motionstream command; wait for its end"
    if isinstance(error, sqlite3.OperationalError):
        return f"{path} cannot be written ({error})"
    return f"{path} is no file of states ({error}); give another name"
