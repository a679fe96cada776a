"""`motionstream train STAGE`: train the bundled model or Wan, one stage or all of them.

Several devices: `torchrun --nproc-per-node N -m motionstream_core.training STAGE --shard`. SIGTERM and Ctrl-C save and
end; the same command goes on. `estimate` counts what a Wan preset will cost.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from ..entry import Command, one_line
from ..options import add_device, part, real, whole
from ..pool.options import add_pool, attempts_of, pool_of
from ..pool.pool import Pool
from .engine.engine import Compute
from .engine.log import Log
from .engine.loop import Stopped
from .engine.meter import PEAK_TFLOPS
from .engine.ranks import joined
from .recipes.bundled import PRESETS
from .recipes.bundled_stages import STAGES, WorldRun, bundle
from .recipes.estimate import preset_estimate
from .recipes.wan import WAN_PRESETS
from .recipes.wan_stages import CLIP_FOLDERS, WAN_STAGES, Material, WanRun


def train(args: argparse.Namespace) -> int:
    """`motionstream train`."""
    try:
        with ExitStack() as stack:
            device = args.device
            if args.stage == "estimate":
                return _estimate(args)
            if args.shard or int(os.environ.get("WORLD_SIZE", "1")) > 1:
                device = stack.enter_context(joined(device))
            (_run_wan if args.preset in WAN_PRESETS else _run_world)(args, device)
    except Stopped as stopped:
        if int(os.environ.get("RANK", "0")) == 0:  # all ranks stop together
            print(f"motionstream train: {stopped}", file=sys.stderr)
        return 128 + stopped.signal_number
    except FileNotFoundError as error:
        raise ValueError(f"{error}; run the stages in order: {', '.join(STAGES)}") from error
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `train` reads."""
    add = parser.add_argument
    stages = [*dict.fromkeys([*STAGES, *WAN_STAGES]), "bundle", "all", "estimate"]
    add("stage", choices=stages, help="'all' runs every stage of a bundled preset, then 'bundle'")
    add("--preset", choices=[*PRESETS, *WAN_PRESETS], default="bundled")
    add("--out", type=Path, default=Path("outputs/training"), help="the run's folder; resumes from it")
    add_device(parser)
    add("--precision", choices=["bf16", "fp32"], default="bf16", help="of matrix products")
    add("--shard", action="store_true", help="spread parameters over torchrun's ranks (FSDP2)")
    add("--activation-checkpointing", action="store_true", help="less memory, a third more time: blocks run twice")
    add("--tensorboard", action="store_true", help="TensorBoard files in OUT/log beside the CSV files")
    add("--wandb", metavar="PROJECT", help="rows and contact sheets to this project of Weights & Biases")
    add(
        "--keep-exports", type=whole(1, 10_000), default=3, help="averaged models that stay of a stage, beside the best"
    )
    add("--bundle", type=Path, help="where 'bundle' writes (default: OUT/bundle)")
    wan = parser.add_argument_group("Wan presets")
    add = wan.add_argument
    add("--videos", type=Path, help="prepare, tiny-vae: folder of videos, or a CSV or JSONL list with captions")
    add("--clips", choices=CLIP_FOLDERS, default=CLIP_FOLDERS[0], help="prepare: which clips these videos become")
    add(
        "--model",
        type=Path,
        help="a Wan model in diffusers' layout: image-to-video for prepare and tiny-vae, text-to-video for synthesise",
    )
    add("--cotracker", type=Path, help="prepare: CoTracker3's checkpoint (default: track with OpenCV)")
    add("--part", type=part, default=(0, 1), metavar="I/N", help="prepare: this machine's share of the videos")
    add(
        "--aspect",
        type=real(0.1, 10),
        nargs=2,
        metavar=("LEAST", "MOST"),
        help="prepare: width / height of videos taken",
    )
    add("--workers", type=whole(0, 1024), default=0, help="prepare: processes that decode and track")
    add_pool(parser, "prepare: shards of clips")
    add("--replicas", type=whole(1, 100_000), default=1, help="groups of ranks that hold the model each (HSDP)")
    add("--base", type=Path, help="teacher: weights to start from (Wan 2.1: Fun-InP)")
    add("--control", type=Path, help="teacher: Fun-Control's weights, for the track slot")
    add("--prompts", type=Path, help="synthesise: a text file, one prompt a line")
    add("--vgg", type=Path, help="tiny-vae: LPIPS's weights")
    add("--gpus", type=whole(1, 100_000), default=8, help="estimate: how many")
    add("--gpu", choices=list(PEAK_TFLOPS), default="h100", help="estimate: of which kind")


def _log(args: argparse.Namespace) -> Log:
    is_main = int(os.environ.get("RANK", "0")) == 0
    return Log(args.out / "log", lambda line: print(line, flush=True), args.tensorboard, is_main, args.wandb)


def _run_world(args: argparse.Namespace, device: torch.device) -> None:
    if args.stage not in (*STAGES, "all", "bundle"):
        raise ValueError(f"preset {args.preset!r} has the stages {', '.join(STAGES)}, and no {args.stage!r}")
    if args.ray is not None:
        raise ValueError("--ray is for the stage prepare of a Wan preset")
    compute = Compute(device, args.precision, args.shard, args.activation_checkpointing)
    run = WorldRun(args.out, compute, _log(args), PRESETS[args.preset], keep_exports=args.keep_exports)
    for name in STAGES if args.stage == "all" else [args.stage]:
        if name != "bundle":
            STAGES[name](run)
    if args.stage in ("all", "bundle"):
        bundle(run, args.bundle or args.out / "bundle")


def _run_wan(args: argparse.Namespace, device: torch.device) -> None:
    if args.stage not in WAN_STAGES:
        raise ValueError(f"Wan presets have the stages {', '.join(WAN_STAGES)}, one command each, not {args.stage!r}")
    material = Material(
        videos=args.videos,
        clips=args.clips,
        model=args.model,
        cotracker=args.cotracker,
        base=args.base,
        control=args.control,
        vgg=args.vgg,
        prompts=args.prompts,
        num_workers=args.workers,
        part=args.part,
        aspects=None if args.aspect is None else (args.aspect[0], args.aspect[1]),
    )
    preset = WAN_PRESETS[args.preset]
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    run = WanRun(
        args.out,
        preset.compute(device, ranks, args.replicas),
        _log(args),
        preset,
        material,
        _pool(args, ranks),
        attempts_of(args),
        keep_exports=args.keep_exports,
    )
    WAN_STAGES[args.stage](run)


def _pool(args: argparse.Namespace, ranks: int) -> Pool | None:
    """Where `prepare` works; None: here. Raises ValueError for options that do not go together."""
    pool = pool_of(args, lambda text: print(one_line(text), file=sys.stderr, flush=True))
    if args.ray is None:
        return None
    if args.stage != "prepare":
        raise ValueError(f"--ray is for the stage prepare; the stage {args.stage} takes several devices by torchrun")
    if args.shard or ranks > 1:
        raise ValueError("--ray and torchrun both share the shards out; take one of them")
    return pool


def _estimate(args: argparse.Namespace) -> int:
    if args.preset not in WAN_PRESETS:
        raise ValueError(f"estimates are for Wan presets ({', '.join(WAN_PRESETS)}), not for {args.preset!r}")
    for line in preset_estimate(WAN_PRESETS[args.preset], args.gpus, args.gpu):
        print(line)
    return 0


COMMAND = Command(__doc__ or "", add_options, train)
