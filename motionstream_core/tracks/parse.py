"""Tracks from outside, strictly: coordinate JSON in every spelling seen in the wild, ATI, TRACKS and npz.

A malformed entry is an error that names its place, never an empty or a repaired list.
"""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, NoReturn

import numpy as np
import torch

from .conventions import Sample, by_point, in_px, require_inside
from .npz import load_npz
from .strict_json import given_twice, require_short, show
from .text import without_mark
from .tracks import TrackFormatError, Tracks, assign_ids, require_budget

MAX_COORDINATE_PX = 1e6
MAX_LITERAL_CHARS = 2**18
"""Of a text that is no JSON: Python's own reader takes some 500 bytes for each."""

ONE_FRAME = "give the points of one frame alone: [{'x': 1, 'y': 2}, ...]"

_FIELDS = ("x", "y", "v")
_SAMPLE_FORMS = "{'x': px, 'y': px, 'v': 0 or 1} or [x, y] or [x, y, v], where v may be left out"


@dataclass(frozen=True)
class Reading:
    """Tracks that were read from outside, and what they are, in words: how many, and what was taken for granted."""

    tracks: Tracks
    told: str


def parse_tracks(source: object, *, height: int, width: int, seed: int = 0) -> Tracks:
    """Tracks, at their own number of samples, of anything that carries trajectories between nodes.

    source: one of
        text, JSON or a Python literal (single quotes), never evaluated: [[sample, ...], ...] or one flat track
            [sample, ...], a sample being {"x", "y"}, {"x", "y", "v"}, [x, y] or [x, y, v]
        a list of such texts, or such lists themselves
        ComfyUI's TRACKS dict (see Tracks.from_payload)
        bytes or a path of an npz file of save_npz
    height, width: px of the frame that the coordinates refer to; an npz and a TRACKS dict that name a size keep it.
    seed: draws the ids; an npz keeps its own.

    x, y: px, finite, at most 1e6 in size; v: 0 or 1 (or a bool), 1 if left out. Tracks may differ in length: the
    shorter ones are padded with their last point, *invisible* there. (To hold it visibly would invent a point at
    rest.) Raises TrackFormatError, naming track, sample and field, for everything else. Source: the formats of
    ComfyUI's WanTrackToVideo and WanMove nodes and KJNodes' SplineEditor.
    """
    if isinstance(source, bytes | os.PathLike):
        return load_npz(source)
    if isinstance(source, Mapping) and "track_path" in source:
        return Tracks.from_payload(source, height, width)
    return _padded(_sample_lists(source), height, width, seed)


def counted(tracks: Tracks) -> str:
    """How many points and samples there are."""
    numbers = (tracks.num_tracks, "point"), (tracks.num_frames, "sample")
    return " of ".join(f"{number} {word}{'' if number == 1 else 's'}" for number, word in numbers)


def read_coordinates(
    text: str, *, height: int, width: int, units: str = "auto", order: str = "auto", remedy: str
) -> Reading:
    """Tracks of a person's text: `parse_tracks`, with px or shares of the frame, one list per point or per frame.

    units, order: see `conventions`. remedy: what to do where most tracks lie outside the frame, which is an error.
    Raises TrackFormatError.
    """
    lists = by_point(_sample_lists(text), order)
    lists, told = in_px(lists, height, width, units)
    tracks = _padded(lists, height, width, 0)
    require_inside(tracks, remedy)
    return Reading(tracks, f"{counted(tracks)}; {told}")


def read_points(text: str, *, height: int, width: int, units: str = "auto", remedy: str) -> Reading:
    """Places of a person's text as tracks of one frame: [sample, ...], as points editors give them, or one list per
    point, of which the first sample counts. Raises TrackFormatError as `read_coordinates` does."""
    entries = _decoded(text)
    if isinstance(entries, list) and entries and _is_sample(entries[0]):
        lists = [[sample] for sample in _samples(entries, 0)]
    else:
        lists = [samples[:1] for samples in by_point(_sample_lists(entries), "auto", ONE_FRAME)]
    lists, told = in_px(lists, height, width, units)
    tracks = _padded(lists, height, width, 0)
    require_inside(tracks, remedy)
    return Reading(tracks, f"{counted(tracks)}; {told}")


def _padded(sample_lists: list[list[Sample]], height: int, width: int, seed: int) -> Tracks:
    num_frames = max(len(samples) for samples in sample_lists)
    require_budget(len(sample_lists), num_frames)
    points = np.empty((num_frames, len(sample_lists), 2), dtype=np.float32)
    visibility = np.zeros((num_frames, len(sample_lists)), dtype=np.bool_)
    for index, samples in enumerate(sample_lists):
        values = np.asarray(samples, dtype=np.float64)
        points[: len(values), index] = values[:, :2]
        points[len(values) :, index] = values[-1, :2]
        visibility[: len(values), index] = values[:, 2] == 1
    ids = assign_ids(len(sample_lists), seed)
    return Tracks(torch.from_numpy(points), torch.from_numpy(visibility), height, width, ids)


def _sample_lists(source: object) -> list[list[Sample]]:
    """One list of samples per track, at least one."""
    entries = _decoded(source) if isinstance(source, str) else source
    if not isinstance(entries, list | tuple):
        drawing = "; a drawing of the Track Editor goes into that node's document, or as a file into Load Tracks"
        raise TrackFormatError(
            f"found {show(entries)} where a list of tracks is needed: [[sample, ...], ...]"
            f"{drawing if isinstance(entries, Mapping) and 'format' in entries else ''}"
        )
    if any(isinstance(entry, str) for entry in entries):
        return _tracks_of_texts(entries)
    if not entries:
        raise TrackFormatError("there are no tracks; give at least one: [[{'x': 1, 'y': 2}, ...], ...]")
    if _is_sample(entries[0]):
        entries = [entries]
    return [_samples(entry, index) for index, entry in enumerate(entries)]


def _tracks_of_texts(entries: Sequence[object]) -> list[list[Sample]]:
    """Tracks of a list of texts, each of which is one track or a nested list; counted through, over all texts."""
    raw: list[object] = []
    for index, entry in enumerate(entries):
        if not isinstance(entry, str):
            raise TrackFormatError(f"entry {index} is {show(entry)} among texts; give only texts or only lists")
        decoded = _decoded(entry)
        if not isinstance(decoded, list) or not decoded:
            raise TrackFormatError(f"text {index} is {show(decoded)}; it must be a list with at least one sample")
        raw.extend([decoded] if _is_sample(decoded[0]) else decoded)
    return [_samples(entry, index) for index, entry in enumerate(raw)]


def _is_sample(entry: object) -> bool:
    """Whether a list beginning with `entry` is one track of samples: depth tells [x, y] from [[x, y], ...]."""
    if isinstance(entry, list | tuple):
        return bool(entry) and not isinstance(entry[0], list | tuple | Mapping | str)
    return isinstance(entry, Mapping)


def _samples(entry: object, track: int) -> list[Sample]:
    if not isinstance(entry, list | tuple):
        raise TrackFormatError(f"track {track} is {show(entry)}; it must be a list of samples {_SAMPLE_FORMS}")
    if not entry:
        raise TrackFormatError(f"track {track} has no samples; give it at least one, or leave it out")
    return [_sample(sample, track, index) for index, sample in enumerate(entry)]


def _sample(sample: object, track: int, index: int) -> Sample:
    def fail(problem: str) -> NoReturn:
        raise TrackFormatError(f"track {track}, sample {index}: {problem}")

    def coordinate(field: str) -> float:
        if field not in fields:
            fail(f"field '{field}' is missing; it must be a finite number of pixels")
        value = fields[field]
        if not _is_number(value) or not -MAX_COORDINATE_PX <= value <= MAX_COORDINATE_PX:
            bound = f", from -{MAX_COORDINATE_PX:.0f} to {MAX_COORDINATE_PX:.0f}" if _is_number(value) else ""
            bound = ", written without quotes" if isinstance(value, str) else bound
            fail(f"field '{field}' is {show(value)}; it must be a finite number of pixels{bound}")
        return float(value)

    if isinstance(sample, _Record):
        fail(f"field {sample.repeated!r} is given twice; keep one")
    if isinstance(sample, list | tuple) and len(sample) in (2, 3):
        fields: Mapping[Any, Any] = dict(zip(_FIELDS, sample, strict=False))
    elif isinstance(sample, Mapping):
        fields = sample
    else:
        quoted = "; numbers are written without quotes" if isinstance(sample, str) else ""
        fail(f"found {show(sample)}; a sample is {_SAMPLE_FORMS}{quoted}")
    if "points" in fields:
        fail("it is an object with 'points'; leave name and braces out and give the list of its points alone")
    for field in fields:
        if field not in _FIELDS:
            fail(f"field {show(field)} is unknown; a sample is {_SAMPLE_FORMS}")
    visible = fields.get("v", 1)
    if not (isinstance(visible, bool) or _is_number(visible)) or visible not in (0, 1):
        fail(f"field 'v' is {show(visible)}; it must be 1 (visible) or 0 (invisible)")
    return coordinate("x"), coordinate("y"), float(visible)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


class _Record(dict[Any, Any]):
    """A decoded object in which a key was given twice; a plain dict keeps the last one silently."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        super().__init__(pairs)
        self.repeated: Any = given_twice(key for key, _ in pairs)


def _record(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    value = dict(pairs)  # which takes a third of a _Record's memory
    return value if len(value) == len(pairs) else _Record(pairs)


def _decoded(text: str) -> object:
    """The value that `text` spells as JSON or, failing that, as a Python literal."""
    require_short(text, "tracks")
    text = without_mark(text).strip()
    if not text:
        return []
    try:
        return json.loads(text, object_pairs_hook=_record)
    except (ValueError, RecursionError) as error:
        json_error = error
    if len(text) > MAX_LITERAL_CHARS:
        raise TrackFormatError(
            f"the text {show(text)} is not JSON ({json_error}); as a Python literal at most {MAX_LITERAL_CHARS} "
            f"characters are read: write it as JSON"
        ) from json_error
    try:
        return _literal(text)
    except TrackFormatError:
        raise
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError) as error:
        raise TrackFormatError(
            f"the text {show(text)} is neither JSON ({json_error}) nor a Python literal ({error}); "
            f"write [[{{'x': 1, 'y': 2}}, ...], ...]"
        ) from error


def _literal(text: str) -> object:
    body = ast.parse(text, mode="eval").body
    # A comment, a closing comma or a second list after the first would otherwise pass. (ast.get_source_segment
    # tells the same in quadratic time: minutes for a 50 x 50 grid.)
    lines = re.split("\r\n|\r|\n", text)
    spans_text = (body.lineno, body.col_offset) == (1, 0) and body.end_lineno == len(lines)
    if not isinstance(body, ast.List) or not spans_text or body.end_col_offset != len(lines[-1].encode()):
        raise ValueError("it must be one list and nothing after it")
    value = ast.literal_eval(body)
    for path, node in _dict_nodes(body, ()):
        repeated = given_twice(key.value for key in node.keys if isinstance(key, ast.Constant))
        if repeated is not None:
            track, sample = (0, *path)[-2:]  # a flat track's samples have no track index before theirs
            raise TrackFormatError(f"track {track}, sample {sample}: field {show(repeated)} is given twice; keep one")
    return value


def _dict_nodes(node: ast.expr, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], ast.Dict]]:
    if isinstance(node, ast.Dict):
        yield path, node
    elif isinstance(node, ast.List | ast.Tuple):
        for index, element in enumerate(node.elts):
            yield from _dict_nodes(element, (*path, index))
