"""The files of `weight_files`, each read by every reader, and good ones changed at random."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from .reader_in_limits import READERS
from .weight_files import DAMAGED, FILES, PLACES, SCALES, samples

WRITERS = FILES | PLACES | SCALES | DAMAGED
MAY_PASS = {(name, kind) for name in (*SCALES, *DAMAGED) for kind in READERS if name in DAMAGED or kind == "inspect"}
"""What is in a file of scales or damaged numbers may be told; the model alone is read to the last number."""


def files() -> list[tuple[str, str]]:
    """(name of a file, reader)."""
    return [(name, kind) for name in WRITERS for kind in READERS]


def try_file(given: tuple[str, str]) -> str | None:
    """Write it and read it."""
    name, kind = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        WRITERS[name](path)
        _read(kind, path)
    return None if given in MAY_PASS and kind != "model" else "it was taken"


def changed(count: int, seed: int) -> list[tuple[bytes, str]]:
    """(a good file of some kind with bits flipped, cut or overwritten, reader)."""
    rng, good, made = random.Random(seed), list(samples().values()), []
    for _ in range(count):
        content = bytearray(rng.choice(good))
        at = rng.randrange(min(len(content), 6000))
        at = at if rng.random() < 0.5 else len(content) - 1 - at
        action = rng.randrange(3)
        if action == 0:
            content[at] ^= 1 << rng.randrange(8)
        elif action == 1:
            del content[at:]
        else:
            content[at : at + 40] = rng.randbytes(40)
        made.append((bytes(content), rng.choice(["model", "inspect"])))
    return made


def try_changed(given: tuple[bytes, str]) -> None:
    """Read it; other numbers are numbers too, so it may be taken."""
    content, kind = given
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "changed.weights"
        path.write_bytes(content)
        _read(kind, path)


def _read(kind: str, path: Path) -> None:
    try:
        READERS[kind](str(path))
    except ImportError as error:  # a reader that is not installed
        raise ValueError(str(error)) from None
