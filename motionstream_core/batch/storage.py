"""Where renders read and write: paths of this machine, and any other address through fsspec (s3://, gs://, ...)."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from typing import Any

from ..files import new_file, path_below, require_regular

PART = ".part"


def is_address(place: str) -> bool:
    """Whether a place is an address, and no path of this machine."""
    return "://" in place


def below(folder: str, name: str) -> str:
    """A file's place in a folder; `name` has parts parted by "/". Raises ValueError as `files.path_below` does."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(path_below(folder, name, "job_id"))


def exists(place: str) -> bool:
    """Whether a file is there. Raises as `system` does."""
    return system(place).exists(place) if is_address(place) else Path(place).is_file()


def names_below(folder: str) -> set[str]:
    """The names, as `below` takes them, of all files in a folder and its folders; none where it is not there."""
    if not is_address(folder):
        root = Path(folder)
        found = (each for each in root.rglob("*") if each.is_file() and not each.is_symlink())
        return {each.relative_to(root).as_posix() for each in found}
    files = system(folder)
    import fsspec

    root = fsspec.url_to_fs(folder)[1].rstrip("/")
    return {each.removeprefix(root).lstrip("/") for each in files.find(root)}


def content(place: str) -> bytes | None:
    """A small file's content, None where there is none."""
    if not exists(place):
        return None
    return system(place).cat_file(place) if is_address(place) else Path(place).read_bytes()


def remove(place: str) -> None:
    """Remove a file where it is there."""
    if not is_address(place):
        Path(place).unlink(missing_ok=True)
    elif exists(place):
        system(place).rm_file(place)


def fetched(place: str, folder: Path) -> Path:
    """A path with the file's content: its own, or that of a copy in `folder`. Raises FileNotFoundError for none."""
    if not is_address(place):
        return Path(place)
    copy = folder / posixpath.basename(place)
    system(place).get_file(place, str(copy))
    return copy


def put(path: Path, place: str) -> None:
    """A local file's content under `place`, where it appears when it is whole."""
    if not is_address(place):
        with new_file(place) as file:
            file.write(path.read_bytes())
        return
    files = system(place)
    files.makedirs(posixpath.dirname(place), exist_ok=True)
    files.put_file(str(path), place + PART)
    files.mv(place + PART, place)


def stamp(place: str) -> str:
    """Changes when a file of this machine does; "" for an address. Raises as `files.require_regular` does."""
    if is_address(place):
        return ""
    require_regular(Path(place), Path(place).name)
    found = os.stat(place)
    return f"{found.st_size}:{found.st_mtime_ns}"


def system(place: str) -> Any:
    """The file system of an address. Raises ImportError or ValueError with what is missing for it."""
    try:
        import fsspec
    except ImportError:
        raise ImportError(f"{place} needs fsspec; pip install fsspec, or the extra cluster of this package") from None
    protocol = place.partition("://")[0]
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        raise ImportError(f"{place}: {error}") from None
    except ValueError:
        raise ValueError(f"{place}: {protocol}:// is known to no package that is installed") from None
