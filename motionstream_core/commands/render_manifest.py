"""`motionstream render MANIFEST`: a table of renders, in this process or over a Ray cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from ..batch.manifest import ManifestError, read_rows
from ..batch.model_choice import ModelChoice
from ..batch.recorded import missing, run
from ..batch.renders import Render, plan
from ..batch.state import DONE, FAILED, Record, State
from ..batch.storage import is_address
from ..batch.worker import Output, RenderWorker
from ..checkpoints import ModelSpec
from ..demo.weights import PHOTO_STUDENT, STUDENT
from ..entry import one_line
from ..geometry import VideoShape
from ..pool.options import OPTIONS as POOL_OPTIONS
from ..pool.options import add_pool, attempts_of, pool_of
from ..pool.pool import Pool
from .job_table import faults, say, table
from .model import choice_of

SUFFIX = ".render.sqlite"
OUT = "outputs/renders"
OF_A_TABLE = (*POOL_OPTIONS, "state", "check")
OF_ONE = ("image", "tracks", "go_on", "save_stream", "replay", "frames")


def add_manifest(parser: argparse.ArgumentParser) -> None:
    """The options of a table of renders."""
    parser.add_argument("manifest", type=Path, nargs="?", help="a .csv or .jsonl; a row is a video (docs/cluster.md)")
    add_pool(parser, "a manifest's rows", "--workers")
    parser.add_argument("--state", type=Path, help=f"what became of each row; default: the manifest's name + {SUFFIX}")
    parser.add_argument("--check", action="store_true", default=None, help="check a manifest's rows and render nothing")


def render_manifest(args: argparse.Namespace) -> int:
    """`motionstream render MANIFEST`. 0: every video is there; 1: some are not; 2: nothing was begun."""
    for name in OF_ONE:
        if getattr(args, name) is not None:
            option = "continue" if name == "go_on" else name.replace("_", "-")
            raise ValueError(f"--{option} cannot be given beside a manifest, whose rows say it")
    pool = pool_of(args, say)
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
        output = _output(args)
        left = missing(renders, state, output)
        worker = RenderWorker(choice, output, left)
        _run(left, len(renders) - len(left), state, pool, worker, attempts_of(args))
        return table([state.of(each.job_id) for each in renders])
    finally:
        state.close()


def _planned(args: argparse.Namespace) -> tuple[list[Render], ModelChoice]:
    rows, wrong = read_rows(args.manifest)
    with_image = any("image" in row.values for row in rows)
    choice = choice_of(args, PHOTO_STUDENT if with_image else STUDENT)
    defaults = {"prompt": args.prompt, "negative": args.negative, "seed": args.seed}
    defaults |= {"units": args.units, "order": args.order}
    spec = _spec(choice, wrong)
    return plan(rows, args.manifest.absolute().parent, defaults, choice, wrong, spec), choice


def _spec(choice: ModelChoice, wrong: list[str]) -> ModelSpec | None:
    """What the model is, where its file is here; what is wrong with it, and with --size for it, goes to `wrong`."""
    try:
        spec = choice.spec_here()
    except (ValueError, OSError) as error:
        wrong.append(f"--model: {error}")
        return None
    if spec is not None and choice.frame_size is not None:
        try:
            spec.vae_stride.latent_shape(
                VideoShape(1, *choice.frame_size), spec.backbone.out_channels, spec.backbone.patch
            )
        except ValueError as error:
            wrong.append(f"--size: {error}")
    return spec


def _output(args: argparse.Namespace) -> Output:
    folder = OUT if args.out is None else args.out
    place = folder if is_address(folder) else str(Path(folder).absolute())
    return Output(place, args.overwrite, args.content_credentials)


def _run(left: list[Render], before: int, state: State, pool: Pool, worker: RenderWorker, attempts: int) -> None:
    """Make what is `left`; `before`: how many videos were there."""
    ended: set[str] = set()
    with tqdm(total=before + len(left), initial=before, unit="video", file=sys.stderr) as bar:

        def record(of: Record) -> None:
            if of.state in (DONE, FAILED):
                ended.add(of.job_id)
            bar.n = before + len(ended)
            bar.refresh()
            if of.error:
                bar.write(f"{of.job_id}: attempt {of.attempts}, {of.state}: {one_line(of.error)}", file=sys.stderr)

        run(left, state, pool, worker, attempts, record)
