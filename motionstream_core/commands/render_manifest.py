"""`motionstream render MANIFEST`: a table of renders, in this process or over a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..batch.manifest import ManifestError, read_manifest
from ..batch.pool import InProcess, Pool, RayPool, run
from ..batch.renders import ModelChoice, Render, plan
from ..batch.state import DONE, FAILED, Record, State
from ..batch.storage import is_address
from ..batch.worker import Output
from ..demo.weights import BUNDLED, PHOTO_STUDENT, STUDENT, name_of
from ..entry import one_line
from ..options import real, whole
from .job_table import faults, table

SUFFIX = ".render.sqlite"
OUT = "outputs/renders"
RETRIES, WORKER_CPUS = 2, 1.0
OF_RAY = ("workers", "worker_cpus", "worker_device")
OF_A_TABLE = (*OF_RAY, "ray", "retries", "state", "check")
OF_ONE = ("image", "tracks", "go_on", "save_stream", "replay", "frames")


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """The options of a table of renders."""
    parser.add_argument("manifest", type=Path, nargs="?", help="a .csv or .jsonl; a row is a video (docs/cluster.md)")
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="a manifest's rows over a Ray cluster: auto (the one of this machine), local (begun for this command), or "
        "the address of a head",
    )
    parser.add_argument("--workers", type=whole(1, 100_000), help="with --ray: at most so many; default: as find place")
    parser.add_argument(
        "--worker-cpus", type=real(0.1, 1024), help=f"with --ray: that a worker takes (default: {WORKER_CPUS:g})"
    )
    parser.add_argument(
        "--worker-device", choices=("cpu", "cuda"), help="with --ray; default: a GPU each, where the cluster has any"
    )
    parser.add_argument("--retries", type=whole(0, 1000), help=f"of a manifest's row that fails (default: {RETRIES})")
    parser.add_argument("--state", type=Path, help=f"what became of each row; default: the manifest's name + {SUFFIX}")
    parser.add_argument("--check", action="store_true", default=None, help="check a manifest's rows and render nothing")


def render_manifest(args: argparse.Namespace) -> int:
    """`motionstream render MANIFEST`. 0: every video is there; 1: some are not; 2: nothing was begun."""
    for name in OF_ONE:
        if getattr(args, name) is not None:
            option = "continue" if name == "go_on" else name.replace("_", "-")
            raise ValueError(f"--{option} cannot be given beside a manifest, whose rows say it")
    for name in OF_RAY:
        if args.ray is None and getattr(args, name) is not None:
            raise ValueError(f"--{name.replace('_', '-')} is for workers of a cluster; give --ray too")
    try:
        renders, choice = _planned(args)
    except ManifestError as error:
        return faults(error, "nothing was rendered")
    if args.check:
        print(f"{len(renders)} renders, no faults; nothing was rendered")
        return 0
    state = State(args.state or args.manifest.with_name(args.manifest.name + SUFFIX))
    try:
        state.begin([(each.job_id, each.digest) for each in renders], ())
        _run(renders, state, _pool(args, choice), 1 + (RETRIES if args.retries is None else args.retries))
        return table([state.of(each.job_id) for each in renders])
    finally:
        state.close()


def _planned(args: argparse.Namespace) -> tuple[list[Render], ModelChoice]:
    rows = read_manifest(args.manifest)
    with_image = any("image" in row.values for row in rows)
    model = args.model or (PHOTO_STUDENT if with_image else STUDENT)
    name = name_of(model)
    choice = ModelChoice(
        model=name if name in BUNDLED else str(model.absolute()),
        vae=None if args.vae is None else str(args.vae.absolute()),
        encoders=None if args.encoders is None else str(args.encoders.absolute()),
        role=args.role,
        device=str(args.device),
        memory_bytes=None if args.memory is None else int(args.memory * 2**30),
        frame_size=args.size,
        steps=args.steps,
        weights=None if args.weights is None else (args.weights[0], args.weights[1]),
    )
    defaults = {"prompt": args.prompt, "negative": args.negative, "seed": args.seed}
    defaults |= {"units": args.units, "order": args.order}
    return plan(rows, args.manifest.absolute().parent, defaults, choice), choice


def _pool(args: argparse.Namespace, choice: ModelChoice) -> Pool:
    folder = OUT if args.out is None else args.out
    place = folder if is_address(folder) else str(Path(folder).absolute())
    output = Output(place, args.overwrite, args.content_credentials)
    if args.ray is None:
        return InProcess(choice, output)
    return RayPool(
        choice,
        output,
        args.ray,
        args.worker_device,
        WORKER_CPUS if args.worker_cpus is None else args.worker_cpus,
        args.workers,
        say=lambda text: tqdm.write(one_line(text), file=sys.stderr),
    )


def _run(renders: Sequence[Render], state: State, pool: Pool, attempts: int) -> None:
    ended = {each.job_id for each in renders if state.of(each.job_id).state == DONE}
    with tqdm(total=len(renders), initial=len(ended), unit="video", file=sys.stderr) as bar:

        def record(of: Record) -> None:
            if of.state in (DONE, FAILED):
                ended.add(of.job_id)
            bar.n = len(ended)
            bar.refresh()
            if of.error:
                bar.write(f"{of.job_id}: attempt {of.attempts}, {of.state}: {one_line(of.error)}", file=sys.stderr)

        run(list(renders), state, pool, attempts, record)
