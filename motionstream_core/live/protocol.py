"""What a client may say to a live stream, checked; the JSON schema of it is published by `schema`.

One message is one JSON object with a `type`. Positions are px of the stream's frame; times are the client's own clock
in ms, any clock that does not jump (a browser's event.timeStamp).
"""

from __future__ import annotations

import json
import struct
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from ..streaming.live_tracks import FIRST_PLAYED, MAX_GRID_POINTS

VERSION = 1
"""Of the messages; a recording's log has one of its own (`events.LOG_VERSION`)."""
MAX_MESSAGE_BYTES = 64 * 1024
MAX_SAMPLES = 512
FAR_PX = 1e6
Pixels = Annotated[float, Field(ge=-FAR_PX, le=FAR_PX, allow_inf_nan=False)]
Milliseconds = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)  # importing the pack must stay quick


class Start(_Message):
    """Begin to make video."""

    type: Literal["start"]


class Pause(_Message):
    """Hold at the next chunk boundary."""

    type: Literal["pause"]


class Resume(_Message):
    """Go on."""

    type: Literal["resume"]


class Stop(_Message):
    """End the stream; its files are then named in `ended`."""

    type: Literal["stop"]


class Clear(_Message):
    """Let every track, path and move of the camera go."""

    type: Literal["clear"]


class Hold(_Message):
    """Whether whatever no hand moves is kept still, and what a hand lets go stays where it was let go."""

    type: Literal["hold"]
    on: bool


class Reanchor(_Message):
    """The frame shown last becomes the first image of a new stream, which goes on from it."""

    type: Literal["reanchor"]


class GridPoints(_Message):
    """Points around a hand that move along: columns x rows of them, dx and dy px apart, the hand in their middle."""

    columns: Annotated[int, Field(ge=1, le=MAX_GRID_POINTS)]
    rows: Annotated[int, Field(ge=1, le=MAX_GRID_POINTS)]
    dx: Pixels
    dy: Pixels

    @model_validator(mode="after")
    def _few(self) -> GridPoints:
        if self.columns * self.rows > MAX_GRID_POINTS:
            raise ValueError(f"columns x rows is {self.columns * self.rows}; it must be {MAX_GRID_POINTS} at most")
        return self


class Samples(_Message):
    """Where a hand was, oldest first, as [x, y, t_ms]; takes a track in hand if `id` is new or was released.

    grid: read with the first samples of a hand only. A hand without new samples stands still.
    """

    type: Literal["samples"]
    id: Annotated[int, Field(ge=0, lt=FIRST_PLAYED)]
    samples: Annotated[
        list[Annotated[list[float], Field(min_length=3, max_length=3)]], Field(min_length=1, max_length=MAX_SAMPLES)
    ]
    grid: GridPoints | None = None

    @model_validator(mode="after")
    def _finite(self) -> Samples:
        for index, sample in enumerate(self.samples):
            if not all(abs(value) <= limit for value, limit in zip(sample, (FAR_PX, FAR_PX, 1e15), strict=True)):
                raise ValueError(f"samples[{index}] is {sample}; give [x, y, t_ms], finite, px within 1e6")
        return self


class Release(_Message):
    """Let a hand's track go: it is free from the next chunk on."""

    type: Literal["release"]
    id: Annotated[int, Field(ge=0, lt=FIRST_PLAYED)]


class Play(_Message):
    """Send off an editor's document (docs/tracks-format.md): its frame 0 is the next chunk's first frame."""

    type: Literal["play"]
    document: dict[str, Any]


class Prompt(_Message):
    """Another prompt, at once or by and by over `blend_chunks` chunks."""

    type: Literal["prompt"]
    text: Annotated[str, Field(max_length=4000)]
    blend_chunks: Annotated[int, Field(ge=0, le=32)] = 0


class Back(_Message):
    """Undo the last seconds: the stream returns to the chunk boundary at least that far back, or as far as is kept."""

    type: Literal["back"]
    seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)]


class Ping(_Message):
    """Answered by `pong` with the same t_ms."""

    type: Literal["ping"]
    t_ms: Milliseconds


class Take(_Message):
    """Ask to steer: granted at once where nobody does; else the one who does is told."""

    type: Literal["take"]


class Yield(_Message):
    """Give steering up, to whoever asked first."""

    type: Literal["yield"]


Message = Annotated[
    Start
    | Pause
    | Resume
    | Stop
    | Clear
    | Hold
    | Reanchor
    | Samples
    | Release
    | Play
    | Prompt
    | Back
    | Ping
    | Take
    | Yield,
    Field(discriminator="type"),
]


@lru_cache
def _messages() -> TypeAdapter[Message]:
    return TypeAdapter(Message)


class MessageError(ValueError):
    """A message that is none: `field` is what is wrong in it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field, self.message = field, message


def read_message(text: str) -> Message:
    """The message that `text` spells. Raises MessageError naming the field and what it must be."""
    if len(text.encode()) > MAX_MESSAGE_BYTES:
        raise MessageError("", f"the message is longer than {MAX_MESSAGE_BYTES} bytes")
    try:
        # JSON as such first: strict types are those of JSON, so that a whole number may stand for px
        return _messages().validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = [str(each) for each in first["loc"]]
        raise MessageError(".".join(place), first["msg"]) from None
    except RecursionError:
        raise MessageError("", "the message is nested too deeply") from None


def schema() -> dict[str, Any]:
    """JSON schema of what a client may send."""
    return {"title": "MotionStream live, client to server"} | _messages().json_schema()


def pack_chunk(header: dict[str, Any], pictures: list[bytes]) -> bytes:
    """A binary message: uint32 (little endian) length of the header, the header as JSON, the pictures in a row.

    `sizes`, their lengths in bytes, are added to the header.
    """
    text = json.dumps(header | {"type": "chunk", "sizes": [len(each) for each in pictures]}).encode()
    return b"".join([struct.pack("<I", len(text)), text, *pictures])


if __name__ == "__main__":
    import sys

    sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
