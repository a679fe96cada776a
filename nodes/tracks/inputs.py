"""Inputs and outputs that the track nodes share, and how they read TRACKS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...motionstream_core.tracks import TrackFormatError, Tracks
from ...motionstream_core.tracks.strict_json import MAX_CHARS
from ..sockets import TracksSocket

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


def is_checked_late(text: str | None) -> bool:
    """Whether a text is left to `execute`: a linked one, whose value is not known yet, and one that takes its time."""
    return text is None or QUICK_CHARS < len(text) <= MAX_CHARS


def read_tracks(
    payload: Mapping[str, Any], height: int | None = None, width: int | None = None, name: str = "tracks"
) -> Tracks:
    """Tracks of a TRACKS payload, of `height` x `width` px. TrackFormatError begins with the input's `name`.

    A node whose work does not depend on the size leaves it out: the Tracks then have a stand-in of 1 x 1 px.
    """
    try:
        return Tracks.from_payload(payload, height or 1, width or 1)
    except ValueError as error:
        raise TrackFormatError(f"{name}: {error}") from None
