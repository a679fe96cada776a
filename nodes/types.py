"""The sockets between nodes and what travels through them; how a schema is written for newer and older hosts."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..motionstream_core.tracks import Tracks

ModelSocket = io.Custom("MOTIONSTREAM_MODEL")
VaeSocket = io.Custom("MOTIONSTREAM_VAE")
MotionSocket = io.Custom("MOTIONSTREAM_MOTION")
# Core's own type where it exists; hosts of 2025 lack the class, but match sockets by this name.
TracksSocket = getattr(io, "Tracks", None) or io.Custom("TRACKS")

_SCHEMA_FIELDS = {field.name for field in dataclasses.fields(io.Schema)}
_ADVANCED = {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}


@dataclass(frozen=True)
class Motion:
    """A motion embedding: latents (1 c f h w) on the CPU, and the tracks, with their fixed ids, that it was made of.

    A streamer encodes the tracks again, chunk by chunk, which gives the same latents.
    """

    latents: Tensor
    tracks: Tracks


def schema(**fields: Any) -> io.Schema:
    """An io.Schema; fields that this host does not know yet (search_aliases, say) are left out."""
    return io.Schema(**{name: value for name, value in fields.items() if name in _SCHEMA_FIELDS})


def advanced() -> dict[str, bool]:
    """Arguments that fold an input away under "advanced", on hosts that can."""
    return dict(_ADVANCED)


def seed_input() -> io.Int.Input:
    """The seed of a sampling node."""
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=True,
        tooltip="The noise that the video starts from. The same seed and inputs give the same video.",
    )
