"""`motionstream queue` killed at random places: its server is sent every job once, whatever happens to who sends it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.core.batch.conftest import Table
from tests.core.batch.fake_server import FakeServer
from tests.soak.test_tables import KILLS, LIMIT_S, wait

pytestmark = pytest.mark.soak

ROWS, JOB_S, ROUND_S = 30, 0.2, 1.0


def test_twenty_kills_of_who_sends(tmp_path: Path) -> None:
    table, server, chance, kills = Table(tmp_path), FakeServer(), random.Random(0), 0
    table.write("job_id,seed", *(f"{number:02},{number}" for number in range(ROWS)))
    state = tmp_path / "state.sqlite"
    command = [sys.executable, "-m", "motionstream_core", *table.arguments(server), "--state", str(state)]
    server.takes_s = JOB_S
    server.start()

    def client() -> subprocess.Popen[str]:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def sent_once() -> None:
        assert server.jobs() == [f"{number:02}" for number in range(ROWS)]

    try:
        while kills < KILLS:
            before, running = len(server.posted), client()
            try:
                if not wait(lambda: len(server.posted) > before, running):  # noqa: B023  (called at once)
                    assert running.returncode == 0  # it had nothing more to send
                    sent_once()
                    server.posted.clear()
                    state.unlink()
                    continue
                time.sleep(chance.uniform(0, ROUND_S))
                kills += running.poll() is None
            finally:
                running.kill()
                running.communicate()
        running = client()
        told, errors = running.communicate(timeout=LIMIT_S)
        assert running.returncode == 0, errors
        assert told.splitlines()[-1] == f"{ROWS} done"
        sent_once()
    finally:
        server.stop()
