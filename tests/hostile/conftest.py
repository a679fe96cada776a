"""What reads hostile files for the tests here: a process of its own, within limits of time and memory."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
START_LIMIT_S, LIMIT_S = 120.0, 60.0  # by the clock: others may be computing too


class Reader:
    """Asks the process; starts another one where it hung or was killed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def read(self, reader: str, path: Path) -> dict[str, Any]:
        """What came of a file: error, message, seconds, mib. Fails where the process hangs or dies."""
        fresh = self._process is None
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(json.dumps([reader, str(path)]) + "\n")
        self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=LIMIT_S + (START_LIMIT_S if fresh else 0))
        except queue.Empty:
            answer = ""
        if not answer:
            state = self._process.poll()
            self.stop()
            pytest.fail(f"reading {path} as {reader} " + ("hung" if state is None else f"ended the process: {state}"))
        return json.loads(answer)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process, self._answers = None, queue.Queue()

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.hostile.reader_in_limits"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._listen, args=(self._process, self._answers), daemon=True).start()

    @staticmethod
    def _listen(process: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            answers.put(line)
        answers.put("")


@pytest.fixture(scope="session")
def weights_reader() -> Iterator[Reader]:
    if sys.platform != "linux":
        pytest.skip("its memory is measured in /proc")
    reader = Reader()
    yield reader
    reader.stop()
