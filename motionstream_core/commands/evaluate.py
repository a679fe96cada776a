"""`motionstream evaluate`: a model judged on a folder of clips."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..demo.weights import STUDENT, name_of
from ..entry import Command
from ..evaluation.clips.cases import Protocol
from ..evaluation.clips.counterfactuals import COUNTERFACTUALS
from ..evaluation.clips.datasets import find_footage
from ..evaluation.clips.judge import ClipJudge
from ..evaluation.clips.page import write_page
from ..evaluation.clips.runs import ClipRuns, Plan
from ..evaluation.clips.table import paper_rows, text_table, total_rows, write_csv
from ..evaluation.perceptual import Lpips, load_lpips
from ..options import frames, part, size, whole
from ..streaming.stream import StreamSettings
from ..tracks.extract.cotracker import CoTracker3
from ..tracks.extract.tracker import OpenCvTracker, Tracker
from .model import add_model, model_of, teacher_settings

MAX_GRID = 300


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
    parser.add_argument(
        "--lpips", default="auto", help="auto: where its weights are found; off; or VGG-16's safetensors"
    )
    parser.add_argument("--out", type=Path, default=Path("outputs/evaluate"), help="folder; run again to resume")
    add_model(parser)


def evaluate(args: argparse.Namespace) -> None:
    """`motionstream evaluate`."""
    footage = find_footage(args.dataset, args.split)[: args.clips]
    renderer = model_of(args)
    spec = renderer.loaded.spec
    protocol = Protocol(
        frame_size=args.size or spec.frame_size,
        max_frames=args.frames,
        fps=None if args.every_frame else spec.fps,
        grid=args.grid,
        spread=args.spread,
    )
    lpips, notes = _lpips(args.lpips, renderer.device)
    judge = ClipJudge(_tracker(args, renderer.device), lpips, args.compare_at)
    plan = Plan(
        protocol,
        _variants(args.variants),
        args.prompt,
        args.negative,
        StreamSettings(seed=args.seed),
        teacher_settings(args),
        model=" ".join(map(_stamp, (args.model or STUDENT, args.vae, args.encoders))),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    runs = ClipRuns(renderer, footage, plan, judge, args.out, lambda line: print(line, flush=True))
    results = runs.run(args.part)
    if args.part != (0, 1):
        print(f"{len(results)} clips; the same command without --part makes the table")
        return
    width = protocol.frame_size[1]
    about = {
        "model": f"{args.model or name_of(STUDENT)} ({spec.role})",
        "dataset": f"{args.dataset}, {len(footage)} clips",
        "frames": f"{width}x{protocol.frame_size[0]} px, at most {protocol.max_frames}, "
        + ("every frame" if protocol.fps is None else f"{protocol.fps:g} a second"),
        "tracks": f"grid of {protocol.grid} x {protocol.grid}, followed by {judge.tracker.name}",
        "seed": str(args.seed),
        "computed on": torch.cuda.get_device_name(renderer.device) if renderer.device.type == "cuda" else "CPU",
    }
    write_csv(args.out / "clips.csv", results, width)
    write_page(args.out / "report.html", results, about, width, notes)
    for note in notes:
        print(note)
    print(text_table([*total_rows(results, width), *paper_rows(results)]))
    print(f"report  {args.out / 'report.html'}\nfigures {args.out / 'clips.csv'}")


def _stamp(path: Path | None) -> str:
    """What changes when a file, or any file of a folder, is written anew."""
    if path is None:
        return ""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return f"{path.resolve()} {max((each.stat().st_mtime_ns for each in files), default=0)}"


def _tracker(args: argparse.Namespace, device: torch.device) -> Tracker:
    if args.tracks == "opencv":
        return OpenCvTracker()
    if args.cotracker is None:
        raise ValueError("--tracks cotracker needs --cotracker FILE, the checkpoint scaled_offline.pth")
    return CoTracker3.load(args.cotracker, device)


def _lpips(asked: str, device: torch.device) -> tuple[Lpips | None, list[str]]:
    """The network, or none with a line that says why."""
    if asked == "off":
        return None, ["LPIPS was left out."]
    try:
        return load_lpips(None if asked == "auto" else asked).to(device), []
    except FileNotFoundError as error:
        if asked != "auto":
            raise
        return None, [f"LPIPS was left out: {error}"]


def _variants(text: str) -> tuple[str, ...]:
    if text in ("all", "none"):
        return COUNTERFACTUALS if text == "all" else ()
    chosen = tuple(text.split(","))
    if unknown := [each for each in chosen if each not in COUNTERFACTUALS]:
        raise ValueError(f"--variants: {unknown[0]!r} is unknown; known are {', '.join(COUNTERFACTUALS)}")
    return chosen


COMMAND = Command("A model judged on a folder of clips.", add_options, evaluate)
