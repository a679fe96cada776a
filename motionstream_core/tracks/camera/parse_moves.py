"""A list of camera moves, read strictly: the layer `camera` of a trajectory document, or a list of its own."""

from __future__ import annotations

from typing import Any

from ..easing import EASINGS
from ..strict_json import choice, count, fail, fields_of, items_of, number
from .moves import AMOUNTS, MAX_SEED, MOVES, Move

MAX_MOVES = 100
_NEEDED = ("move", "amount", "start", "duration")


def read_moves(value: Any, place: str = "camera") -> tuple[Move, ...]:
    """The moves of a decoded list, as docs/tracks-format.md has them.

    Raises TrackFormatError naming field, value and remedy for anything else.
    """
    moves = tuple(items_of(value, place, _move))
    if len(moves) > MAX_MOVES:
        fail(place, len(moves), f"at most {MAX_MOVES} moves can be combined; leave some out", "number of moves ")
    return moves


def _move(value: Any, place: str) -> Move:
    kind = value.get("move") if isinstance(value, dict) else None
    fields = fields_of(value, place, _NEEDED, ("seed",) if kind == "handheld" else ("easing",))
    kind = choice(fields["move"], f"{place}.move", MOVES)
    return Move(
        kind,
        number(fields["amount"], f"{place}.amount", *AMOUNTS[kind]),
        number(fields["start"], f"{place}.start", -1e6, 1e6),
        number(fields["duration"], f"{place}.duration", 0, 1e6),
        choice(fields.get("easing", "linear"), f"{place}.easing", EASINGS),
        count(fields.get("seed", 0), f"{place}.seed", MAX_SEED, low=0),
    )
