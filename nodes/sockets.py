"""The sockets between nodes and what travels through them; how a schema is written for newer and older hosts."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comfy_api.latest import io

from ..motionstream_core.tracks import Tracks

ModelSocket = io.Model  # core's own: what core does to a MODEL, it does to ours
VaeSocket = io.Custom("MOTIONSTREAM_VAE")
MotionSocket = io.Custom("MOTIONSTREAM_MOTION")
StreamSocket = io.Custom("MOTIONSTREAM_STREAM")
# Core's own type where it exists; hosts of 2025 lack the class, but match sockets by this name.
TracksSocket = getattr(io, "Tracks", None) or io.Custom("TRACKS")

_CONTROL = getattr(io, "ControlAfterGenerate", None)
_SCHEMA_FIELDS = {field.name for field in dataclasses.fields(io.Schema)}
_ADVANCED = {"advanced": True} if "advanced" in inspect.signature(io.Int.Input.__init__).parameters else {}


@dataclass(frozen=True)
class Motion:
    """Tracks in px of a video of their size, as MotionStream Track Head of older workflows hands them on."""

    tracks: Tracks


@dataclass(frozen=True)
class StreamFile:
    """A stream in a file, as MotionStream Load Stream hands it on; it is read where the model that made it is known."""

    path: Path


def vae_input(tooltip: str, name: str = "vae", *, optional: bool = False) -> io.Input:
    """An input for a tiny VAE of this pack or core's VAE object."""
    return io.MultiType.Input(name, types=[VaeSocket, io.Vae], optional=optional, tooltip=tooltip)


def schema(**fields: Any) -> io.Schema:
    """An io.Schema; fields that this host does not know yet (search_aliases, say) are left out."""
    return io.Schema(**{name: value for name, value in fields.items() if name in _SCHEMA_FIELDS})


def advanced() -> dict[str, bool]:
    """Arguments that fold an input away under "advanced", on hosts that can."""
    return dict(_ADVANCED)


def after_run(change: str) -> Any:
    """How a new node's number changes with every run: "fixed" or "increment", on hosts that let a node say so."""
    return getattr(_CONTROL, change, True)


def credentials_input() -> io.Boolean.Input:
    """Whether a saved video says that it was generated; last of a node's inputs."""
    return io.Boolean.Input(
        "content_credentials",
        default=True,
        optional=True,
        tooltip="The saved video says that a model made it: XMP and a comment, which players and sites read, and a "
        "signed C2PA manifest where a certificate is set. Off: it says nothing.",
        **advanced(),
    )


def seed_input(
    tooltip: str = "The noise that the video starts from. The same seed and inputs give the same video.",
    *,
    stays: bool = False,
) -> io.Int.Input:
    """A seed; without a tooltip of its own, a sampler's.

    stays: a new node's seed is not drawn anew with every run, on hosts that let a node say so. For nodes before the
    sampler: their seed would make everything after them run again, even where they do not look at it.
    """
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=after_run("fixed") if stays else True,
        tooltip=tooltip,
    )
