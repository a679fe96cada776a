"""Tracks in an npz file: exact, compact, with ids and frame size, for command lines and batch jobs."""

from __future__ import annotations

import io
import os
import zipfile
from typing import BinaryIO

import numpy as np
import torch

from .tracks import TrackFormatError, Tracks

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


def load_npz(source: bytes | str | os.PathLike[str]) -> Tracks:
    """The Tracks, on the CPU, that `save_npz` wrote to the path `source`, or that the bytes `source` are.

    Never unpickles. Raises TrackFormatError naming the array when the content is not what save_npz writes, and the
    system's OSError (FileNotFoundError, ...) when a path cannot be opened.
    """
    content = io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")  # noqa: SIM115
    with content:
        arrays = _arrays(content)
    for name, dtype in _DTYPES.items():
        if name not in arrays:
            raise TrackFormatError(f"npz: array '{name}' is missing; this is no npz of MotionStream Save Tracks")
        if arrays[name].dtype != dtype:
            raise TrackFormatError(f"npz: array '{name}' is {arrays[name].dtype}; it must be {np.dtype(dtype)}")
    for name in ("height", "width"):
        if arrays[name].shape != ():
            raise TrackFormatError(f"npz: array '{name}' has shape {arrays[name].shape}; it must be a single number")
    points, visibility, ids = (torch.from_numpy(arrays[name]) for name in ("points", "visibility", "ids"))
    try:
        return Tracks(points, visibility, int(arrays["height"]), int(arrays["width"]), ids)
    except ValueError as error:
        raise TrackFormatError(f"npz: {error}") from error


def _arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            return {name: loaded[name] for name in loaded.files}
    except (ValueError, EOFError, zipfile.BadZipFile, KeyError, OSError, NotImplementedError) as error:
        raise TrackFormatError(f"this is no readable npz file of MotionStream Save Tracks ({error})") from error
    raise TrackFormatError("this is a single npy array; tracks need the several that MotionStream Save Tracks writes")
