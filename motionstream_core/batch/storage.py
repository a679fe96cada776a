"""Where renders read and write: paths of this machine, and any other address through fsspec (s3://, gs://, ...)."""

from __future__ import annotations

import os
import posixpath
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..entry import one_line
from ..files import new_file, path_below, require_regular

PART = ".part"
BUCKETS = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
"""Protocols of object stores: what is put there appears whole, and folders are but parts of its name. Asked for a
folder, their packages would make a bucket of a misspelt name."""


def is_address(place: str) -> bool:
    """Whether a place is an address, and no path of this machine."""
    return "://" in place


def below(folder: str, name: str) -> str:
    """A file's place in a folder; `name` has parts parted by "/". Raises ValueError as `files.path_below` does."""
    return f"{folder.rstrip('/')}/{name}" if is_address(folder) else str(path_below(folder, name, "job_id"))


def require_writable(folder: str) -> None:
    """Raise OSError where nothing can be written to an address. A folder here shows it with its first file."""
    if not is_address(folder):
        return
    with _at(folder):
        files, probe = system(folder), below(folder, f"{uuid.uuid4()}{PART}")
        if _protocol(folder) not in BUCKETS:
            files.makedirs(folder, exist_ok=True)
        files.pipe_file(probe, b"")
        files.rm_file(probe)


def exists(place: str) -> bool:
    """Whether a file is there. Raises as `system` does, and OSError where an address cannot be asked."""
    if not is_address(place):
        return Path(place).is_file()
    with _at(place):
        return system(place).exists(place)


def names_below(folder: str) -> set[str]:
    """The names, as `below` takes them, of all files below an address; none where it is not there.

    Raises as `exists` does.
    """
    with _at(folder):
        files = system(folder)
        import fsspec

        root = fsspec.url_to_fs(folder)[1].rstrip("/")
        found = files.find(root)
        files.invalidate_cache()  # else what others write meanwhile would not be seen
    return {each.removeprefix(root).lstrip("/") for each in found}


def content(place: str) -> bytes | None:
    """A small file's content, None where there is none. Raises as `exists` does."""
    if not exists(place):
        return None
    if not is_address(place):
        return Path(place).read_bytes()
    with _at(place):
        return system(place).cat_file(place)


def remove(place: str) -> None:
    """Remove a file where it is there. Raises as `exists` does."""
    if not is_address(place):
        Path(place).unlink(missing_ok=True)
    elif exists(place):
        with _at(place):
            system(place).rm_file(place)


def fetched(place: str, folder: Path) -> Path:
    """A path with the file's content: its own, or that of a copy in `folder`.

    Raises FileNotFoundError for none, and as `exists` does.
    """
    if not is_address(place):
        return Path(place)
    copy = folder / posixpath.basename(place)
    with _at(place):
        try:
            system(place).get_file(place, str(copy))
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
    if not copy.is_file():
        raise FileNotFoundError(f"there is no file {place}")
    return copy


def put(path: Path, place: str) -> None:
    """A local file's content under `place`, where it appears when it is whole. Raises as `exists` does."""
    if not is_address(place):
        with new_file(place) as file:
            file.write(path.read_bytes())
        return
    with _at(place):
        files = system(place)
        if _protocol(place) in BUCKETS:
            files.put_file(str(path), place)
            return
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
    protocol = _protocol(place)
    try:
        return fsspec.filesystem(protocol)
    except ImportError as error:
        raise ImportError(f"{place}: {error}") from None
    except ValueError:
        raise ValueError(f"{place}: {protocol}:// is known to no package that is installed") from None


def _protocol(place: str) -> str:
    return place.partition("://")[0]


@contextmanager
def _at(place: str) -> Iterator[None]:
    """What goes wrong at an address is an OSError that names it, whatever its package calls it."""
    try:
        yield
    except (ImportError, ValueError):  # of `system`
        raise
    except FileNotFoundError as error:
        raise OSError(f"{place}: there is no such bucket or folder ({one_line(error)})") from error
    except Exception as error:
        raise OSError(f"{place}: {one_line(error) or type(error).__name__}") from error
