"""A file of tracks: npz, a drawing of the track editor, coordinate JSON. Nodes and commands read it the same way."""

from __future__ import annotations

from pathlib import Path

from ..npz import load_npz
from ..parse import Reading, counted, read_coordinates
from ..text import text_of
from ..tracks import TrackFormatError, Tracks
from .document import Canvas
from .parse import parse_document

SUFFIXES = (".npz", ".json")
MAX_BYTES = 512 * 2**20


def read_file(
    path: Path, size: tuple[int, int] | None, *, units: str = "auto", order: str = "auto", remedy: str
) -> Reading:
    """The tracks of a file, in px of the frame that it names; of `size` (height, width) where it names none.

    npz: as save_npz writes it; a document of the track editor; or coordinates (`read_coordinates` tells of units, order
    and remedy), which name no frame: without `size` they are an error. Raises TrackFormatError that begins with the
    file's name.
    """
    try:
        num_bytes = path.stat().st_size
        if num_bytes > MAX_BYTES:
            raise TrackFormatError(f"it has {num_bytes} bytes; at most {MAX_BYTES} are read")
        data = path.read_bytes()
        if path.suffix.lower() == ".npz":
            return _sized(load_npz(data))
        text = text_of(data)
        if text.lstrip().startswith("{"):
            return _sized(parse_document(text, Canvas(1, 1, 1, 1.0)).sample())
        if size is None:
            raise TrackFormatError("coordinates do not tell the size of their frame; give its width and height")
        return read_coordinates(text, height=size[0], width=size[1], units=units, order=order, remedy=remedy)
    except TrackFormatError as error:
        raise TrackFormatError(f"{path.name}: {error}") from None


def _sized(tracks: Tracks) -> Reading:
    return Reading(tracks, f"{counted(tracks)}; made for {tracks.width} x {tracks.height} px")
