"""Files of tracks below ComfyUI's output and input folders: which there are, where a name leads, writing."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

import folder_paths

from ...motionstream_core.files import new_file, path_below
from ...motionstream_core.tracks import Tracks, save_npz, to_coordinate_json
from ...motionstream_core.tracks.drawn.files import SUFFIXES
from ...motionstream_core.tracks.tracks import require_budget

IF_EXISTS = ("increment", "overwrite", "skip")
SEEN_FOR_S = 2.0

_OUTPUT = " [output]"


def file_options() -> list[str]:
    """Every file of tracks in the input folder, then in the output folder, marked as core marks those.

    The host asks several times for every prompt, and the folders may be large: an answer holds for SEEN_FOR_S.
    """
    folders = folder_paths.get_input_directory(), folder_paths.get_output_directory()
    return list(_options_of(*folders, int(time.monotonic() / SEEN_FOR_S)))


@lru_cache(maxsize=1)
def _options_of(inputs: str, outputs: str, _moment: int) -> tuple[str, ...]:
    return (*_found_below(inputs), *(f"{name}{_OUTPUT}" for name in _found_below(outputs)))


def file_of(option: str) -> Path:
    """The file that an option stands for. Raises ValueError for a name that leads out of its folder or has another
    suffix, and FileNotFoundError naming the folder."""
    name = option.removesuffix(_OUTPUT).removesuffix("[output]")
    is_output = name != option
    folder = folder_paths.get_output_directory() if is_output else folder_paths.get_input_directory()
    path = path_below(folder, name, "file")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"file is {option!r}; files of tracks end in {' or '.join(SUFFIXES)}")
    if not path.is_file():
        other = "" if is_output else f"; a file in the output folder is named with{_OUTPUT} behind it"
        raise FileNotFoundError(f"{name!r} is not in {folder}{other}")
    return path


def write(tracks: Tracks, path: Path, if_exists: str) -> Path:
    """Write tracks as npz or coordinate JSON, as the suffix says; the file appears when it is whole.

    Returns the file's path, which is another one for "increment" where `path` exists: name_0002, name_0003, ...
    """
    if path.exists() and if_exists == "skip":
        return path
    if if_exists == "increment":
        first, number = path, 1
        while path.exists():
            number += 1
            path = first.with_name(f"{first.stem}_{number:04}{first.suffix}")
    require_budget(tracks.num_tracks, tracks.num_frames)  # what is saved shall be read again
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        if path.suffix == ".npz":
            save_npz(tracks, file)
        else:
            file.write(to_coordinate_json(tracks).encode())
    _options_of.cache_clear()
    return path


def named(name: str, format: str) -> str:
    """A file's name with the format's suffix, in place of one that it may have."""
    bare = name.strip()
    for suffix in SUFFIXES:
        bare = bare.removesuffix(suffix)
    return f"{bare}.{format}"


def _found_below(folder: str) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith(".")]
        found += [(Path(place).relative_to(folder) / name).as_posix() for name in files]
    return sorted(found)
