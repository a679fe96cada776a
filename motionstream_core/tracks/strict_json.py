"""Strict reading of JSON: every field known and given once, every value in range, every error with its place.

A place is the path to a value, like tracks[2].points[0][1]. All errors are TrackFormatErrors.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from .text import without_mark
from .tracks import TrackFormatError

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
T = TypeVar("T")
MAX_CHARS = 16 * 2**20
"""Of a text: as values of Python it takes some twenty times its size."""


def decoded(text: str, place: str) -> Any:
    """The value that the JSON `text` spells; a byte-order mark before it is left out."""
    if not isinstance(text, str):
        fail(place, text, f"give the {place} as text")
    require_short(text, place)
    try:
        return json.loads(without_mark(text), object_pairs_hook=lambda pairs: _no_field_twice(pairs, place))
    except TrackFormatError:
        raise
    except (ValueError, RecursionError) as error:
        raise TrackFormatError(f"{place}: the text {show(text)} is not JSON ({error})") from None


def fields_of(value: Any, place: str, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """An object with all fields of `needed`, perhaps some of `optional`, and no other."""
    if not isinstance(value, dict):
        fail(place, value, f"it must be an object with the fields {', '.join(needed)}")
    for name in value:
        if name not in needed and name not in optional:
            fail(place, name, f"this field is unknown here; known are {', '.join([*needed, *optional])}", "field ")
    for name in needed:
        if name not in value:
            raise TrackFormatError(f"{place}: field '{name}' is missing; add it")
    return value


def items_of(value: Any, place: str, read: Callable[[Any, str], T]) -> list[T]:
    """A list, each item read by read(item, its place)."""
    if not isinstance(value, list):
        fail(place, value, "it must be a list")
    return [read(each, f"{place}[{index}]") for index, each in enumerate(value)]


def number(value: Any, place: str, low: float, high: float) -> float:
    """A number in [low, high]."""
    # Compared before it is converted: a whole number may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        fail(place, value, f"it must be a finite number from {low:g} to {high:g}")
    return float(value)


def count(value: Any, place: str, high: int, low: int = 1) -> int:
    """A whole number in [low, high], 3.0 among them."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value != int(value):
        fail(place, value, f"it must be a whole number from {low} to {high}")
    return int(value)


def choice(value: Any, place: str, options: tuple[str, ...]) -> str:
    """One of the texts `options`."""
    if not isinstance(value, str) or value not in options:
        fail(place, value, f"it must be one of {', '.join(options)}")
    return value


def identifier(value: Any, place: str) -> str:
    """A name without blanks, at most 64 characters."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        fail(place, value, "it must be 1 to 64 letters, digits or _ . : -")
    return value


def show(value: object) -> str:
    """`value` in short, for a message."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a whole number of more than 4300 digits has no repr
        return f"a huge {type(value).__name__}"


def fail(place: str, value: object, remedy: str, what: str = "") -> NoReturn:
    """Raises TrackFormatError that names place, value and remedy."""
    raise TrackFormatError(f"{place}: {what}{show(value)}: {remedy}")


def given_twice(names: Iterable[T]) -> T | None:
    """The first name that comes a second time, None where none does."""
    seen: set[T] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def require_short(text: str, place: str) -> None:
    """Raise TrackFormatError for a text of more than MAX_CHARS."""
    if len(text) > MAX_CHARS:
        raise TrackFormatError(
            f"{place}: the text has {len(text)} characters, and at most {MAX_CHARS} are read; use fewer points, or "
            f"save the tracks as npz"
        )


def _no_field_twice(pairs: list[tuple[str, Any]], place: str) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = given_twice(name for name, _ in pairs)
        raise TrackFormatError(f"{place}: field {show(twice)} is given twice in one object; keep one")
    return value
