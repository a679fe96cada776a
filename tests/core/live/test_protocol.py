"""Messages: what is taken, what is refused and how it says why; the published schema says the same."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from motionstream_core.live import protocol
from motionstream_core.live.protocol import MessageError, pack_chunk, read_message

SAMPLES = {"type": "samples", "id": 3, "samples": [[1, 2.5, 10], [2, 3, 11.5]]}


@pytest.mark.parametrize(
    "message",
    [
        *({"type": kind} for kind in ("start", "pause", "resume", "stop", "clear", "reanchor", "take", "yield")),
        SAMPLES,
        {**SAMPLES, "grid": {"columns": 10, "rows": 10, "dx": 4, "dy": 4.5}},
        {"type": "release", "id": 0},
        {"type": "play", "document": {"format": "motionstream-tracks"}},
        {"type": "prompt", "text": "a red circle"},
        {"type": "prompt", "text": "", "blend_chunks": 32},
        {"type": "back", "seconds": 2},
        {"type": "ping", "t_ms": 1e9},
    ],
)
def test_messages_are_read(message: dict[str, Any]) -> None:
    read = read_message(json.dumps(message))
    assert read.model_dump(exclude_unset=True) == message


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ("nonsense", "", "JSON"),
        ("[]", "", "object"),
        ("{}", "", "type"),
        ({"type": "jump"}, "", "jump"),
        ({"type": "start", "now": True}, "start.now", "not permitted"),
        ({**SAMPLES, "id": -1}, "samples.id", "greater"),
        ({**SAMPLES, "id": 900}, "samples.id", "less than 900"),
        ({**SAMPLES, "id": "3"}, "samples.id", "integer"),
        ({**SAMPLES, "samples": []}, "samples.samples", "at least 1"),
        ({**SAMPLES, "samples": [[1, 2]]}, "samples.samples.0", "at least 3"),
        ({**SAMPLES, "samples": [[1, 2, 3]] * 513}, "samples.samples", "at most 512"),
        ({**SAMPLES, "samples": [[1e7, 2, 3]]}, "samples", "within 1e6"),
        ('{"type": "samples", "id": 1, "samples": [[NaN, 1, 2]]}', "", ""),
        ('{"type": "samples", "id": 1, "samples": [[1e999, 1, 2]]}', "samples", ""),
        ({**SAMPLES, "grid": {"columns": 11, "rows": 10, "dx": 1, "dy": 1}}, "samples.grid", "100 at most"),
        ({"type": "back", "seconds": 0}, "back.seconds", "0.1"),
        ({"type": "prompt", "text": "x" * 4001}, "prompt.text", "4000"),
        ({"type": "prompt", "text": "x", "blend_chunks": 33}, "prompt.blend_chunks", "32"),
        ({"type": "play", "document": "text"}, "play.document", "object"),
        ({"type": "play", "document": {"a": "x" * 70_000}}, "", "longer than"),
        ('{"type":' * 5000, "", ""),
    ],
)
def test_what_is_wrong_is_named(message: Any, field: str, words: str) -> None:
    with pytest.raises(MessageError) as caught:
        read_message(message if isinstance(message, str) else json.dumps(message))
    assert caught.value.field.startswith(field) and words in caught.value.message


@given(st.text() | st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps))
def test_nothing_else_ever_comes_of_a_text(text: str) -> None:
    with pytest.raises(MessageError):
        read_message(text)


def test_a_chunk_is_its_header_and_its_pictures() -> None:
    packed = pack_chunk({"index": 4}, [b"abc", b"", b"de"])
    (length,) = struct.unpack("<I", packed[:4])
    assert json.loads(packed[4 : 4 + length]) == {"index": 4, "type": "chunk", "sizes": [3, 0, 2]}
    assert packed[4 + length :] == b"abcde"


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    """`python -m motionstream_core.live.protocol > docs/live.schema.json` writes it."""
    written = json.loads((Path(__file__).parents[3] / "docs" / "live.schema.json").read_text())
    assert written == protocol.schema()


def test_the_page_speaks_the_servers_version() -> None:
    page = (Path(__file__).parents[3] / "js" / "live" / "protocol.js").read_text("utf-8")
    assert re.search(r"^export const VERSION = (\d+);$", page, re.M)[1] == str(protocol.VERSION)  # type: ignore[index]
