"""`python -m motionstream_core.training STAGE`: train the bundled model, one stage or all of them.

Several devices: `torchrun --nproc-per-node N -m motionstream_core.training STAGE --shard`. SIGTERM and Ctrl-C save and
end; the same command goes on.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import torch

from .distributed import joined
from .engine import Compute, TrainingDiverged
from .log import Log
from .loop import Stopped
from .presets import PRESETS
from .stages import STAGES, Run, bundle


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="motionstream_core.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=[*STAGES, "bundle", "all"], help="'all' runs every stage, then 'bundle'")
    parser.add_argument("--preset", choices=list(PRESETS), default="bundled")
    parser.add_argument("--out", type=Path, default=Path("outputs/training"), help="the run's folder; resumes from it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16", help="of matrix products")
    parser.add_argument("--shard", action="store_true", help="spread parameters over torchrun's ranks (FSDP2)")
    parser.add_argument(
        "--activation-checkpointing", action="store_true", help="less memory, a third more time: blocks run twice"
    )
    parser.add_argument("--tensorboard", action="store_true", help="TensorBoard files in OUT/log beside the CSV files")
    parser.add_argument("--bundle", type=Path, help="where 'bundle' writes (default: OUT/bundle)")
    given = parser.parse_args()
    try:
        with ExitStack() as stack:
            device = torch.device(given.device)
            if given.shard or int(os.environ.get("WORLD_SIZE", "1")) > 1:
                device = stack.enter_context(joined(device))
            _run(given, device)
    except Stopped as stopped:
        print(f"training: {stopped}", file=sys.stderr)
        return 128 + stopped.signal_number
    except FileNotFoundError as error:
        print(f"training: {error}; run the stages in order: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    except (TrainingDiverged, ValueError, ImportError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2
    return 0


def _run(given: argparse.Namespace, device: torch.device) -> None:
    compute = Compute(device, given.precision, given.shard, given.activation_checkpointing)
    is_main = int(os.environ.get("RANK", "0")) == 0
    log = Log(given.out / "log", lambda line: print(line, flush=True), given.tensorboard, is_main)
    run = Run(PRESETS[given.preset], given.out, compute, log)
    for name in STAGES if given.stage == "all" else [given.stage]:
        if name != "bundle":
            STAGES[name](run)
    if given.stage in ("all", "bundle"):
        bundle(run, given.bundle or given.out / "bundle")


if __name__ == "__main__":
    sys.exit(main())
