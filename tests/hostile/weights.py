"""Files of weights for the arena: the broken and evil ones before every reader, and whole ones changed at random."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from .reader_in_limits import READERS
from .weight_files import FILES, PLACES, samples

Broken = tuple[str, str]
Changed = tuple[str, str, int]
CHANGES = ("one bit", "cut", "a run of bytes")
NEAR = 6000  # bytes from either end: all between are numbers


def broken(count: int, seed: int) -> Sequence[Broken]:
    """Pairs of a file and a reader."""
    importlib.import_module("diffusers.models.autoencoders.autoencoder_kl_wan")  # no part of what is measured
    pairs = [(name, reader) for name in (*FILES, *PLACES) for reader in READERS]
    return random.Random(seed).sample(pairs, min(count, len(pairs)))


def try_broken(given: Broken) -> str | None:
    name, reader = given
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        (FILES | PLACES)[name](path)
        return _read(reader, path)


def changed(count: int, seed: int) -> Sequence[Changed]:
    """Kinds of files, kinds of changes, and seeds of the change."""
    kinds = list(_samples())
    return [
        (kinds[i % len(kinds)], CHANGES[i // len(kinds) % len(CHANGES)], seed * 1_000_000 + i) for i in range(count)
    ]


def try_changed(given: Changed) -> str | None:
    kind, change, seed = given
    with TemporaryDirectory() as folder:
        path = Path(folder) / "changed.weights"
        path.write_bytes(changed_bytes(_samples()[kind], change, random.Random(seed)))
        return _read("model", path)


def changed_bytes(whole: bytes, change: str, rng: random.Random) -> bytes:
    """A file with something of it other, or the rest of it gone."""
    content = bytearray(whole)
    at = rng.randrange(min(len(content), NEAR))
    at = at if rng.random() < 0.5 else len(content) - 1 - at
    if change == "one bit":
        content[at] ^= 1 << rng.randrange(8)
    elif change == "cut":
        del content[at:]
    else:
        content[at : at + 40] = rng.randbytes(40)
    return bytes(content)


def _read(reader: str, path: Path) -> str | None:
    try:
        READERS[reader](str(path))
    except ImportError as error:  # a quantisation, whose package is not here
        raise ValueError(str(error)) from None
    except (ValueError, OSError) as error:
        if path.name not in str(error):
            return f"the error does not name the file: {error}"
        raise
    return None


@cache
def _samples() -> dict[str, bytes]:
    return samples()
