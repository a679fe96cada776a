"""One command for a GPU that is there for ten minutes: python -m benchmarks.gpu_check [--out FOLDER] [--tiny]

Part by part, the most telling first; every fact is on disk as soon as it is known. What was done is not done again: the
same command goes on where it was cut off. A part runs in a process of its own, so that one that fails, hangs or breaks
the device's state leaves the others as they are.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import time
from pathlib import Path

import torch

from .record import Record, told

# Each part and the seconds that it may take; less than ten minutes together.
PARTS = {"environment": 45, "correctness": 120, "stream": 130, "options": 90, "trace": 50, "training": 125}
REHEARSAL = 6  # times these, on whatever machine it is


def main() -> int:
    """0 where every part is done and nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("outputs/gpu_check"), help="folder of the results")
    parser.add_argument("--tiny", action="store_true", help="rehearse in tiny sizes, on a CPU too")
    parser.add_argument("--part", choices=PARTS, help="this part alone, in this process")
    args = parser.parse_args()
    if not args.tiny and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; --tiny rehearses on the CPU")
    try:
        record = Record(args.out, args.tiny)
    except ValueError as error:
        parser.error(str(error))
    if args.part:
        return _alone(record, args.part, args.tiny)
    for name, limit in PARTS.items():
        if record.part(name).get("state") != "done":
            _apart(args.out, args.tiny, name, limit * REHEARSAL if args.tiny else limit)
        record = Record(args.out, args.tiny)
        part = record.part(name)
        print(f"{name}: {part['state']}, {part.get('seconds')} s, {len(part['faults'])} faults", flush=True)
    print(f"results: {args.out / 'gpu_check.md'}")
    return 0 if record.is_right else 1


def _alone(record: Record, name: str, tiny: bool) -> int:
    """One part, in this process."""
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    record.begin(name)
    start = time.perf_counter()
    try:
        importlib.import_module(f".{name}", __package__).run(record, device, tiny)
    except Exception as error:
        record.end(name, "failed", time.perf_counter() - start, told(error))
        return 1
    record.end(name, "done", time.perf_counter() - start)
    return 0


def _apart(folder: Path, tiny: bool, name: str, limit: float) -> None:
    """One part in a process of its own; what becomes of it is in the record, even where it is killed."""
    command = [sys.executable, "-m", __package__ or "", "--part", name, "--out", str(folder)]
    start = time.perf_counter()
    try:
        code = subprocess.run(command + ["--tiny"] * tiny, timeout=limit).returncode
        ended = f"the process ended with code {code}"
    except subprocess.TimeoutExpired:
        ended = f"stopped after {limit} s, which is all that it may take"
    record = Record(folder, tiny)
    if not record.part(name):
        record.begin(name)
    if record.part(name)["state"] == "running":
        record.end(name, "failed", time.perf_counter() - start, ended)


if __name__ == "__main__":
    raise SystemExit(main())
