"""The part of a stored picture that its container says to show: mp4's clean aperture, Matroska's PixelCrop.

QuickTime, ffmpeg (7.1 and later) and, of Matroska, VLC and mpv crop by them; PyAV does not hand them on. Sources:
ISO/IEC 14496-12 (12.1.4), QuickTime File Format, RFC 9559 (5.1.4.1.28). What is no such file, or is broken, has no
crop.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import BinaryIO

MOST_BOXES = 100_000
"""That are walked in one file, so that one made of nothing else takes no hours."""
_SAMPLE_ENTRY_BYTES = 78  # of a visual sample entry, before the boxes within it
_TRACKS, _ENTRY, _VIDEO = (0x18538067, 0x1654AE6B), 0xAE, 0xE0
_TYPE, _IS_VIDEO = 0x83, 1
_EDGES = {0x54CC: "left", 0x54BB: "top", 0x54DD: "right", 0x54AA: "bottom"}


@dataclass(frozen=True)
class Crop:
    """Px that are cut off each edge of a stored picture."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0

    def __bool__(self) -> bool:
        return bool(self.left or self.top or self.right or self.bottom)

    def fits(self, width: int, height: int) -> bool:
        """Whether it leaves anything of a picture of this size."""
        return self.left + self.right < width and self.top + self.bottom < height


def crop_of(file: BinaryIO, place: int) -> Crop:
    """The crop of a file's video track, the `place`th of its video tracks; the file's own place is left as it is."""
    before = file.tell()
    try:
        file.seek(0)
        start = file.read(12)
        end = file.seek(0, 2)
        crops = _Matroska(file).crops(end) if start[:4] == b"\x1aE\xdf\xa3" else _Mp4(file).crops(end)
        return crops[place] if place < len(crops) else Crop()
    except (struct.error, ValueError):
        return Crop()
    finally:
        file.seek(before)


class _Boxes:
    """Pieces of a file, each with its kind, its content's place and end, and other pieces in it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._left = file, MOST_BOXES

    def _walked(self) -> bool:
        self._left -= 1
        return self._left < 0


class _Mp4(_Boxes):
    def crops(self, end: int) -> list[Crop]:
        """Of every video track, in their order."""
        found = []
        for _, start, stop in self._below(0, end, b"moov", b"trak", b"mdia"):
            handler = next(self._below(start, stop, b"hdlr"), None)
            if handler is not None and self._read(handler[1] + 8, 4) == b"vide":
                found.append(self._of_media(start, stop))
        return found

    def _of_media(self, start: int, stop: int) -> Crop:
        for _, table, table_end in self._below(start, stop, b"minf", b"stbl", b"stsd"):
            for _, entry, entry_end in self._boxes(table + 8, table_end):
                width, height = struct.unpack(">HH", self._read(entry + 24, 4))
                for _, place, _ in self._below(entry + _SAMPLE_ENTRY_BYTES, entry_end, b"clap"):
                    return _of_aperture(struct.unpack(">IIIIiIiI", self._read(place, 32)), width, height)
                return Crop()
        return Crop()

    def _below(self, start: int, end: int, *path: bytes) -> Iterator[tuple[bytes, int, int]]:
        for kind, place, stop in self._boxes(start, end):
            if kind == path[0]:
                if len(path) == 1:
                    yield kind, place, stop
                else:
                    yield from self._below(place, stop, *path[1:])

    def _boxes(self, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
        """(kind, where its content begins, where it ends) of the boxes from `start` to `end`."""
        while start + 8 <= end and not self._walked():
            size, kind = struct.unpack(">I4s", self._read(start, 8))
            head = 8
            if size == 1:
                (size,), head = struct.unpack(">Q", self._read(start + 8, 8)), 16
            stop = start + size if size else end
            if stop < start + head or stop > end:
                return
            yield kind, start + head, stop
            start = stop

    def _read(self, place: int, count: int) -> bytes:
        self._file.seek(place)
        return self._file.read(count)


def _of_aperture(said: tuple[int, ...], width: int, height: int) -> Crop:
    """Of a clean aperture: its width, its height, and how far its middle is from the picture's; each a fraction.

    Edges are rounded as ffmpeg rounds them.
    """
    if 0 in said[1::2]:
        return Crop()
    wide, high, right, down = (Fraction(said[index], said[index + 1]) for index in range(0, 8, 2))
    left, top = (width - wide) / 2 + right, (height - high) / 2 + down
    last_column, last_row = floor(left + wide - 1), floor(top + high - 1)
    crop = Crop(floor(left), floor(top), width - 1 - last_column, height - 1 - last_row)
    is_inside = min(crop.left, crop.top, crop.right, crop.bottom) >= 0 and crop.fits(width, height)
    return crop if is_inside else Crop()


class _Matroska(_Boxes):
    def crops(self, end: int) -> list[Crop]:
        """Of every video track, in their order."""
        found = []
        for _, start, stop in self._below(0, end, *_TRACKS):
            for kind, entry, entry_end in self._elements(start, stop):
                if kind == _ENTRY and self._number(entry, entry_end, _TYPE) == _IS_VIDEO:
                    found.append(self._of_entry(entry, entry_end))
        return found

    def _of_entry(self, start: int, stop: int) -> Crop:
        edges: dict[str, int] = {}
        for kind, place, end in self._elements(start, stop):
            if kind == _VIDEO:
                for edge, first, last in self._elements(place, end):
                    if edge in _EDGES:
                        edges[_EDGES[edge]] = self._whole(first, last)
        return Crop(**edges)

    def _number(self, start: int, stop: int, wanted: int) -> int | None:
        return next((self._whole(*each) for kind, *each in self._elements(start, stop) if kind == wanted), None)

    def _whole(self, start: int, stop: int) -> int:
        self._file.seek(start)
        return int.from_bytes(self._file.read(min(stop - start, 8)), "big")

    def _below(self, start: int, end: int, *path: int) -> Iterator[tuple[int, int, int]]:
        for kind, place, stop in self._elements(start, end):
            if kind == path[0]:
                if len(path) == 1:
                    yield kind, place, stop
                else:
                    yield from self._below(place, stop, *path[1:])
                return

    def _elements(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(kind, where its content begins, where it ends) of the elements from `start` to `end`."""
        while start < end and not self._walked():
            kind, start = self._varied(start, keep_marker=True)
            size, start = self._varied(start, keep_marker=False)
            stop = end if size is None else min(start + size, end)
            yield kind or 0, start, stop
            start = stop

    def _varied(self, place: int, keep_marker: bool) -> tuple[int | None, int]:
        """(a number of varied length, None for a size that is not known; where it ends)."""
        self._file.seek(place)
        first = self._file.read(1)
        if not first or not first[0]:
            raise ValueError("no element begins here")
        length = 9 - first[0].bit_length()
        whole = int.from_bytes(first + self._file.read(length - 1), "big")
        if keep_marker:
            return whole, place + length
        mask = (1 << 7 * length) - 1
        return (None if whole & mask == mask else whole & mask), place + length
