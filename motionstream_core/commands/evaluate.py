"""`motionstream evaluate`: a model judged on a folder of clips."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..batch.judging import AUTO, OFF, Asked, Judged, judged
from ..demo.weights import STUDENT, name_of
from ..entry import Command, one_line
from ..evaluation.clips.counterfactuals import COUNTERFACTUALS
from ..evaluation.clips.datasets import find_footage
from ..evaluation.clips.memories import MemoryGrid
from ..evaluation.clips.memory_plot import plot_memories
from ..evaluation.clips.page import write_page
from ..evaluation.clips.runs import ClipResult
from ..evaluation.clips.sets import fvd, vbench
from ..evaluation.clips.table import paper_rows, text_table, total_rows, write_csv
from ..evaluation.frechet import load_features
from ..evaluation.vbench import DIMENSIONS, FETCHES, require_vbench
from ..options import frames, part, size, whole, wholes
from ..pool.options import add_pool, attempts_of, pool_of
from .job_table import say
from .model import add_model, choice_of

MAX_GRID = 300
MAX_CHUNKS = 100


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `evaluate` reads."""
    parser.add_argument(
        "dataset", type=Path, help="DAVIS, videos, or scenes with COLMAP's cameras (docs/evaluation.md)"
    )
    parser.add_argument("--tracks", choices=("opencv", "cotracker"), default="opencv", help="what follows the points")
    parser.add_argument("--cotracker", type=Path, metavar="FILE", help="CoTracker3's scaled_offline.pth")
    parser.add_argument("--split", help="of DAVIS: the clips that ImageSets/*/SPLIT.txt names")
    parser.add_argument("--clips", type=whole(1, 10**9), help="only the first so many")
    parser.add_argument("--frames", type=frames, default=81, help="of a clip at most (default: 81)")
    parser.add_argument(
        "--spread",
        action="store_true",
        help="frames evenly over the whole clip, first and last kept (the paper's DAVIS)",
    )
    parser.add_argument(
        "--compare-at", type=size, metavar="WIDTHxHEIGHT", help="size of PSNR, SSIM and LPIPS (the paper's: 832x480)"
    )
    parser.add_argument(
        "--part", type=part, default=(0, 1), metavar="I/N", help="clips of this process; the table comes without it"
    )
    parser.add_argument("--every-frame", action="store_true", help="do not sub-sample to the model's frames a second")
    parser.add_argument(
        "--grid", type=whole(1, MAX_GRID), default=50, help="rows and columns of followed points (default: 50)"
    )
    parser.add_argument("--variants", default="all", help=f"all, none, or some of {','.join(COUNTERFACTUALS)}")
    for name, what in (
        ("chunks", "latent frames of a chunk"),
        ("sinks", "chunks in the sink"),
        ("windows", "chunks in the window"),
    ):
        parser.add_argument(
            f"--{name}",
            type=wholes(0 if name != "chunks" else 1, MAX_CHUNKS),
            metavar="N,N,...",
            help=f"a student is also tried with so many {what} (figure 6a; those not named: one chunk, as trained)",
        )
    parser.add_argument(
        "--lpips", default="auto", help="auto: where its weights are found; off; or VGG-16's safetensors"
    )
    parser.add_argument("--fvd", type=Path, metavar="FILE", help="also FVD, by this TorchScript network (I3D)")
    parser.add_argument(
        "--vbench", metavar="DIMENSIONS", help=f"also VBench-I2V: all, or some of {','.join(DIMENSIONS)}. {FETCHES}"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder; run again to resume")
    add_pool(parser, "clips", "--workers")
    add_model(parser)


def evaluate(args: argparse.Namespace) -> None:
    """`motionstream evaluate`."""
    dimensions = _dimensions(args.vbench)
    network = None if args.fvd is None else load_features(args.fvd)
    pool = pool_of(args, say)
    footage = find_footage(args.dataset.absolute(), args.split)[: args.clips]
    if network is not None and len(footage) < 2:
        raise ValueError(f"--fvd compares sets of videos: it needs two clips at least, and here is {len(footage)}")
    asked = Asked(
        choice_of(args),
        footage,
        args.out.absolute(),
        stamp=" ".join(map(_stamp, (args.model or STUDENT, args.vae, args.encoders))),
        max_frames=args.frames,
        every_frame=args.every_frame,
        spread=args.spread,
        grid=args.grid,
        variants=_variants(args.variants),
        memories=_memories(args),
        keep=network is not None or bool(dimensions),
        prompt=args.prompt,
        negative=args.negative,
        seed=args.seed,
        cotracker=_cotracker(args),
        lpips=args.lpips if args.lpips in (AUTO, OFF) else str(Path(args.lpips).absolute()),
        compare_at=args.compare_at,
        part=args.part,
    )
    if not asked.mine:
        print(f"no clip falls to this part: there are {len(footage)}")
        return
    done = judged(asked, pool, attempts_of(args), lambda line: print(one_line(line), flush=True))
    if args.part != (0, 1):
        print(f"{len(done.results)} clips; the same command without --part makes the table")
        return
    protocol, notes = done.conditions.protocol, [done.conditions.note] if done.conditions.note else []
    width = protocol.frame_size[1]
    about = {
        "model": f"{args.model or name_of(STUDENT)} ({done.conditions.role})",
        "dataset": f"{args.dataset}, {len(footage)} clips",
        "frames": f"{width}x{protocol.frame_size[0]} px, at most {protocol.max_frames}, "
        + ("every frame" if protocol.fps is None else f"{protocol.fps:g} a second"),
        "tracks": f"grid of {protocol.grid} x {protocol.grid}, followed by {done.conditions.tracker}",
        "seed": str(args.seed),
        "computed on": ", ".join(done.computed_on),
    }
    notes += _of_the_set(args, done.results, network, dimensions)
    args.out.mkdir(parents=True, exist_ok=True)
    write_csv(args.out / "clips.csv", done.results, width)
    plot = _plotted(args.out / "memories.png", done, width, notes) if done.conditions.memories else None
    write_page(args.out / "report.html", done.results, about, width, notes, plot)
    for note in notes:
        print(note)
    print(text_table([*total_rows(done.results, width), *paper_rows(done.results)]))
    print(f"report  {args.out / 'report.html'}\nfigures {args.out / 'clips.csv'}")


def _plotted(path: Path, done: Judged, width: int, notes: list[str]) -> Path | None:
    """The picture of the memories; None, and one more of `notes`, where there can be none."""
    if not any(memory.name in each.variants for memory in done.conditions.memories for each in done.results):
        notes.append("memories.png was left out: all --chunks are longer than the clips; give less, or more --frames.")
        return None
    try:
        plot_memories(path, done.results, done.conditions.memories, width)
    except ModuleNotFoundError as error:
        notes.append(f"memories.png was left out: {error.name} is not installed.")
        return None
    return path


def _stamp(path: Path | None) -> str:
    """What changes when a file, or any file of a folder, is written anew."""
    if path is None:
        return ""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return f"{path.resolve()} {max((each.stat().st_mtime_ns for each in files), default=0)}"


def _cotracker(args: argparse.Namespace) -> Path | None:
    """Its checkpoint, where it is what follows the points."""
    if args.tracks == "opencv":
        return None
    if args.cotracker is None:
        raise ValueError("--tracks cotracker needs --cotracker FILE, the checkpoint scaled_offline.pth")
    return args.cotracker.absolute()


def _memories(args: argparse.Namespace) -> MemoryGrid | None:
    """What was asked for of --chunks, --sinks and --windows."""
    asked = {name: value for name in ("chunks", "sinks", "windows") if (value := getattr(args, name)) is not None}
    return MemoryGrid(**asked) if asked else None


def _of_the_set(
    args: argparse.Namespace, results: Sequence[ClipResult], network: Any, dimensions: Sequence[str]
) -> list[str]:
    """What --fvd and --vbench say of all clips together, in lines."""
    lines = []
    if network is not None:
        lines.append(f"FVD {fvd(args.out, results, network, args.device):.2f} (by {args.fvd.name})")
    if dimensions:
        print(f"{FETCHES}.", flush=True)
        scores = vbench(args.out, results, dimensions, args.device)
        lines.append("VBench-I2V: " + ", ".join(f"{name} {value:.4f}" for name, value in scores.items()))
    return lines


def _dimensions(text: str | None) -> tuple[str, ...]:
    """What was asked of VBench; raises before anything is judged where it cannot be had."""
    if text is None:
        return ()
    chosen = DIMENSIONS if text == "all" else tuple(text.split(","))
    if unknown := [each for each in chosen if each not in DIMENSIONS]:
        raise ValueError(f"--vbench: {unknown[0]!r} is unknown; known are {', '.join(DIMENSIONS)}")
    require_vbench()
    return chosen


def _variants(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return COUNTERFACTUALS if text == "all" else ()
    chosen = tuple(text.split(","))
    if unknown := [each for each in chosen if each not in COUNTERFACTUALS]:
        raise ValueError(f"--variants: {unknown[0]!r} is unknown; known are {', '.join(COUNTERFACTUALS)}")
    return chosen


COMMAND = Command("A model judged on a folder of clips.", add_options, evaluate)
