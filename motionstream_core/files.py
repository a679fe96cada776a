"""Names of files that come from a user, and files that appear under their name when they are whole."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

MAX_PART_BYTES = 200
"""Of a file's or folder's name: systems take 255, and numbers and extensions are added."""
MAX_NAME_BYTES = 1000
_UNFIT = re.compile(r'[\\:*?"<>|]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)


def checked_name(name: str, what: str) -> str:
    """`name`, a user's, as a path of plain parts parted by "/", the same on every system; blanks about it are cut.

    what: names the input in messages. Raises ValueError for an absolute name or a drive's, "..", backslashes, control
    characters and NUL, lone surrogates, parts that begin with a dot or end in one or in a blank, names that Windows
    keeps to itself (con, nul, com1, ...), and for what is too long.
    """
    name = name.strip()
    if any(unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp") for each in name):
        raise _unfit(what, name, "it has a control character, or half of one of two")
    if _UNFIT.search(name):
        raise _unfit(what, name, 'none of \\ : * ? " < > | may be in it; subfolders are parted by /')
    if len(name.encode()) > MAX_NAME_BYTES:
        raise _unfit(what, name, f"it has {len(name.encode())} bytes; at most {MAX_NAME_BYTES} are taken")
    for part in name.split("/"):
        if not part.strip() or part.startswith(".") or part != part.strip() or part.endswith("."):
            raise _unfit(what, name, f"its part {part!r} is empty, begins with a dot, or ends in one or in a blank")
        if _RESERVED.fullmatch(part.split(".")[0].strip()):
            raise _unfit(what, name, f"{part.split('.')[0]!r} is a name that Windows keeps to itself")
        if len(part.encode()) > MAX_PART_BYTES:
            raise _unfit(what, name, f"a part of it has {len(part.encode())} bytes; at most {MAX_PART_BYTES} are taken")
    return name


def path_below(folder: str | Path, name: str, what: str) -> Path:
    """`folder` / `name`, a user's name as `checked_name` has it. Raises ValueError also where a link leads out."""
    root = Path(folder)
    path = root / checked_name(name, what)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{what}: the name {name!r} leads out of the folder {root.name} by way of a link")
    return path


def free_path(path: Path) -> Path:
    """`path`, or the first of name_0002, name_0003, ... that nothing bears."""
    first, number = path, 1
    while path.exists():
        number += 1
        path = first.with_name(f"{first.stem}_{number:04}{first.suffix}")
    return path


def require_new_file(path: Path, option: str, inputs: Iterable[Path | None] = (), overwrite: bool = False) -> None:
    """Raise unless `path` may be written: nothing is there, or, with `overwrite`, a regular file that is no input.

    Raises FileExistsError or ValueError that names the option.
    """
    if any(ord(each) < 32 or ord(each) == 127 for each in str(path)):
        raise ValueError(f"{option}: the name {str(path)!r} has a control character")
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(
            f"{option}: {path} is {_kind(found.st_mode)}, and only a regular file is written; give another"
        )
    for each in inputs:
        if each is not None and each.exists() and os.path.samestat(found, each.stat()):
            raise ValueError(f"{option}: {path} is read by this very command; give another name")
    if not overwrite:
        raise FileExistsError(f"{option}: {path} is there already; give --overwrite to replace it, or another name")


def require_regular(path: Path, what: str) -> None:
    """Raise unless `path` is a regular file, or a link to one: a FIFO would wait for ever, a device has no end.

    Raises FileNotFoundError, or ValueError for a folder, FIFO, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"{what}: there is no file {path}") from None
    if not stat.S_ISREG(mode):
        raise ValueError(f"{what}: {path} is {_kind(mode)}; give a regular file")


def sha256_of(path: Path) -> str:
    """The hash of a file's content, in hex; read piece by piece."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


class NewFile:
    """A file that is written beside its name, as `<name>.part`, and gets the name when it is whole.

    The part is created, never opened: a link planted there is not followed. One that a killed process left is
    removed. `file` is open for reading and writing. Raises FileExistsError where another process writes it, or where
    something that is no regular file bears its name.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.part = self.path.with_name(f"{self.path.name}.part")
        self.file = _created(self.part)

    def finish(self, name: Path | None = None) -> Path:
        """Close, and give the file its name, or another; what bore it is replaced."""
        name = name or self.path
        self.file.close()
        os.replace(self.part, name)
        return name

    def drop(self) -> None:
        """Close and remove. A full disk, which cannot take the last bytes, is no reason to keep the rest."""
        with suppress(OSError):
            self.file.close()
        self.part.unlink(missing_ok=True)


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file to be written, which appears as `path` when the block ends; after an error there is none."""
    new = NewFile(path)
    try:
        yield new.file
        new.finish()
    except BaseException:
        new.drop()
        raise


def write_text(path: str | Path, text: str, writer: str = "") -> None:
    """Write a text file, whole or not at all. writer: tells processes apart that may write the same file at once."""
    new = NewFile(f"{path}.{writer}" if writer else path)
    try:
        new.file.write(text.encode())
        new.finish(Path(path))
    except BaseException:
        new.drop()
        raise


def _created(part: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        number = os.open(part, flags, 0o666)
    except FileExistsError:
        _remove_left(part)
        number = os.open(part, flags, 0o666)
    _lock(number)
    return os.fdopen(number, "w+b")


def _remove_left(part: Path) -> None:
    """Remove a part whose process is gone. Raises FileExistsError for any other."""
    mode = part.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise FileExistsError(f"{part} is {_kind(mode)}, where this file is written until it is whole; remove it")
    number = os.open(part, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    try:
        if not _lock(number):
            raise FileExistsError(f"{part} is being written by another process; wait for it, or give another name")
    finally:
        os.close(number)
    part.unlink()


def _lock(number: int) -> bool:
    """Hold a file until it is closed. False where another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows refuses to remove what is open, which says the same
        return True
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _kind(mode: int) -> str:
    kinds: tuple[tuple[Any, str], ...] = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((what for test, what in kinds if test(mode)), "no regular file")


def _unfit(what: str, name: str, reason: str) -> ValueError:
    shown = name if len(name) <= 100 else f"{name[:100]}..."
    return ValueError(f"{what}: the name {shown!r} cannot be used: {reason}")
