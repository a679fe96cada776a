"""Inputs and outputs that the track nodes share."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...motionstream_core.tracks import ORDERS, UNITS
from ...motionstream_core.tracks.strict_json import MAX_CHARS
from ..sockets import TracksSocket, advanced

QUICK_CHARS = 2**18
"""A text that is longer is checked when its node runs, not when a job is queued, which holds up the host's server."""
ALIASES = ["motion paths", "trajectory"]  # what every node of tracks is about; the rest each says for itself


def size_input(name: str, tooltip: str, default: int = 128, **more: Any) -> io.Int.Input:
    """A side in px; a default of 0 allows 0."""
    return io.Int.Input(name, default=default, min=0 if default == 0 else 1, max=8192, tooltip=tooltip, **more)


def video_size_inputs() -> list[io.Int.Input]:
    """width and height of a node that makes tracks."""
    return [
        size_input(side.lower(), f"{side} of the video in px: what the TRACKS' coordinates refer to.")
        for side in ("Width", "Height")
    ]


def length_input() -> io.Int.Input:
    """The number of frames of a node that makes tracks."""
    return io.Int.Input(
        "length",
        default=49,
        min=1,
        max=1_000_000,
        tooltip="Number of frames of the video. The bundled student makes 1 + 12 * k frames.",
    )


def frames_input(name: str, default: int, tooltip: str, *, low: int = 0, **more: Any) -> io.Int.Input:
    """A frame's number, or a number of frames."""
    return io.Int.Input(name, default=default, min=low, max=1_000_000, tooltip=tooltip, **more)


def tracks_input(tooltip: str = "Trajectories, from this pack or any node that gives TRACKS.", **more: Any) -> Any:
    """The tracks that a node works on."""
    return TracksSocket.Input("tracks", tooltip=tooltip, **more)


def tracks_output(tooltip: str, id: str = "tracks", name: str | None = None) -> Any:
    """Tracks that a node gives. Hosts of 2025 refuse a pack in which an output has the id of an input of its node."""
    return TracksSocket.Output(id, display_name=name or "tracks", tooltip=tooltip)


def changed_tracks_output(tooltip: str) -> Any:
    """The tracks that a node made of its input `tracks`."""
    return tracks_output(tooltip, "changed_tracks")


def units_input() -> io.Combo.Input:
    """What a text's coordinates are in; last among a node's inputs, where saved workflows have none."""
    return io.Combo.Input(
        "units",
        options=list(UNITS),
        default=UNITS[0],
        optional=True,
        tooltip="What the coordinates are in. px; normalised: shares of the frame, 0 to 1. auto: px, or shares where "
        "all of them lie between 0 and 1; where both are possible it is an error that asks.",
        **advanced(),
    )


def is_checked_late(text: str) -> bool:
    """Whether a text is left to `execute`, since checking it takes its time."""
    return QUICK_CHARS < len(text) <= MAX_CHARS


def order_input() -> io.Combo.Input:
    """What the lists of a text are; last among a node's inputs, where saved workflows have none."""
    return io.Combo.Input(
        "order",
        options=list(ORDERS),
        default=ORDERS[0],
        optional=True,
        tooltip="by point: every list is the way of one point; by frame: every list has all points of one frame. auto: "
        "by point; where the lists look like frames it is an error that asks.",
        **advanced(),
    )
