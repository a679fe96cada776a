"""A user's files below ComfyUI's input and output folders: which there are, and which one an option stands for."""

from __future__ import annotations

import os
import time
from functools import lru_cache
from pathlib import Path

import folder_paths

from ...motionstream_core.files import path_below

SEEN_FOR_S = 2.0

_OUTPUT = " [output]"


def listed(suffixes: tuple[str, ...], outputs: bool = True) -> list[str]:
    """Every file of these suffixes in the input folder, then in the output folder, marked as core marks those.

    The host asks several times for every prompt, and the folders may be large: an answer holds for SEEN_FOR_S, or
    until `forget`.
    """
    moment = int(time.monotonic() / SEEN_FOR_S)
    found = list(_below(folder_paths.get_input_directory(), suffixes, moment))
    if outputs:
        found += [f"{name}{_OUTPUT}" for name in _below(folder_paths.get_output_directory(), suffixes, moment)]
    return found


def forget() -> None:
    """A file was written: what is listed is looked for anew."""
    _below.cache_clear()


def chosen(option: str, suffixes: tuple[str, ...], what: str, outputs: bool = True) -> Path:
    """The file that an option of the input `what` stands for.

    Raises ValueError for a name that leads out of its folder or has another suffix, and FileNotFoundError naming the
    folder.
    """
    name = option.removesuffix(_OUTPUT).removesuffix("[output]") if outputs else option
    is_output = name != option
    folder = folder_paths.get_output_directory() if is_output else folder_paths.get_input_directory()
    path = path_below(folder, name, what)
    if not path.name.lower().endswith(suffixes):
        raise ValueError(f"{what} is {option!r}; its files end in {' or '.join(suffixes)}")
    if not path.is_file():
        other = f"; a file in the output folder is named with{_OUTPUT} behind it" if outputs and not is_output else ""
        raise FileNotFoundError(f"{what}: {name!r} is not in {folder}{other}")
    return path


def is_chosen(option: str | None, suffixes: tuple[str, ...], what: str, outputs: bool = True) -> bool | str:
    """For `validate_inputs`: True, or what is wrong with an option. None is linked, its value not known yet."""
    try:
        if option is not None:
            chosen(option, suffixes, what, outputs)
    except (ValueError, FileNotFoundError) as error:
        return str(error)
    return True


def state_of(option: str | None, suffixes: tuple[str, ...], what: str) -> str:
    """For `fingerprint_inputs`: changes when the file does. None is linked; the host follows the link itself."""
    if option is None:
        return "linked"
    try:
        state = chosen(option, suffixes, what).stat()
    except (ValueError, FileNotFoundError):
        return f"{option}: missing"
    return f"{option}: {state.st_size} bytes, {state.st_mtime_ns} ns"


def option_of(path: Path) -> str:
    """What the lists call a file of the output folder."""
    root = Path(folder_paths.get_output_directory()).resolve()
    return f"{path.resolve().relative_to(root).as_posix()}{_OUTPUT}"


@lru_cache(maxsize=8)
def _below(folder: str, suffixes: tuple[str, ...], _moment: int) -> tuple[str, ...]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in names if name.lower().endswith(suffixes) and not name.startswith(".")]
        found += [(Path(place).relative_to(folder) / name).as_posix() for name in files]
    return tuple(sorted(found))
