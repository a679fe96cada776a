"""Manifests: tables of jobs, one a row, as CSV with a line of names or as JSONL with an object a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import checked_name, require_regular
from ..tracks.text import text_in

SUFFIXES = (".csv", ".jsonl")
JOB_ID = "job_id"
MAX_BYTES = 64 * 2**20


class ManifestError(ValueError):
    """Everything that is wrong with a manifest, a line each; the first line says how many there are."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = list(dict.fromkeys(faults))
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True)
class Row:
    """number: 1 for the first job; a CSV's line of names is none. values: the other columns; empty cells are left out.

    A CSV's values are text; a JSONL's are what JSON says.
    """

    number: int
    job_id: str
    values: dict[str, Any]


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest. Raises ManifestError with every fault, and as `read_rows` does."""
    rows, faults = read_rows(path)
    if faults:
        raise ManifestError(faults)
    return rows


def read_rows(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a manifest that can be read, and what is wrong with the others.

    Raises FileNotFoundError where there is none, ValueError where it is no manifest.
    """
    require_regular(path, "manifest")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"manifest: {path.name} must end in {' or '.join(SUFFIXES)}, which says how it is read")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"manifest: {path.name} has over {MAX_BYTES // 2**20} MiB; give it in parts")
    text = text_in(path)
    faults: list[str] = []
    found = _csv_rows(text, faults) if path.suffix.lower() == ".csv" else _jsonl_rows(text, faults)
    rows = list(_checked(found, faults))
    if not rows and not faults:
        faults.append(f"manifest: {path.name} has no rows")
    return rows, faults


Found = Iterator[tuple[int, dict[str, Any]]]


def _csv_rows(text: str, faults: list[str]) -> Found:
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        names = [name.strip() for name in next(lines, [])]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles or "" in names:
            faults.append(f"first line: every column needs a name of its own; {doubles or 'one'} has not")
            return
        for number, cells in enumerate((each for each in lines if any(cell.strip() for cell in each)), 1):
            if len(cells) != len(names):
                faults.append(f"row {number}: {len(cells)} cells, but the first line names {len(names)} columns")
                continue
            yield number, {name: cell for name, cell in zip(names, cells, strict=True) if cell.strip()}
    except csv.Error as error:
        faults.append(f"line {lines.line_num}: no CSV ({error})")


def _jsonl_rows(text: str, faults: list[str]) -> Found:
    # not splitlines(): JSON text may hold other characters that it takes for the ends of lines
    for number, line in enumerate((each for each in text.split("\n") if each.strip()), 1):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            faults.append(f"row {number}: no JSON ({error})")
            continue
        if not isinstance(value, dict):
            faults.append(f"row {number}: it must be an object, like {{'job_id': 'a', 'seed': 1}}")
            continue
        yield number, {name: each for name, each in value.items() if each is not None and each != ""}


def _checked(found: Found, faults: list[str]) -> Iterator[Row]:
    first_of: dict[str, int] = {}
    for number, values in found:
        try:
            job_id = _job_id(values.pop(JOB_ID, None))
        except ValueError as error:
            faults.append(f"row {number}: {error}")
            continue
        # file systems that take A for a would let one job overwrite the other's video
        first = first_of.setdefault(job_id.casefold(), number)
        if first != number:
            faults.append(f"row {number}: {JOB_ID} {job_id!r} is that of row {first} too; every job needs its own")
            continue
        yield Row(number, job_id, values)


def _job_id(value: Any) -> str:
    if value is None:
        raise ValueError(f"{JOB_ID} is missing; it names the job and its video")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{JOB_ID} is {value!r}; give text or a whole number")
    return checked_name(str(value), JOB_ID)
