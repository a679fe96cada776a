"""`python -m motionstream_core.training STAGE`: train the bundled model, one stage or all of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from .log import Log
from .presets import PRESETS
from .stages import STAGES, Run, bundle


def main() -> int:
    parser = argparse.ArgumentParser(prog="motionstream_core.training", description=__doc__)
    parser.add_argument("stage", choices=[*STAGES, "bundle", "all"], help="'all' runs every stage, then 'bundle'")
    parser.add_argument("--preset", choices=list(PRESETS), default="bundled")
    parser.add_argument("--out", type=Path, default=Path("outputs/training"), help="the run's folder; resumes from it")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bundle", type=Path, help="where 'bundle' writes (default: OUT/bundle)")
    given = parser.parse_args()
    log = Log(given.out / "log.csv", lambda line: print(line, flush=True))
    run = Run(PRESETS[given.preset], given.out, torch.device(given.device), log)
    target = given.bundle or given.out / "bundle"
    try:
        for name in STAGES if given.stage == "all" else [given.stage]:
            if name != "bundle":
                STAGES[name](run)
        if given.stage in ("all", "bundle"):
            bundle(run, target)
    except FileNotFoundError as error:
        print(f"training: {error}; run the stages in order: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
