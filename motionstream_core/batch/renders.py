"""A manifest's rows as renders: what each is made of, known before the first one begins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checkpoints import ModelSpec
from ..options import MAX_FRAMES, MAX_SEED
from ..streaming.render.job import unfit_inputs
from ..tracks import ORDERS, UNITS
from .manifest import ManifestError, Row
from .model_choice import ModelChoice
from .storage import is_address, stamp

COLUMNS = ("image", "tracks", "prompt", "negative", "seed", "length", "units", "order")


@dataclass(frozen=True)
class Render:
    """One video. image, tracks: paths or addresses. digest: changes with all that the video is made of."""

    job_id: str
    prompt: str
    negative: str
    image: str | None
    tracks: str | None
    num_frames: int | None
    seed: int
    units: str
    order: str
    digest: str


def plan(
    rows: Sequence[Row],
    folder: Path,
    defaults: Mapping[str, Any],
    choice: ModelChoice,
    wrong: Sequence[str] = (),
    spec: ModelSpec | None = None,
) -> list[Render]:
    """A render for every row; files of this machine are looked for, their content is read when their turn comes.

    folder: of the manifest, from which paths are seen. defaults: of columns that a row leaves out. wrong: with
    other rows. spec: of the model, where it is known, for what it does not make. Raises ManifestError with every fault,
    each with its row.
    """
    faults = list(wrong)
    stamps: dict[str, str] = {}
    made = choice.made_of
    renders = []
    for row in rows:
        own = len(faults)
        faults += [
            f"row {row.number}: column {each!r} is not known; there are job_id, {', '.join(COLUMNS)}"
            for each in row.values
            if each not in COLUMNS
        ]
        values = {**defaults, **row.values}
        found: dict[str, Any] = {}
        for column in COLUMNS:
            try:
                found[column] = _value(column, values.get(column), folder, stamps)
            except (ValueError, OSError) as error:
                faults.append(f"row {row.number} ({row.job_id}), {column}: {error}")
        if spec is not None:
            faults += [f"row {row.number} ({row.job_id}), {column}: {fault}" for column, fault in _unfit(spec, found)]
        if len(faults) == own:
            files = {place: stamps[place] for name in ("image", "tracks") if (place := found[name]) is not None}
            digest = hashlib.sha256(json.dumps([found, files, made], sort_keys=True).encode()).hexdigest()
            num_frames = found.pop("length")
            renders.append(Render(job_id=row.job_id, num_frames=num_frames, digest=digest, **found))
    if faults:
        raise ManifestError(faults)
    return renders


def _unfit(spec: ModelSpec, found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Which of the columns that could be read a model of `spec` makes no video of, and why."""
    faults = unfit_inputs(spec, found.get("image") is not None, found.get("tracks") is not None)
    yield from (each for each in faults if each[0] in found)
    if (length := found.get("length")) is not None:
        try:
            spec.lengths.moving.check(length)
        except ValueError as error:
            yield "length", str(error)


def _value(column: str, value: Any, folder: Path, stamps: dict[str, str]) -> Any:
    if column in ("image", "tracks"):
        return None if value is None else _place(value, folder, stamps)
    if column in ("seed", "length"):
        low, high = (0, MAX_SEED) if column == "seed" else (1, MAX_FRAMES)
        return None if value is None else _whole(value, low, high)
    if column in ("units", "order"):
        options = UNITS if column == "units" else ORDERS
        if value not in options:
            raise ValueError(f"{value!r} is none of {', '.join(options)}")
        return value
    if not isinstance(value, str):
        raise ValueError(f"it takes text, not {value!r}")
    return value


def _place(value: Any, folder: Path, stamps: dict[str, str]) -> str:
    if not isinstance(value, str) or any(ord(each) < 32 for each in value):
        raise ValueError(f"it names a file, not {value!r}")
    place = value if is_address(value) else str((folder / value).absolute())
    if place not in stamps:
        stamps[place] = stamp(place)
    return place


def _whole(value: Any, low: int, high: int) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 20 or not low <= int(text) <= high:
        raise ValueError(f"{value!r} is no whole number from {low} to {high}")
    return int(text)
