"""The trajectory document from text, strictly: whatever is not exactly docs/tracks-format.md is an error with a place.

The browser's js/track_editor/document_parse.js refuses the same texts; tests/data/documents.json holds both to it.
"""

from __future__ import annotations

import itertools
import json
import re
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .document import FORMAT, KINDS, VERSION, Canvas, Document, DrawnTrack, Grid, require_ids
from .parse import MAX_COORDINATE_PX
from .spline import INTERPOLATIONS
from .timing import EASINGS, HOLDS, Timing
from .tracks import TrackFormatError

MAX_SIDE_PX = 16_384
MAX_FRAMES = 1_000_000
MAX_FPS = 1000
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_NEEDED = ("id", "kind", "interpolation", "points", "start", "duration")
_OPTIONAL = ("easing", "keyframes", "before", "after", "hidden", "grid", "group")
T = TypeVar("T")


def parse_document(text: str, default_canvas: Canvas) -> Document:
    """The Document that `text` spells; empty text is a document without tracks, of `default_canvas`.

    Raises TrackFormatError naming field, value and remedy for anything that docs/tracks-format.md does not allow: an
    unknown version or field, a field given twice, a number that is not finite, ids that repeat, ...
    """
    if not isinstance(text, str):
        _fail("document", text, "give the document as text")
    if not text.strip():
        return Document(default_canvas)
    try:
        value = json.loads(text, object_pairs_hook=_object)
    except TrackFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise TrackFormatError(f"document: the text {_show(text)} is not JSON ({error})") from None
    # Before the fields: another version may have others.
    head = value if isinstance(value, dict) else {}
    if head.get("format", FORMAT) != FORMAT:
        _fail("format", head["format"], f"it must be {FORMAT!r}; coordinate lists go into the node Tracks from JSON")
    if isinstance(version := head.get("version", VERSION), bool) or version != VERSION:
        _fail("version", version, f"this pack reads version {VERSION}; update the pack, or export again")
    fields = _fields(value, "document", ("format", "version", "canvas", "tracks"), ("camera",))
    if fields.get("camera", []) != []:
        _fail("camera", fields["camera"], "no camera layer can be read yet; leave it out, or write []")
    tracks = tuple(_list(fields["tracks"], "tracks", _track))
    seen: dict[str, int] = {}
    for index, track in enumerate(tracks):
        if track.id in seen:
            _fail(f"tracks[{index}].id", track.id, f"tracks[{seen[track.id]}] has it already; give every track its own")
        seen[track.id] = index
    document = Document(_canvas(fields["canvas"]), tracks)
    require_ids(document)
    return document


def _canvas(value: Any) -> Canvas:
    fields = _fields(value, "canvas", ("width", "height", "num_frames", "fps"))
    return Canvas(
        _count(fields["width"], "canvas.width", MAX_SIDE_PX),
        _count(fields["height"], "canvas.height", MAX_SIDE_PX),
        _count(fields["num_frames"], "canvas.num_frames", MAX_FRAMES),
        _number(fields["fps"], "canvas.fps", 1e-3, MAX_FPS),
    )


def _track(value: Any, place: str) -> DrawnTrack:
    fields = _fields(value, place, _NEEDED, _OPTIONAL)
    kind = _choice(fields["kind"], f"{place}.kind", KINDS)
    interpolation = _choice(fields["interpolation"], f"{place}.interpolation", INTERPOLATIONS)
    points = tuple(_list(fields["points"], f"{place}.points", lambda each, at: _point(each, at, interpolation)))
    if not points or (kind == "anchor" and len(points) != 1):
        remedy = "an anchor has exactly one point" if kind == "anchor" else "give at least one point"
        raise TrackFormatError(f"{place}.points has {len(points)} points; {remedy}")
    return DrawnTrack(
        id=_name(fields["id"], f"{place}.id"),
        kind=kind,
        interpolation=interpolation,
        points=points,
        timing=_timing(fields, place, len(points)),
        grid=_grid(fields["grid"], f"{place}.grid") if "grid" in fields else None,
        group=_name(fields["group"], f"{place}.group") if "group" in fields else None,
    )


def _point(value: Any, place: str, interpolation: str) -> tuple[float, ...]:
    lengths = (2, 6) if interpolation == "bezier" else (2,)
    if not isinstance(value, list) or len(value) not in lengths:
        form = "[x, y] or [x, y, in_dx, in_dy, out_dx, out_dy]" if 6 in lengths else "[x, y]"
        _fail(place, value, f"a point of {interpolation} is {form}")
    numbers = [_number(each, f"{place}[{i}]", -MAX_COORDINATE_PX, MAX_COORDINATE_PX) for i, each in enumerate(value)]
    return tuple(numbers) if interpolation != "bezier" or len(numbers) == 6 else (*numbers, 0.0, 0.0, 0.0, 0.0)


def _timing(fields: dict[str, Any], place: str, num_points: int) -> Timing:
    duration = _number(fields["duration"], f"{place}.duration", 0, MAX_FRAMES)
    keyframes = tuple(
        _list(
            fields.get("keyframes", []),
            f"{place}.keyframes",
            lambda each, at: _pair(each, at, duration, num_points - 1),
        )
    )
    if "keyframes" in fields and "easing" in fields:
        _fail(f"{place}.easing", fields["easing"], "a track with keyframes has no easing; leave one of the two out")
    if "keyframes" in fields and not keyframes:
        _fail(f"{place}.keyframes", [], "give at least one keyframe [frame, point], or leave the field out")
    for index, (before, after) in enumerate(itertools.pairwise(keyframes), start=1):
        if before[0] >= after[0]:
            _fail(f"{place}.keyframes[{index}][0]", after[0], f"frames must rise, and the one before is {before[0]}")
    hidden = tuple(_list(fields.get("hidden", []), f"{place}.hidden", _span))
    for index, (before, after) in enumerate(itertools.pairwise(hidden), start=1):
        if before[1] >= after[0]:
            _fail(f"{place}.hidden[{index}]", list(after), "spans must rise and not touch; sort and join them")
    return Timing(
        _number(fields["start"], f"{place}.start", -MAX_FRAMES, MAX_FRAMES),
        duration,
        _choice(fields.get("easing", "linear"), f"{place}.easing", EASINGS),
        keyframes,
        _choice(fields.get("before", "hold"), f"{place}.before", HOLDS),
        _choice(fields.get("after", "hold"), f"{place}.after", HOLDS),
        hidden,
    )


def _pair(value: Any, place: str, duration: float, last_point: int) -> tuple[float, float]:
    """A keyframe: frames after the start, and the place on the curve in control points."""
    if not isinstance(value, list) or len(value) != 2:
        _fail(place, value, "a keyframe is [frame after start, point on the curve]")
    return _number(value[0], f"{place}[0]", 0, duration), _number(value[1], f"{place}[1]", 0, last_point)


def _span(value: Any, place: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        _fail(place, value, "a hidden span is [first frame, last frame]")
    first, last = (_number(each, f"{place}[{i}]", -MAX_FRAMES, 2 * MAX_FRAMES) for i, each in enumerate(value))
    if first > last:
        _fail(place, value, "its first frame comes after its last; swap them")
    return first, last


def _grid(value: Any, place: str) -> Grid:
    fields = _fields(value, place, ("columns", "rows", "dx", "dy"))
    return Grid(
        _count(fields["columns"], f"{place}.columns", 1000),
        _count(fields["rows"], f"{place}.rows", 1000),
        _number(fields["dx"], f"{place}.dx", 0, MAX_COORDINATE_PX),
        _number(fields["dy"], f"{place}.dy", 0, MAX_COORDINATE_PX),
    )


def _fields(value: Any, place: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(value, dict):
        _fail(place, value, f"it must be an object with the fields {', '.join(needed)}")
    for name in value:
        if name not in needed and name not in optional:
            _fail(place, name, f"this field is unknown here; known are {', '.join([*needed, *optional])}", "field ")
    for name in needed:
        if name not in value:
            raise TrackFormatError(f"{place}: field '{name}' is missing; add it")
    return value


def _list(value: Any, place: str, read: Callable[[Any, str], T]) -> list[T]:
    if not isinstance(value, list):
        _fail(place, value, "it must be a list")
    return [read(each, f"{place}[{index}]") for index, each in enumerate(value)]


def _number(value: Any, place: str, low: float, high: float) -> float:
    # Compared before it is converted: a whole number may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        _fail(place, value, f"it must be a finite number from {low:g} to {high:g}")
    return float(value)


def _count(value: Any, place: str, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= high or value != int(value):
        _fail(place, value, f"it must be a whole number from 1 to {high}")
    return int(value)


def _choice(value: Any, place: str, options: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in options:
        _fail(place, value, f"it must be one of {', '.join(options)}")
    return value


def _name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        _fail(place, value, "it must be 1 to 64 letters, digits or _ . : -")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise TrackFormatError(f"document: field {_show(twice)} is given twice in one object; keep one")
    return value


def _show(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of more than 4300 digits has no repr
        return f"a huge {type(value).__name__}"


def _fail(place: str, value: object, remedy: str, what: str = "") -> NoReturn:
    raise TrackFormatError(f"{place}: {what}{_show(value)}: {remedy}")
