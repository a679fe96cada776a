"""Text as people's programs save it: with a byte-order mark, as Windows' editors do, or in UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path

from .tracks import TrackFormatError

_MARK = "\ufeff"
# UTF-32's little-endian mark begins as UTF-16's does, so it is looked for first.
_MARKED = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def text_of(data: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 and UTF-32 where their mark says so; without the mark.

    Raises TrackFormatError naming the encoding and the remedy for bytes that are neither.
    """
    encoding = next((name for mark, name in _MARKED if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise TrackFormatError(
            f"this is no {encoding.upper()} text (byte {error.start}: {error.reason}); save it as UTF-8"
        ) from None
    if "\0" in text:
        raise TrackFormatError("it holds zero bytes, as UTF-16 without a byte-order mark does; save it as UTF-8")
    return without_mark(text)


def text_in(path: Path) -> str:
    """The text of the file `path`, as `text_of` reads it. Raises TrackFormatError naming the file."""
    try:
        return text_of(path.read_bytes())
    except TrackFormatError as error:
        raise TrackFormatError(f"{path.name}: {error}") from None


def without_mark(text: str) -> str:
    """`text` without the byte-order mark that it may begin with."""
    return text.removeprefix(_MARK)
