"""`motionstream demo`: image and drawn trajectories in, streamed video out."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ..entry import Command
from ..files import require_new_file
from ..options import add_device, seed, whole
from .render_demo import FRAME_SIZE, Report, own_job, run_demo, users_job

MAX_FRAMES = 4801
"""Five minutes; all frames are held in memory, to be judged."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `demo` reads."""
    parser.add_argument("--image", type=Path, help="a photo; with --tracks")
    parser.add_argument("--tracks", type=Path, help="a trajectory file in pixels of the photo (JSON or npz)")
    parser.add_argument(
        "--prompt", default="", help="of snow, rain, fog, sunset, night falling and still, joined by commas or 'and'"
    )
    parser.add_argument(
        "--frames", type=whole(1, MAX_FRAMES), default=49, help="number of frames, 1 + 12 k (default: 49)"
    )
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--out", type=Path, default=Path("outputs/demo"), help="where to write, without suffix")
    parser.add_argument("--overwrite", action="store_true", help="replace the files where they are there already")
    add_device(parser)


def demo(args: argparse.Namespace) -> None:
    """`motionstream demo`."""
    if (args.image is None) != (args.tracks is None):
        raise ValueError("give both IMAGE and TRACKS, or neither")
    for suffix in (".mp4", ".png"):
        require_new_file(args.out.with_suffix(suffix), "--out", (args.image, args.tracks), args.overwrite)
    if args.image is None:
        job = own_job(args.frames)
    else:
        job = users_job(args.image, args.tracks, args.prompt, FRAME_SIZE, args.frames)
    device = str(args.device)
    print_report(run_demo(job, args.out, args.seed, device), device)


def print_report(report: Report, device: str) -> None:
    """The numbers, one a line."""
    print(f"video                {report.video}  ({report.num_frames} frames)")
    print(f"contact sheet        {report.sheet}")
    error = "unknown" if math.isnan(report.track_error_px) else f"{report.track_error_px:.1f} px"
    print(f"track error          {error}  ({report.judged_by})")
    print(f"time to first frame  {report.first_frame_s:.2f} s  (first generated chunk, decoded; model warm, {device})")
    print(f"frames per second    {report.frames_per_second:.1f}  ({report.seconds_per_chunk:.2f} s per chunk of 12)")
    print(f"peak memory          {report.peak_memory_mib:.0f} MiB")


COMMAND = Command("Image and drawn trajectories in, streamed video out.", add_options, demo)
