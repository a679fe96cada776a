"""Which videos are to be prepared, and their captions: a folder, or a list in a CSV or JSONL file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...media.video import VIDEO_SUFFIXES, videos_below
from ...tracks.text import text_in

COLUMNS = ("video", "caption")


@dataclass(frozen=True)
class Source:
    """A video file and what it shows; no caption where none was found."""

    video: Path
    caption: str | None


def read_sources(path: str | Path) -> list[Source]:
    """The videos below a folder, each with the .txt of the same name beside it, in the order of their names; or those
    of a .csv or .jsonl list with the columns video (relative to the list) and caption, in the list's order.

    A missing file or caption is no error here: it is dropped and reported when its turn comes. Raises
    FileNotFoundError where `path` does not exist, ValueError for an empty folder or list, an unknown kind of list, a
    missing column (naming it and the line), a line that is no JSON object, or a file that is neither UTF-8 nor, with
    its mark, UTF-16 or UTF-32.
    """
    path = Path(path)
    if path.is_dir():
        sources = [Source(video, _beside(video)) for video in videos_below(path)]
        if not sources:
            raise ValueError(f"the folder {path} holds no videos; known are {', '.join(VIDEO_SUFFIXES)}")
        return sources
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or list {path}")
    readers = {".csv": _csv_rows, ".jsonl": _jsonl_rows}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path.name} is neither a folder of videos nor a list in .csv or .jsonl")
    sources = []
    for line, row in readers[path.suffix.lower()](path):
        for column in COLUMNS:
            if row.get(column) is None:
                raise ValueError(f"{path.name}, line {line}: the column {column!r} is missing; a list has {COLUMNS}")
        sources.append(Source(path.parent / str(row["video"]), str(row["caption"]).strip() or None))
    if not sources:
        raise ValueError(f"the list {path} names no videos")
    return sources


def _beside(video: Path) -> str | None:
    text = video.with_suffix(".txt")
    return (text_in(text).strip() or None) if text.is_file() else None


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text_in(path), newline=""))
    if missing := [column for column in COLUMNS if column not in (reader.fieldnames or ())]:
        raise ValueError(f"{path.name}: the column {missing[0]!r} is missing; its first line must name {COLUMNS}")
    for row in reader:
        yield reader.line_num, row


def _jsonl_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(text_in(path).split("\n"), start=1):  # a caption may hold other ends of lines
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name}, line {line} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"{path.name}, line {line} is {text[:60]!r}; it must be an object with {COLUMNS}")
        yield line, row
