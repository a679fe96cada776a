"""Options of every command whose jobs a cluster may share, and the pool that they name."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from ..options import real, whole
from .cluster import RayPool
from .pool import RETRIES, InProcess, Pool

WORKER_CPUS = 1.0
OPTIONS = ("ray", "ray_workers", "worker_cpus", "worker_device", "retries")
"""Their names; all are None where they are not given."""


def add_pool(parser: argparse.ArgumentParser, what: str, *more_names: str) -> None:
    """The options that `pool_of` and `attempts_of` read. what: is shared, in the plural.

    more_names: of --ray-workers, as in "--workers".
    """
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help=f"{what} over a Ray cluster (docs/cluster.md): auto (the one of this machine), local (begun for this "
        "command), or the address of a head",
    )
    parser.add_argument(
        "--ray-workers",
        *more_names,
        type=whole(1, 100_000),
        help="with --ray: at most so many; default: as find place",
    )
    parser.add_argument(
        "--worker-cpus", type=real(0.1, 1024), help=f"with --ray: that a worker takes (default: {WORKER_CPUS:g})"
    )
    parser.add_argument(
        "--worker-device", choices=("cpu", "cuda"), help="with --ray; default: a GPU each, where the cluster has any"
    )
    parser.add_argument(
        "--retries", type=whole(0, 1000), help=f"of {what} that fail, or whose worker does (default: {RETRIES})"
    )


def pool_of(args: argparse.Namespace, say: Callable[[str], None]) -> Pool:
    """Where the jobs are done. Raises ValueError for options of a cluster without one.

    say: is told what holds a cluster up.
    """
    if args.ray is None:
        for name in ("ray_workers", "worker_cpus", "worker_device"):
            if getattr(args, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} is for workers of a cluster; give --ray too")
        return InProcess(str(args.device))
    return RayPool(
        args.ray,
        args.worker_device,
        WORKER_CPUS if args.worker_cpus is None else args.worker_cpus,
        args.ray_workers,
        say,
    )


def attempts_of(args: argparse.Namespace) -> int:
    """How often a job is tried at most."""
    return 1 + (RETRIES if args.retries is None else args.retries)
