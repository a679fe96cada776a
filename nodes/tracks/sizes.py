"""TRACKS and the size of frame that they were made for: read by it, brought to another one, handed on with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ...motionstream_core.tracks import TrackFormatError, Tracks, payload_size, require_inside
from ...motionstream_core.tracks.transfer import Fit, fitted
from ..frame_fit import PICTURE_FITS, Size

Payload = Mapping[str, Any]
STAND_IN: Size = (1, 1)
RESCALE = "the node MotionStream Rescale Tracks"
PICTURE_FIT_NAMES = {core: option for option, core in PICTURE_FITS.items()}


def read_tracks(payload: Payload, name: str = "tracks", size: Size = STAND_IN) -> Tracks:
    """Tracks of a TRACKS payload, in px of the frame that it names, or else of `size`.

    A node whose work does not depend on the size leaves that out. TrackFormatError begins with the input's `name`.
    """
    try:
        return Tracks.from_payload(payload, *size)
    except ValueError as error:
        raise TrackFormatError(f"{name}: {error}") from None


def handed_on(tracks: Tracks, *given: Payload) -> dict[str, Any]:
    """TRACKS that a node made of `given`: they name a size where one of those did."""
    return tracks.to_payload(sized=any(payload_size(each) for each in given))


def sized_tracks(
    payload: Payload,
    height: int,
    width: int,
    *,
    otherwise: Size | None = None,
    sides: tuple[str, str] = ("height", "width"),
    overrules: bool = False,
) -> Tracks:
    """Tracks in px of a frame of `height` x `width`; 0 for what the payload names, or else `otherwise`.

    sides: the node's inputs with these numbers. overrules: whether they may contradict the payload, which is an error
    elsewhere. Raises TrackFormatError where the size is known from nowhere.
    """
    named = payload_size(payload)
    known = named or otherwise or (0, 0)
    size = (height or known[0], width or known[1])
    if not all(size):
        raise TrackFormatError(
            f"{sides[1]} is {width} and {sides[0]} {height}, but these tracks do not say the size of the frame that "
            f"they were made for; give {sides[1]} and {sides[0]}"
        )
    if named is not None and named != size:
        contradiction = f"{sides[1]} x {sides[0]} is {_px(size)}, but the tracks were made for {_px(named)}"
        if not overrules:
            raise TrackFormatError(
                f"{contradiction}; set both to 0, which takes theirs, or bring them to this size with {RESCALE}"
            )
        logging.warning("MotionStream: %s; the node's inputs count", contradiction)
    tracks = read_tracks(payload, size=size)
    return Tracks(tracks.points, tracks.visibility, *size, tracks.ids)


def over_pictures(payload: Payload, height: int, width: int, pictures: Size, sides: tuple[str, str]) -> Tracks:
    """Tracks to be drawn over pictures of that size: of `height` x `width` px, which `sides` name, or cut to the
    pictures as a sampler cuts its image unless it is told otherwise; the log tells of it."""
    tracks = sized_tracks(payload, height, width, otherwise=pictures, sides=sides)
    if height or width:
        return tracks
    tracks, told = brought(tracks, pictures, PICTURE_FITS["crop"], "tracks")
    if told:
        logging.info("MotionStream: %s", told)
    return tracks


def over_frame(payload: Payload, size: Size, fit: Fit, name: str) -> tuple[Tracks, str]:
    """Tracks in px of a frame of `size`, and what was done to them, in words ("" for nothing).

    Those that name another size are brought along as `fit` brings a picture. Raises TrackFormatError, beginning with
    `name`, where no size is named and most of them lie outside the frame.
    """
    tracks = read_tracks(payload, name, size)
    if payload_size(payload) is None:
        require_named_inside(tracks, name)
    return brought(tracks, size, fit, name)


def require_named_inside(tracks: Tracks, name: str) -> None:
    """Raises TrackFormatError, beginning with `name`, where most tracks lie outside the frame that they are said of."""
    try:
        require_inside(tracks, f"bring them to this one with {RESCALE}")
    except TrackFormatError as error:
        raise TrackFormatError(f"{name}: {error}") from None


def brought(tracks: Tracks, size: Size, fit: Fit, name: str) -> tuple[Tracks, str]:
    """Tracks of a known size in a frame of `size`, and what was done to them, in words."""
    before = (tracks.height, tracks.width)
    if before == size:
        return tracks, ""
    how = PICTURE_FIT_NAMES.get(fit, fit)
    return fitted(tracks, *size, fit), f"{name}: made for {_px(before)}, brought to {_px(size)} ({how})"


def _px(size: Size) -> str:
    return f"{size[1]} x {size[0]} px"
