"""What is wrong with a file, in words that name it."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO


class MediaError(ValueError):
    """A video or picture cannot be read. The message names the file and the fault; `fault` is the latter alone."""

    def __init__(self, fault: str, name: str = "") -> None:
        super().__init__(f"{name} {fault}" if name else fault)
        self.fault, self.name = fault, name

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str]]:
        return MediaError, (self.fault, self.name)

    def of(self, name: str) -> MediaError:
        """The same fault of a file of that name, unless it has one."""
        return self if self.name else MediaError(self.fault, name)


def checked_file(path: str | Path) -> Path:
    """`path`, whole, of a file that is there and holds something.

    Raises FileNotFoundError, or MediaError for a folder, a pipe, a device and an empty file.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if not path.is_file():
        raise MediaError("is no file, but a folder, pipe or device", str(path))
    if not path.stat().st_size:
        raise MediaError("is empty: 0 bytes", str(path))
    return path.resolve()


def name_of(source: str | Path | BinaryIO | bytes, kind: str) -> str:
    """How messages call a source: by its path; what has none is the `kind` in memory."""
    return str(source) if isinstance(source, str | Path) else f"the {kind} in memory"
