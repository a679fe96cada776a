"""Saved streams with bytes changed or a header of another kind: refused, or gone on with to frames that are numbers."""

from __future__ import annotations

import json
import random
import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.state import StreamState, resumable_stream
from motionstream_core.streaming.state_file import HEADER, Maker, read_state, write_state
from motionstream_core.streaming.stream import StreamSettings, named
from motionstream_core.tracks import Tracks
from tests.data.mutate_document import JUNK

from .streams import SIZE, SPEC, model, vae

LOADED, VAE = model(), vae()
MAKER = Maker("one", SPEC.to_json(), "0" * 32)
TRACKS = Tracks(torch.full((25, 2, 2), 20.0), torch.ones(25, 2, dtype=torch.bool), *SIZE)
DEEP = ["[" * 100_000, '{"format": ' * 50_000, "9" * 100_000, '{"format": 1e999}', "null", "[]", '"\\ud800"', ""]


def files(count: int, seed: int) -> list[bytes]:
    """A saved stream with bytes changed, or with values of its header replaced."""
    rng, good, made = random.Random(seed), saved(), []
    for index in range(count):
        if index < len(DEEP):
            made.append(_with_header(good, DEEP[index]))
        elif rng.random() < 0.5:
            made.append(_with_header(good, _changed(json.loads(_header(good)), rng)))
        else:
            content = bytearray(good)
            for _ in range(rng.choice((1, 1, 4))):
                at = rng.randrange(min(len(content), 4000) if rng.random() < 0.7 else len(content))
                content[at] ^= 1 << rng.randrange(8)
            made.append(bytes(content if rng.random() < 0.8 else content[: rng.randrange(len(content))]))
    return made


def try_file(content: bytes) -> str | None:
    """Read, and go on by a chunk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.safetensors"
        path.write_bytes(content)
        state = read_state(path, MAKER, VAE, torch.device("cpu"))
        for chunk in _stream(state):
            return None if chunk.frames.isfinite().all() else "frames that are no numbers"
    return None


def _stream(state: StreamState | None = None, keep: Any = None) -> Any:
    context = encode_prompt(LOADED.model, SPEC, "a red circle")
    known = KnownTracks(TRACKS)
    if state is None:
        settings = named(StreamSettings(seed=5), LOADED)
        conditions = StreamConditions(LOADED.model, SPEC, context, known, image=torch.rand(1, 3, 1, *SIZE), vae=VAE)
    else:
        settings, source = state.settings, state.source_copy()
        conditions = StreamConditions(LOADED.model, SPEC, context, known, source=source, frame_size=state.size)
    length = 4 if state is None else SPEC.chunk_plan.chunk(state.chunk).stop
    decoder = TinyStreamingDecoder(VAE)
    return resumable_stream(
        LOADED, conditions, decoder, num_latent_frames=length, settings=settings, keep=keep, state=state
    )


@cache
def saved() -> bytes:
    """A good one."""
    left: list[StreamState] = []
    list(_stream(keep=left.append))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.safetensors"
        write_state(path, left[0], MAKER)
        return path.read_bytes()


def _header(content: bytes) -> str:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"][HEADER]


def _with_header(content: bytes, text: str) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    entries["__metadata__"][HEADER] = text
    packed = json.dumps(entries).encode("utf-8", "surrogatepass")
    packed += b" " * (-len(packed) % 8)
    return struct.pack("<Q", len(packed)) + packed + content[8 + length :]


def _changed(value: Any, rng: random.Random) -> str:
    node = value
    while True:
        key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if not isinstance(node[key], dict | list) or not node[key] or rng.random() < 0.3:
            node[key] = json.loads(json.dumps(rng.choice([*JUNK, 2**62, -(2**62), 10_000_000])))
            return json.dumps(value)
        node = node[key]
