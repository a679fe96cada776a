"""What happened in a live session and when: the events of its log, from which a replay makes the same stream."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

PatientKind = Literal["samples", "release", "play", "prompt", "hold", "threads"]
EventKind = Literal[PatientKind, "known", "clear", "reanchor", "pause", "resume", "stop"]
"""Patient ones wait until the next chunk is begun; the others are taken at once, also in a pause. `known`: tracks that
were given before the first chunk (`live_tracks.known_text`)."""
LOG_VERSION = 3
"""Of what is written; all before it are read. The protocol over which a stream is steered has a number of its own."""
GIVEN_SINCE = 3
"""Since this version a log holds the tracks that were given."""


@dataclass(frozen=True)
class Event:
    """A command, and the chunk before which it took effect."""

    chunk: int
    kind: EventKind
    payload: Any = None


def log_text(events: Sequence[Event]) -> str:
    """Events as `read_events` takes them."""
    return json.dumps({"version": LOG_VERSION, "events": [asdict(event) for event in events]})


def read_events(log: str) -> list[Event]:
    """The events of a log, in order. Raises ValueError for a log of another form."""
    try:
        values = json.loads(log)
        version = values["version"]
        if type(version) is not int or not 1 <= version <= LOG_VERSION:
            raise ValueError(f"it is of version {version!r}, and this release reads 1 to {LOG_VERSION}")
        events = [Event(int(e["chunk"]), e["kind"], e["payload"]) for e in values["events"]]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"the session log cannot be read: {error}") from error
    if unknown := [event.kind for event in events if event.kind not in get_args(EventKind)]:
        raise ValueError(f"the session log has an unknown event {unknown[0]!r}")
    return events
