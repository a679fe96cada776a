"""Tracks in an npz file: exact, compact, with ids and frame size, for command lines and batch jobs."""

from __future__ import annotations

import io
import lzma
import os
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from ..files import require_regular
from .tracks import MAX_SAMPLES, NUM_IDS, TrackFormatError, Tracks

HEADER_BYTES = 2**14
_DTYPES = {"points": np.float32, "visibility": np.bool_, "ids": np.int64, "height": np.int64, "width": np.int64}


def save_npz(tracks: Tracks, file: str | os.PathLike[str] | BinaryIO) -> None:
    """Write `tracks` to `file`, a path (used as it is, no suffix is added) or a binary file open for writing.

    Arrays: points float32 (t n 2) px, visibility bool (t n), ids int64 (n), height and width int64 () px.
    """
    if isinstance(file, str | os.PathLike):
        with open(file, "wb") as opened:
            save_npz(tracks, opened)
        return
    np.savez_compressed(
        file,
        points=tracks.points.cpu().numpy(),
        visibility=tracks.visibility.cpu().numpy(),
        ids=tracks.ids.cpu().numpy(),
        height=np.int64(tracks.height),
        width=np.int64(tracks.width),
    )


def load_npz(source: bytes | str | os.PathLike[str], most_samples: int = MAX_SAMPLES) -> Tracks:
    """The Tracks, on the CPU, that `save_npz` wrote to the path `source`, or that the bytes `source` are.

    Never unpickles; reads the known arrays alone, as far as `most_samples` (tracks x frames) go. Raises
    TrackFormatError naming the array when the content is not what save_npz writes, ValueError for a path that is no
    regular file, and the system's OSError (FileNotFoundError, ...) when it cannot be opened.
    """
    if not isinstance(source, bytes):
        require_regular(Path(source), "npz")
    content = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
    with content:
        arrays = _arrays(content, most_samples)
    for name in ("height", "width"):
        if arrays[name].shape != ():
            raise TrackFormatError(f"npz: array '{name}' has shape {arrays[name].shape}; it must be a single number")
    points, visibility, ids = (torch.from_numpy(arrays[name]) for name in ("points", "visibility", "ids"))
    try:
        return Tracks(points, visibility, int(arrays["height"]), int(arrays["width"]), ids)
    except ValueError as error:
        raise TrackFormatError(f"npz: {error}") from error


def _arrays(file: BinaryIO, most_samples: int) -> dict[str, np.ndarray]:
    if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
        raise TrackFormatError("this is a single npy array; MotionStream Save Tracks writes several")
    most = {"points": 8 * most_samples, "visibility": most_samples, "ids": 8 * NUM_IDS, "height": 8, "width": 8}
    try:
        with zipfile.ZipFile(file) as archive:
            return {name: _array(archive, name, bytes_) for name, bytes_ in most.items()}
    except TrackFormatError:
        raise
    # zipfile's own kinds, those of what it unpacks by, and RuntimeError for what is encrypted
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, ValueError, EOFError, OSError, RuntimeError) as error:
        raise TrackFormatError(f"this is no readable npz file of MotionStream Save Tracks ({error})") from error


def _array(archive: zipfile.ZipFile, name: str, most_bytes: int) -> np.ndarray:
    try:
        entry = archive.getinfo(f"{name}.npy")
    except KeyError:
        raise TrackFormatError(f"npz: array '{name}' is missing; this is no npz of MotionStream Save Tracks") from None
    if entry.file_size > most_bytes + HEADER_BYTES:
        raise TrackFormatError(
            f"npz: array '{name}' has {entry.file_size} bytes unpacked, and at most {most_bytes} are held; save fewer "
            f"points or frames"
        )
    with archive.open(entry) as packed:
        content = io.BytesIO(packed.read(entry.file_size))  # never more, whatever the archive goes on with
    if np.lib.format.read_magic(content) == (1, 0):
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(content)
    else:
        shape, is_fortran, dtype = np.lib.format.read_array_header_2_0(content)
    if dtype != _DTYPES[name]:
        raise TrackFormatError(f"npz: array '{name}' is {dtype}; it must be {np.dtype(_DTYPES[name])}")
    values = np.frombuffer(content.getbuffer(), dtype, offset=content.tell())
    return values.reshape(shape, order="F" if is_fortran else "C").copy()
