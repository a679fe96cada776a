"""A real Ray cluster of two nodes that loses a worker and a node in mid-render and gains a node: nothing is lost.

What else shares its pool makes there what it makes in one process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from motionstream_core.files import sha256_of
from motionstream_core.pool.cluster import RayPool
from motionstream_core.pool.pool import InProcess
from motionstream_core.training.data.prepare import ShardWorker, prepare_videos
from motionstream_core.training.data.sources import Source
from tests.core.evaluation.clips.test_runs import write_clips
from tests.core.training.test_prepare import SETTINGS, contents, film, pooled_tools

pytest.importorskip("ray", reason="needs ray (extra cluster)")
pytestmark = pytest.mark.slow

JOBS, FRAMES, LIMIT_S = 18, 97, 600
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and another node, each with a place for one worker."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield made
    finally:
        made.shutdown()


def write(manifest: Path, jobs: Iterable[int]) -> Path:
    rows = ({"job_id": f"{each:02}", "image": "a.png", "length": FRAMES, "seed": each} for each in jobs)
    manifest.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return manifest


def command(manifest: Path, out: Path, *options: str) -> list[str]:
    state = ["--state", str(out.with_suffix(".sqlite"))]
    return [sys.executable, "-m", "motionstream_core", "render", str(manifest), "--out", str(out), *state, *options]


def finished(out: Path) -> dict[str, tuple[int, str]]:
    """When each finished video was written, and its hash."""
    videos = (each.with_suffix(".mp4") for each in out.glob("*.json"))
    return {each.stem: (each.stat().st_mtime_ns, sha256_of(each)) for each in videos}


def rendering() -> list[psutil.Process]:
    """This test's workers that are at a video."""
    found = []
    for each in psutil.Process().children(recursive=True):
        try:
            if each.cmdline()[:1] == ["ray::PoolWorker.work"]:
                found.append(each)
        except psutil.Error:  # gone meanwhile
            continue
    return found


def wait(until: Callable[[], Any], running: subprocess.Popen[str], what: str) -> Any:
    ends = time.monotonic() + LIMIT_S
    while time.monotonic() < ends:
        assert running.poll() is None, f"it ended before {what}:\n{running.communicate()}"
        if found := until():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what} did not come within {LIMIT_S} s")


def begun_again(table: str) -> list[int]:
    """The jobs that took more than one attempt."""
    return [
        int(job) for job, attempts in re.findall(r"^(\d\d) +done +(\d+) ", table, re.MULTILINE) if int(attempts) > 1
    ]


def test_nothing_is_lost_and_nothing_finished_is_repeated(cluster: Any, tmp_path: Path) -> None:
    Image.effect_noise((128, 128), 60).convert("RGB").save(tmp_path / "a.png")
    manifest = write(tmp_path / "jobs.jsonl", range(JOBS))
    second = cluster.add_node(num_cpus=1)
    out = tmp_path / "cluster"
    running = subprocess.Popen(
        command(manifest, out, "--ray", cluster.address, "--retries", "5"),
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait(lambda: finished(out) and len(rendering()) == 2, running, "a render on each node, after a finished one")
        before = finished(out)
        killed = rendering()[0]
        killed.kill()
        killed.wait(LIMIT_S)
        wait(lambda: len(rendering()) == 2, running, "a render by another worker in place of the killed one")
        before |= finished(out)
        cluster.remove_node(second, allow_graceful=False)
        wait(lambda: len(finished(out)) > len(before), running, "a video after a node was killed")
        before |= finished(out)
        cluster.add_node(num_cpus=1)
        told, errors = running.communicate(timeout=LIMIT_S)
    finally:
        running.kill()
    assert running.returncode == 0, errors
    assert told.splitlines()[-1] == f"{JOBS} done"
    assert errors.count("its worker or the machine of it is gone") >= 2  # both kills hit a render
    after = finished(out)
    assert {job: after[job] for job in before} == before
    assert not list(out.glob("*.part"))

    again = begun_again(told)
    assert len(again) >= 2
    chosen = {*again, int(next(iter(before)))}
    alone = tmp_path / "alone"
    subprocess.run(command(write(tmp_path / "some.jsonl", chosen), alone), env=ENVIRONMENT, check=True)
    made = finished(alone)
    assert len(made) == len(chosen)
    assert all(hashed == after[job][1] for job, (_, hashed) in made.items())


def test_an_evaluation_over_a_cluster_is_that_of_one_process(cluster: Any, tmp_path: Path) -> None:
    dataset = tmp_path / "clips"
    dataset.mkdir()
    write_clips(dataset)

    def evaluated(name: str, *more: str) -> tuple[str, Path]:
        fixed = ["--out", str(tmp_path / name), "--grid", "8", "--variants", "other", "--lpips", "off", *more]
        call = [sys.executable, "-m", "motionstream_core", "evaluate", str(dataset), "--device", "cpu", *fixed]
        done = subprocess.run(call, env=ENVIRONMENT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout, tmp_path / name

    def made(out: Path) -> dict[str, Any]:
        """What was made of each clip, without how long it took."""
        found: dict[str, Any] = {}
        for path in sorted(out.glob("clips/*/*")):
            found[f"{path.parent.name}/{path.name}"] = path.read_bytes()
            if path.name == "result.json":
                result = json.loads(path.read_text("utf-8"))
                for figures in result["variants"].values():
                    for time_name in ("frames_per_second", "latency_s", "first_frame_s"):
                        figures.pop(time_name, None)
                found[f"{path.parent.name}/{path.name}"] = result
        return found

    _, alone = evaluated("alone")
    told, shared = evaluated("shared", "--ray", cluster.address)
    assert "short: skipped, it has 3 frames" in told
    assert made(shared) == made(alone)
    assert {"one/other.mp4", "two/reconstruction.mp4", "two/result.json"} <= made(alone).keys()
    assert "2 of 3 clips are complete" in evaluated("shared", "--ray", cluster.address)[0]


def test_shards_of_clips_over_a_cluster_are_those_of_one_process(cluster: Any, tmp_path: Path) -> None:
    sources = [Source(film(tmp_path / f"{name}.mp4", 8, seed=seed), name) for seed, name in enumerate("abcde")]
    sources[2] = Source(tmp_path / "gone.mp4", "gone")

    def worker(out: Path, report: Callable[[int, int], None] | None = None) -> ShardWorker:
        return ShardWorker(sources, SETTINGS, pooled_tools, out, report=report)

    alone, shared, seen = tmp_path / "alone", tmp_path / "shared", list[tuple[int, int]]()
    told = prepare_videos(worker(alone), InProcess("cpu"))
    pool = RayPool(cluster.address)
    assert prepare_videos(worker(shared, lambda *pair: seen.append(pair)), pool) == told
    assert contents(shared) == contents(alone)
    assert seen[-1] == (5, 5) and len(seen) == 3  # a shard holds two

    (shared / "video_00001.json").unlink()
    again = list[tuple[int, int]]()
    prepare_videos(worker(shared, lambda *pair: again.append(pair)), pool)
    assert again == [(5, 5)] and contents(shared) == contents(alone)
    with pytest.raises(ValueError, match="other sources"):
        prepare_videos(ShardWorker(sources[1:], SETTINGS, pooled_tools, shared), pool)
