"""What became of a manifest's jobs, as `queue` and `render` print it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence

from tqdm import tqdm

from ..batch.manifest import ManifestError
from ..batch.state import DONE, Record
from ..entry import FAILED as FAULTY
from ..entry import one_line


def say(text: str) -> None:
    """A line beside the progress bar, where there is one."""
    tqdm.write(one_line(text), file=sys.stderr)


def faults(error: ManifestError, outcome: str) -> int:
    """Print every fault of a manifest and what came of it; the exit status."""
    for fault in error.faults:
        print(one_line(fault), file=sys.stderr)
    print(f"{len(error.faults)} {plural('fault', len(error.faults))}; {outcome}", file=sys.stderr)
    return FAULTY


def table(records: Sequence[Record]) -> int:
    """Print what became of each job; the exit status."""
    width = max(len("job_id"), *(len(record.job_id) for record in records))
    place = max(len("server"), *(len(record.server) for record in records))
    print(f"{'job_id':{width}}  {'state':7}  attempts  {'seconds':>8}  {'server':{place}}  file or error")
    for record in records:
        seconds = "" if record.seconds is None else f"{record.seconds:.1f}"
        what = record.error or ", ".join(record.files)
        row = f"{record.job_id:{width}}  {record.state:7}  {record.attempts:8}  {seconds:>8}  {record.server:{place}}"
        print(f"{row}  {one_line(what)}")
    counts = Counter(record.state for record in records)
    print(", ".join(f"{count} {state}" for state, count in sorted(counts.items())))
    return 0 if counts[DONE] == len(records) else 1


def plural(word: str, count: int) -> str:
    """`word` for so many."""
    return word if count == 1 else f"{word}s"
