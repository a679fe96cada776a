"""Videos a minute of one process, and of one and two actors of a Ray cluster; what a job costs beside its work.

python -m benchmarks.pool [--videos 16] [--frames 25] [--jobs 2000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import deque
from pathlib import Path

import torch
from PIL import Image

from motionstream_core.batch.manifest import Row
from motionstream_core.batch.model_choice import ModelChoice
from motionstream_core.batch.renders import plan
from motionstream_core.batch.worker import Output, RenderWorker
from motionstream_core.options import whole
from motionstream_core.pool.cluster import RayPool
from motionstream_core.pool.pool import InProcess, J, Pool, R, Worker

WARM = 2  # videos of each worker before the clock runs
DEFAULTS = {"prompt": "", "negative": "", "seed": 0, "units": "auto", "order": "auto"}


class Idle:
    """A worker whose jobs are no work."""

    def load(self, device: str) -> None:
        pass

    def work(self, job: int) -> int:
        return job


def times(pool: Pool, worker: Worker[J, R], jobs: list[J]) -> list[float]:
    """Seconds from the start of the run to the end of each job."""
    started, ends = time.perf_counter(), list[float]()
    for _, outcome in pool.outcomes(worker, deque(jobs), lambda job, where: None):
        assert not outcome.error, outcome.error
        ends.append(time.perf_counter() - started)
    return ends


def per_job(ends: list[float], warm: int) -> float:
    """Seconds a job, of those after the first `warm`."""
    return (ends[-1] - ends[warm - 1]) / (len(ends) - warm)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=whole(6, 10_000), default=16)
    parser.add_argument("--frames", type=whole(1, 10_000), default=25)
    parser.add_argument("--jobs", type=whole(100, 10**6), default=2000, help="that are no work")
    args = parser.parse_args()
    torch.set_num_threads(1)  # as an actor has
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray lets its workers go last: nothing beside others' work
    pools: dict[str, tuple[Pool, int]] = {"in this process": (InProcess("cpu"), 1)}
    pools |= {f"{n} actor{'s' * (n > 1)}": (RayPool("local", "cpu", most=n), n) for n in (1, 2)}
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; one thread a worker")
    print(f"| | videos of {args.frames} frames a minute | first video after | a job that is no work |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="motionstream_") as folder:
        Image.effect_noise((128, 128), 60).convert("RGB").save(Path(folder) / "a.png")
        given = {"image": "a.png", "length": args.frames}
        rows = [Row(each, f"{each}", {**given, "seed": each}) for each in range(1, args.videos + 1)]
        choice = ModelChoice("bundled/photo_student")
        renders = plan(rows, Path(folder), DEFAULTS, choice)
        for name, (pool, count) in pools.items():
            ends = times(pool, RenderWorker(choice, Output(f"{folder}/{count}{name}")), renders)
            idle = per_job(times(pool, Idle(), list(range(args.jobs))), args.jobs // 10)
            pace = 60 / per_job(ends, WARM * count)
            print(f"| {name} | {pace:.1f} | {ends[0]:.1f} s | {idle * 1e3:.2f} ms |", flush=True)


if __name__ == "__main__":
    main()
