"""Generators of broken trajectories: coordinate texts, documents, cameras, npz files; and what is due to each."""

from __future__ import annotations

import copy
import io
import json
import math
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motionstream_core.tracks import (
    Canvas,
    Tracks,
    load_npz,
    parse_camera,
    parse_document,
    parse_tracks,
    point_grid,
    resample,
    save_npz,
)
from motionstream_core.tracks.tracks import MAX_SAMPLES
from tests.data.mutate_document import JUNK, mutated, well_formed

DATA = Path(__file__).parents[1] / "data"
CANVAS = Canvas(64, 48, 9, 16)
EXAMPLES: tuple[Any, ...] = (
    [[{"x": 1, "y": 2.5}, {"x": 3, "y": 4, "v": 0}], [{"x": 9, "y": 9}]],
    [[[1, 2], [3, 4, 1]], [[5, 6]]],
    [{"x": 1, "y": 2}, {"x": 3, "y": 4}],
    [[1, 2], [3, 4], [5, 6, 0]],
)


# --- coordinate texts


def coordinate_texts(count: int, seed: int) -> Iterator[str]:
    """JSON of tracks with one to four values replaced, or with a few characters changed."""
    rng = random.Random(seed)
    for _ in range(count):
        value = json.loads(json.dumps(rng.choice(EXAMPLES)))
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            value = _replaced(value, rng)
        text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
        for _ in range(rng.choice((0, 0, 0, 1, 3))):
            at = rng.randrange(len(text) + 1)
            text = (
                text[:at]
                + rng.choice(["", "[", "]", "{", "}", ",", ":", '"', "'", "1", "e", "-", "\x00", "é"])
                + text[at + rng.randrange(2) :]
            )
        yield text


def _replaced(value: Any, rng: random.Random) -> Any:
    if not isinstance(value, list | dict) or not value or rng.random() < 0.2:
        return copy.deepcopy(rng.choice(JUNK))
    key = rng.choice(list(value) if isinstance(value, dict) else range(len(value)))
    value[key] = _replaced(value[key], rng)
    return value


def try_coordinates(text: str) -> str | None:
    """Read; what is taken must be a text that an independent reading of the rules allows, where it is JSON."""
    tracks = parse_tracks(text, height=48, width=64)
    try:
        value = json.loads(text, object_pairs_hook=_pairs)
        if value and all(isinstance(each, str) for each in value):  # texts of one track each, or of a list of them
            value = [track for each in value for track in _track_lists(json.loads(each, object_pairs_hook=_pairs))]
    except ValueError:
        return None  # a Python literal
    return None if _are_tracks(value, tracks) else "it is no list of tracks, or was read as others"


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise AssertionError(f"a repeated field was read: {pairs}")
    return dict(pairs)


def _track_lists(value: Any) -> list[Any]:
    return value if isinstance(value[0], list) and isinstance(value[0][0], list | dict) else [value]


def _are_tracks(value: Any, tracks: Tracks) -> bool:
    if value == []:
        return tracks.num_tracks == 0
    lists = _track_lists(value)
    if len(lists) != tracks.num_tracks or max(map(len, lists)) != tracks.num_frames:
        return False
    for n, samples in enumerate(lists):
        for t, sample in enumerate(samples):
            x, y, v = (sample["x"], sample["y"], sample.get("v", 1)) if isinstance(sample, dict) else (*sample, 1)[:3]
            if isinstance(sample, dict) and not set(sample) <= set("xyv"):
                return False
            if not all(type(each) in (int, float) and abs(each) <= 1e6 for each in (x, y)) or v not in (0, 1):
                return False
            read = tracks.points[t, n].tolist()
            if not all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-30) for a, b in zip(read, (x, y), strict=True)):
                return False
            if bool(tracks.visibility[t, n]) != bool(v):
                return False
    return True


def _repeated(fields: int) -> str:
    """An object of so many fields of which the last comes twice: what counts names for each of them takes squares."""
    return "{" + ",".join([f'"f{i}":1' for i in range(fields)] + [f'"f{fields - 1}":1']) + "}"


COORDINATE_BOMBS = {
    "a field twice among 20000": f"[[{_repeated(20_000)}]]",
    "220 kB that pad to 4 GB": json.dumps([[[1, 1]] * 22_000, *[[[1, 1]]] * 22_000]),
    "100000 lists, one in the other": "[" * 100_000 + "]" * 100_000,
    "6 MB of a Python literal": "[" + "['a']," * 1_000_000 + "]",
    "a literal of 256 kB": "[" + "(1,2)," * 43_000 + "(1,'x')]",
    "200000 brackets of a literal": "(" * 200_000,
    "a number of a million digits": "[[[" + "9" * 1_000_000 + ", 1]]]",
    "30 MB of spaces": " " * 30_000_000,
    "20 MB of empty lists": "[" + "[],[]," * 3_500_000 + "[]]",
    "minus of minus": "[[[" + "-" * 100_000 + "1, 2]]]",
    "sums": "[[[" + "1+" * 50_000 + "1, 2]]]",
    "half a character": '[[{"x": "\\ud800", "y": 1}]]',
    "NUL": "[[[1, 2]]]\x00",
}


# --- documents of the editor


def documents(count: int, seed: int) -> Iterator[str]:
    """As tests/data/mutate_document.py breaks them."""
    files = (DATA / name for name in ("documents.json", "camera.json"))
    known = [case["document"] for file in files for case in json.loads(file.read_text("utf-8"))["valid"]]
    return (mutated(seed * 1_000_000 + index, known) for index in range(count))


def try_document(text: str) -> str | None:
    """Read and sample; what is taken must be well formed."""
    document = parse_document(text, CANVAS)
    if text.strip() and not well_formed(text):
        return "it is no document"
    document.sample()
    return None


def _document(num_frames: int, *tracks: dict[str, Any]) -> str:
    canvas = {"width": 64, "height": 48, "num_frames": num_frames, "fps": 16}
    return json.dumps({"format": "motionstream-tracks", "version": 1, "canvas": canvas, "tracks": list(tracks)})


def _anchor(side: int) -> dict[str, Any]:
    place = {"id": "a", "kind": "anchor", "interpolation": "linear", "points": [[1, 1]], "start": 0, "duration": 0}
    return place | {"grid": {"columns": side, "rows": side, "dx": 1, "dy": 1}}


DOCUMENT_BOMBS = {
    "a grid over a million frames": _document(1_000_000, _anchor(316)),
    "a grid of a million": _document(9, _anchor(1000)),
    "a field twice among 20000": _repeated(20_000),
    "a field twice, deep": '{"tracks": [' + _repeated(20_000) + "]}",
    "100000 objects, one in the other": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "17 MB": '{"a": "' + "a" * 17 * 2**20 + '"}',
    "a version of a million digits": '{"format": "motionstream-tracks", "version": ' + "9" * 1_000_000 + "}",
}


# --- cameras


def cameras(count: int, seed: int) -> Iterator[str]:
    """Moves and poses with values replaced."""
    rng = random.Random(seed)
    pose = {"intrinsics": [50, 50, 32, 24], "camera_to_world": np.eye(4).tolist()}
    move = {"move": "pan", "amount": 0.2, "start": 0, "duration": 9, "easing": "linear"}
    known: tuple[Any, ...] = ([move, move], [pose, pose], {"poses": [pose], "width": 64, "height": 48})
    for _ in range(count):
        value = json.loads(json.dumps(rng.choice(known)))
        for _ in range(rng.choice((1, 1, 2, 4))):
            value = _replaced(value, rng)
        yield json.dumps(value)


def try_camera(text: str) -> str | None:
    """Read; poses must be rotations with finite numbers."""
    camera = parse_camera(text, 48, 64)
    if camera.poses is not None and not all(
        np.isfinite(np.asarray(each)).all() for each in vars(camera.poses).values()
    ):
        return "its poses are not finite"
    return None


CAMERA_BOMBS = {
    "a field twice among 20000": f"[{_repeated(20_000)}]",
    "100000 lists, one in the other": "[" * 100_000,
    "200000 poses": "[" + ",".join(["{}"] * 200_000) + "]",
    "17 MB": "[" + " " * 17 * 2**20 + "]",
}


# --- npz files


def npz_files(count: int, seed: int) -> Iterator[bytes]:
    """A good file, with bytes flipped, cut out, doubled or overwritten."""
    rng = random.Random(seed)
    good = _good_npz()
    for _ in range(count):
        content = bytearray(good)
        for _ in range(rng.choice((1, 1, 2, 8))):
            at = rng.randrange(len(content))
            action = rng.randrange(4)
            if action == 0:
                content[at] ^= 1 << rng.randrange(8)
            elif action == 1:
                del content[at : at + rng.randrange(1, 40)]
            elif action == 2:
                content[at:at] = content[at : at + rng.randrange(1, 40)]
            else:
                content[at : at + 4] = rng.choice((b"\xff" * 4, b"\x00" * 4, b"\xff\xff\xff\x7f"))
        yield bytes(content)


def _good_npz() -> bytes:
    file = io.BytesIO()
    save_npz(Tracks(torch.rand(5, 3, 2) * 40, torch.rand(5, 3) > 0.3, 48, 64), file)
    return file.getvalue()


def try_npz(content: bytes) -> str | None:
    """Read; the archive's own checksums stand for the values."""
    tracks = load_npz(content)
    return None if tracks.points.shape == (5, 3, 2) else f"it was read as {tuple(tracks.points.shape)}"


def npz_bombs() -> dict[str, bytes]:
    """Files of some hundred kB that unpack to 256 MiB, or say that they do."""
    good = _good_npz()
    return {
        "points of 256 MiB": _with_zeros(good, "points.npy", (1024, 32_768, 2), "<f4"),
        "visibility of 256 MiB": _with_zeros(good, "visibility.npy", (1024, 262_144), "|b1"),
        "a header of 2^40 points": _with(good, "points.npy", _npy_header((2**40, 4, 2), "<f4") + b"\x00" * 64),
        "a header below zero": _with(good, "points.npy", _npy_header((-5, -3, 2), "<f4") + b"\x00" * 120),
        "a pickle": _with(good, "ids.npy", _npy_header((3,), "|O") + b"cos\nsystem\n(S'exit 1'\ntR."),
        "a header that is code": _with(
            good, "ids.npy", b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').abort()".ljust(32)
        ),
        "cut off": good[: len(good) // 2],
        "nothing": b"",
    }


def unknown_array() -> bytes:
    """A good file with an array of 256 MiB beside, which nobody needs: read in no memory."""
    return _with_zeros(_good_npz(), "more.npy", (2**28,), "|u1")


def _npy_header(shape: tuple[int, ...], dtype: str) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    padded = text.ljust(-(len(text) + 11) % 64 + len(text)) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()


def _with(good: bytes, name: str, content: bytes | None) -> bytes:
    """`good` with another content of one array; None: without it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(good)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for each in old.namelist():
            if each != name:
                new.writestr(each, old.read(each))
        if content is not None:
            new.writestr(name, content)
    return made.getvalue()


def _with_zeros(good: bytes, name: str, shape: tuple[int, ...], dtype: str) -> bytes:
    made = io.BytesIO(_with(good, name, None))
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive, archive.open(name, "w") as file:
        file.write(_npy_header(shape, dtype))
        for _ in range(math.prod(shape) * np.dtype(dtype).itemsize >> 20):
            file.write(bytes(2**20))
    return made.getvalue()


# --- sizes


SIZES = {
    "a grid of 300 x 300 over a million frames": lambda: point_grid(48, 64, 300, 300, 1_000_000),
    "a grid of a million": lambda: point_grid(48, 64, 1000, 1000),
    "20 points over a million frames": lambda: resample(point_grid(48, 64, 4, 5), 1_000_000),
    "one point over 10^18 frames": lambda: resample(point_grid(48, 64, 1, 1), 10**18),
    "one frame more than is held": lambda: resample(point_grid(48, 64, 1, 1), MAX_SAMPLES + 1),
}


def try_size(name: str) -> str | None:
    """Ask for it."""
    SIZES[name]()
    return "it was made"
