"""Files of tracks below ComfyUI's output folder: their names, and writing them."""

from __future__ import annotations

from pathlib import Path

from ...motionstream_core.files import free_path, new_file
from ...motionstream_core.tracks import Tracks, save_npz, to_coordinate_json
from ...motionstream_core.tracks.drawn.files import SUFFIXES
from ...motionstream_core.tracks.tracks import require_budget
from ..host.user_files import forget

IF_EXISTS = ("increment", "overwrite", "skip")


def write(tracks: Tracks, path: Path, if_exists: str) -> Path:
    """Write tracks as npz or coordinate JSON, as the suffix says; the file appears when it is whole.

    Returns the file's path, which is another one for "increment" where `path` exists: name_0002, name_0003, ...
    """
    if path.exists() and if_exists == "skip":
        return path
    if if_exists == "increment":
        path = free_path(path)
    require_budget(tracks.num_tracks, tracks.num_frames)  # what is saved shall be read again
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        if path.suffix == ".npz":
            save_npz(tracks, file)
        else:
            file.write(to_coordinate_json(tracks).encode())
    forget()
    return path


def named(name: str, format: str) -> str:
    """A file's name with the format's suffix, in place of one that it may have."""
    bare = name.strip()
    for suffix in SUFFIXES:
        bare = bare.removesuffix(suffix)
    return f"{bare}.{format}"
