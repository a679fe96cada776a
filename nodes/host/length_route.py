"""The page's question which lengths a checkpoint makes, so that a length is right where it is typed."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

from aiohttp import web
from server import PromptServer

from ...motionstream_core.checkpoints import ModelSpec, read_spec
from .model import MODEL_FOLDER, file_of, fingerprint

ROUTE = "/motionstream/lengths"


def add_length_route() -> None:
    """Called once, when the pack is loaded; there is no server where a host only lists nodes."""
    server = getattr(PromptServer, "instance", None)
    if server is not None:
        server.routes.get(ROUTE)(_answer)


async def _answer(request: web.Request) -> web.Response:
    """query: checkpoint and family as in the loader, chunk_frames as in the live node."""
    query = request.query
    try:
        chunk = int(query.get("chunk_frames", "-1"))
        lengths = await asyncio.to_thread(
            lengths_of, query.get("checkpoint", ""), query.get("family", "auto"), chunk if chunk > 0 else None
        )
    except (OSError, ValueError, MemoryError) as error:
        return web.json_response({"error": str(error)}, status=404)
    return web.json_response(lengths)


def lengths_of(checkpoint: str, family: str = "auto", chunk_frames: int | None = None) -> dict[str, Any]:
    """{"first", "step"}: frames of the lengths first + step * k; "fps". Errors as loading has them."""
    state = fingerprint(checkpoint, (MODEL_FOLDER,))
    spec = _spec(file_of(checkpoint, (MODEL_FOLDER,)), None if family == "auto" else family, state)
    spec = spec.with_chunks(chunk_frames)
    return {"first": spec.lengths.first, "step": spec.lengths.step, "fps": spec.fps}


@lru_cache(maxsize=32)
def _spec(path: Path, family: str | None, _state: str) -> ModelSpec:
    return read_spec(path, family=family)
