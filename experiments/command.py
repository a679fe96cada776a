"""`python -m experiments EXPERIMENT...`: run experiments of the study and store what they found.

`train [RUN...]` does all trainings (hours on one core) or the named ones; `report` renders docs/results.md from the
stored results.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

from motionstream_core.entry import Command
from motionstream_core.options import whole

from .bounds import bounds
from .chunk_size import chunk_size
from .coordinates import coordinates
from .distillation import distillation
from .guidance_grid import guidance_grid
from .plots import draw_plots
from .record import made_with, store
from .release import release
from .report import render
from .runs import Study
from .sink_window import sink_window
from .track_slot import track_slot
from .trainings import SEEDS, run_names, train

EXPERIMENTS: dict[str, Callable] = {
    "bounds": bounds,
    "track_slot": track_slot,
    "coordinates": coordinates,
    "guidance_grid": guidance_grid,
    "sink_window": sink_window,
    "chunk_size": chunk_size,
    "release": release,
    "distillation": distillation,
}
ROOT = Path(__file__).parents[1]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What it reads."""
    parser.add_argument("what", nargs="+", help=f"train [RUN...], report, all, or: {', '.join(EXPERIMENTS)}")
    parser.add_argument("--runs", type=Path, default=Path("outputs/study"), help="folder of the trainings")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "experiments" / "results", help="folder of the stored results"
    )
    parser.add_argument("--weights", type=Path, default=ROOT / "motionstream_core" / "demo" / "weights")
    parser.add_argument("--seeds", type=whole(0, 1_000_000), nargs="+", default=list(SEEDS), help="training seeds")


def study(args: argparse.Namespace) -> None:
    """`python -m experiments`."""
    torch.set_num_threads(1)
    if args.what == ["report"]:
        _report(args.out)
        return
    runs = Study(args.runs, args.weights, lambda line: print(line, flush=True))
    if args.what[0] == "train":
        for name in args.what[1:] or run_names():
            train(runs, name)
        return
    names = list(EXPERIMENTS) if args.what == ["all"] else args.what
    if unknown := [name for name in names if name not in EXPERIMENTS]:
        raise ValueError(f"{unknown[0]!r} is unknown; known are train, report, all, {', '.join(EXPERIMENTS)}")
    for name in names:
        start = time.monotonic()
        rows, settings = EXPERIMENTS[name](runs, args.seeds)
        path = store(args.out, name, rows, settings, made_with(args.weights))
        print(f"{path}: {len(rows)} rows in {time.monotonic() - start:.0f} s", flush=True)


def _report(results: Path) -> None:
    document = ROOT / "docs" / "results.md"
    pictures = draw_plots(results, ROOT / "docs" / "images" / "results")
    document.write_text(render(results), encoding="utf-8")
    print(f"{document} and {len(pictures)} plots")


COMMAND = Command(__doc__ or "", add_options, study)
