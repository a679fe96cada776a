"""The trajectory document from text, strictly: whatever is not exactly docs/tracks-format.md is an error with a place.

The browser's js/track_editor/document/parse.js refuses the same texts; tests/data/documents.json holds both to it.
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from ..camera.parse import read_moves
from ..easing import EASINGS, HOLDS, Bend, Timing
from ..parse import MAX_COORDINATE_PX
from ..spline import INTERPOLATIONS
from ..strict_json import choice, count, decoded, fail, fields_of, identifier, items_of, number
from ..text import without_mark
from ..tracks import TrackFormatError
from .document import FORMAT, KINDS, VERSIONS, Canvas, Document, DrawnTrack, Grid, Region, require_ids

MAX_SIDE_PX = 16_384
MAX_FRAMES = 1_000_000
MAX_FPS = 1000
_NEEDED = ("id", "kind", "interpolation", "points", "start", "duration")
_OPTIONAL = ("easing", "keyframes", "before", "after", "hidden", "grid", "group")
_NEW = ("name", "color", "region")
MAX_NAME = 64
MAX_TURN_DEGREES = 3600
MAX_SCALE = 100


def parse_document(text: str, default_canvas: Canvas) -> Document:
    """The Document that `text` spells; empty text is a document without tracks, of `default_canvas`.

    Raises TrackFormatError naming field, value and remedy for anything that docs/tracks-format.md does not allow: an
    unknown version or field, a field given twice, a number that is not finite, ids that repeat, ...
    """
    if isinstance(text, str) and not without_mark(text).strip():
        return Document(default_canvas)
    value = decoded(text, "document")
    # Before the fields: another version may have others.
    head = value if isinstance(value, dict) else {}
    if head.get("format", FORMAT) != FORMAT:
        fail("format", head["format"], f"it must be {FORMAT!r}; coordinate lists go into the node Tracks from JSON")
    if isinstance(version := head.get("version", 1), bool) or version not in VERSIONS:
        fail("version", version, "this pack reads versions 1 and 2; update the pack, or export again")
    fields = fields_of(value, "document", ("format", "version", "canvas", "tracks"), ("camera",))
    tracks = tuple(items_of(fields["tracks"], "tracks", lambda each, at: _track(each, at, version > 1)))
    seen: dict[str, int] = {}
    for index, track in enumerate(tracks):
        if track.id in seen:
            fail(f"tracks[{index}].id", track.id, f"tracks[{seen[track.id]}] has it already; give every track its own")
        seen[track.id] = index
    document = Document(_canvas(fields["canvas"]), tracks, read_moves(fields.get("camera", [])))
    require_ids(document)
    return document


def _canvas(value: Any) -> Canvas:
    fields = fields_of(value, "canvas", ("width", "height", "num_frames", "fps"))
    return Canvas(
        count(fields["width"], "canvas.width", MAX_SIDE_PX),
        count(fields["height"], "canvas.height", MAX_SIDE_PX),
        count(fields["num_frames"], "canvas.num_frames", MAX_FRAMES),
        number(fields["fps"], "canvas.fps", 1e-3, MAX_FPS),
    )


def _track(value: Any, place: str, newer: bool) -> DrawnTrack:
    fields = fields_of(value, place, _NEEDED, _OPTIONAL + _NEW if newer else _OPTIONAL)
    kind = choice(fields["kind"], f"{place}.kind", KINDS)
    interpolation = choice(fields["interpolation"], f"{place}.interpolation", INTERPOLATIONS)
    points = tuple(items_of(fields["points"], f"{place}.points", lambda each, at: _point(each, at, interpolation)))
    if not points or (kind == "anchor" and len(points) != 1):
        remedy = "an anchor has exactly one point" if kind == "anchor" else "give at least one point"
        raise TrackFormatError(f"{place}.points has {len(points)} points; {remedy}")
    if "region" in fields and "grid" in fields:
        fail(f"{place}.grid", fields["grid"], "a track with a region has no grid; leave one of the two out")
    return DrawnTrack(
        id=identifier(fields["id"], f"{place}.id"),
        kind=kind,
        interpolation=interpolation,
        points=points,
        timing=_timing(fields, place, len(points), newer),
        grid=_grid(fields["grid"], f"{place}.grid") if "grid" in fields else None,
        group=identifier(fields["group"], f"{place}.group") if "group" in fields else None,
        name=_name(fields["name"], f"{place}.name") if "name" in fields else None,
        color=_color(fields["color"], f"{place}.color") if "color" in fields else None,
        region=_region(fields["region"], f"{place}.region") if "region" in fields else None,
    )


def _point(value: Any, place: str, interpolation: str) -> tuple[float, ...]:
    lengths = (2, 6) if interpolation == "bezier" else (2,)
    if not isinstance(value, list) or len(value) not in lengths:
        form = "[x, y] or [x, y, in_dx, in_dy, out_dx, out_dy]" if 6 in lengths else "[x, y]"
        fail(place, value, f"a point of {interpolation} is {form}")
    numbers = [number(each, f"{place}[{i}]", -MAX_COORDINATE_PX, MAX_COORDINATE_PX) for i, each in enumerate(value)]
    return tuple(numbers) if interpolation != "bezier" or len(numbers) == 6 else (*numbers, 0.0, 0.0, 0.0, 0.0)


def _timing(fields: dict[str, Any], place: str, num_points: int, newer: bool) -> Timing:
    duration = number(fields["duration"], f"{place}.duration", 0, MAX_FRAMES)
    keyframes = tuple(
        items_of(
            fields.get("keyframes", []),
            f"{place}.keyframes",
            lambda each, at: _pair(each, at, duration, num_points - 1),
        )
    )
    if "keyframes" in fields and "easing" in fields:
        fail(f"{place}.easing", fields["easing"], "a track with keyframes has no easing; leave one of the two out")
    if "keyframes" in fields and not keyframes:
        fail(f"{place}.keyframes", [], "give at least one keyframe [frame, point], or leave the field out")
    for index, (before, after) in enumerate(itertools.pairwise(keyframes), start=1):
        if before[0] >= after[0]:
            fail(f"{place}.keyframes[{index}][0]", after[0], f"frames must rise, and the one before is {before[0]}")
    hidden = tuple(items_of(fields.get("hidden", []), f"{place}.hidden", _span))
    for index, (before, after) in enumerate(itertools.pairwise(hidden), start=1):
        if before[1] >= after[0]:
            fail(f"{place}.hidden[{index}]", list(after), "spans must rise and not touch; sort and join them")
    return Timing(
        number(fields["start"], f"{place}.start", -MAX_FRAMES, MAX_FRAMES),
        duration,
        _easing(fields.get("easing", "linear"), f"{place}.easing", newer),
        keyframes,
        choice(fields.get("before", "hold"), f"{place}.before", HOLDS),
        choice(fields.get("after", "hold"), f"{place}.after", HOLDS),
        hidden,
    )


def _easing(value: Any, place: str, newer: bool) -> str | Bend:
    if not newer or not isinstance(value, list):
        return choice(value, place, EASINGS)
    if len(value) != 4:
        fail(place, value, "an easing curve is [x1, y1, x2, y2], each 0 to 1")
    x1, y1, x2, y2 = (number(each, f"{place}[{i}]", 0, 1) for i, each in enumerate(value))
    return x1, y1, x2, y2


def _pair(value: Any, place: str, duration: float, last_point: int) -> tuple[float, float]:
    """A keyframe: frames after the start, and the place on the curve in control points."""
    if not isinstance(value, list) or len(value) != 2:
        fail(place, value, "a keyframe is [frame after start, point on the curve]")
    return number(value[0], f"{place}[0]", 0, duration), number(value[1], f"{place}[1]", 0, last_point)


def _span(value: Any, place: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        fail(place, value, "a hidden span is [first frame, last frame]")
    first, last = (number(each, f"{place}[{i}]", -MAX_FRAMES, 2 * MAX_FRAMES) for i, each in enumerate(value))
    if first > last:
        fail(place, value, "its first frame comes after its last; swap them")
    return first, last


def _grid(value: Any, place: str) -> Grid:
    fields = fields_of(value, place, ("columns", "rows", "dx", "dy"))
    return Grid(
        count(fields["columns"], f"{place}.columns", 1000),
        count(fields["rows"], f"{place}.rows", 1000),
        number(fields["dx"], f"{place}.dx", 0, MAX_COORDINATE_PX),
        number(fields["dy"], f"{place}.dy", 0, MAX_COORDINATE_PX),
    )


def _name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_NAME or re.search(r"[\x00-\x1f\x7f-\x9f]", value):
        fail(place, value, f"it must be 1 to {MAX_NAME} characters on one line")
    return value


def _color(value: Any, place: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"#[0-9a-f]{6}", value):
        fail(place, value, "it must be #rrggbb in small letters")
    return value


def _region(value: Any, place: str) -> Region:
    fields = fields_of(value, place, ("points",), ("turn", "scale"))
    points = tuple(items_of(fields["points"], f"{place}.points", _offset))
    if not points:
        fail(f"{place}.points", [], "give at least one offset [dx, dy]")
    return Region(
        points,
        number(fields.get("turn", 0), f"{place}.turn", -MAX_TURN_DEGREES, MAX_TURN_DEGREES),
        number(fields.get("scale", 1), f"{place}.scale", 1 / MAX_SCALE, MAX_SCALE),
    )


def _offset(value: Any, place: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        fail(place, value, "an offset is [dx, dy] in px")
    dx, dy = (number(each, f"{place}[{i}]", -MAX_COORDINATE_PX, MAX_COORDINATE_PX) for i, each in enumerate(value))
    return dx, dy
