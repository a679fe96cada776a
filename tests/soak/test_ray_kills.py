"""A table of renders on a Ray cluster whose workers, and whose command, are killed at random places."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from tests.core.batch.test_ray import ENVIRONMENT, command, finished, rendering
from tests.soak.test_tables import KILLS, LIMIT_S, wait

pytest.importorskip("ray", reason="needs ray (extra cluster)")
pytestmark = pytest.mark.soak

ROWS, FRAMES = 6, 97
OF_COMMAND = 5
"""So many kills make one of the command itself, the others are of workers."""


@pytest.fixture
def cluster() -> Iterator[Any]:
    """One node with places for two workers."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()


def hashes(out: Path) -> dict[str, str]:
    return {job: hashed for job, (_, hashed) in finished(out).items()}


def test_twenty_kills_of_workers_and_of_the_command(cluster: Any, tmp_path: Path) -> None:
    manifest, out, alone, chance = tmp_path / "jobs.jsonl", tmp_path / "out", tmp_path / "alone", random.Random(0)
    Image.effect_noise((128, 128), 60).convert("RGB").save(tmp_path / "a.png")
    rows = ({"job_id": str(each), "image": "a.png", "length": FRAMES, "seed": each} for each in range(ROWS))
    manifest.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    subprocess.run(command(manifest, alone), env=ENVIRONMENT, check=True, capture_output=True)
    whole = hashes(alone)
    video_s = max(json.loads(each.read_text("utf-8"))["seconds"] for each in alone.glob("*.json"))

    def start() -> subprocess.Popen[str]:
        call = command(manifest, out, "--ray", cluster.address, "--retries", str(KILLS))
        return subprocess.Popen(call, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ended_well(running: subprocess.Popen[str]) -> None:
        told, errors = running.communicate(timeout=LIMIT_S)
        assert running.returncode == 0, errors
        assert told.splitlines()[-1] == f"{ROWS} done"
        assert hashes(out) == whole

    kills, running = 0, start()
    try:
        while kills < KILLS:
            if not wait(lambda: bool(rendering()), running):
                ended_well(running)
                for each in (*out.iterdir(), out.with_suffix(".sqlite")):
                    each.unlink()
                running = start()
                continue
            time.sleep(chance.uniform(0, 1.5 * video_s))
            if kills % OF_COMMAND == OF_COMMAND - 1 and running.poll() is None:
                running.kill()
                running.communicate()
                running = start()
            elif workers := rendering():
                try:
                    chance.choice(workers).kill()
                except psutil.NoSuchProcess:
                    continue
            else:
                continue
            kills += 1
            found = hashes(out)
            assert found == {job: whole[job] for job in found}
        ended_well(running)
    finally:
        running.kill()
    assert not list(out.glob("*.part"))
