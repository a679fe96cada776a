"""Hostile inputs over the API of a real ComfyUI: its server answers all the while, and nothing outside is written."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.host.comfy_host import ComfyHost, RefusedError

pytestmark = [pytest.mark.host, pytest.mark.hostile]

NAMES = [
    "../x",
    "a/../../x",
    "/tmp/x",
    "x\x00",
    "x.npz\x00y",
    "a\nb",
    "C:/x",
    "..\\x",
    "con",
    "a/nul.x",
    "x.",
    "\ud800",
]
NAMES += ["x" * 300, "link/x", ".x", "a//b", "", "a\u2028b"]


def grid(**inputs: Any) -> dict[str, Any]:
    sizes = {"rows": 2, "columns": 2, "width": 64, "height": 48, "length": 5}
    return {"class_type": "MotionStreamPointGrid", "inputs": {**sizes, **inputs}}


def saving(name: str) -> dict[str, Any]:
    inputs = {"tracks": ["1", 0], "width": 64, "height": 48, "name": name, "format": "npz", "if_exists": "increment"}
    return {"1": grid(), "2": {"class_type": "MotionStreamSaveTracks", "inputs": inputs}}


def drawing(document: str) -> dict[str, Any]:
    inputs = {"document": document, "width": 64, "height": 48, "length": 9, "time": "stretch"}
    shown = {"class_type": "PreviewAny", "inputs": {"source": ["1", 1]}}
    return {"1": {"class_type": "MotionStreamTrackEditor", "inputs": inputs}, "2": shown}


def repeated(fields: int) -> str:
    return "{" + ",".join([f'"f{i}":1' for i in range(fields)] + ['"f1":1']) + "}"


def test_no_name_leads_out(host: ComfyHost, tmp_path: Path) -> None:
    (host.output / "link").symlink_to(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"kept")
    try:
        for name in NAMES:
            assert "name: the name " in host.error(saving(name)), name
        host.run(saving("fine/x"))
        assert (host.output / "fine" / "x.npz").is_file()
        assert [each.name for each in tmp_path.iterdir()] == ["x.npz"]
        assert (tmp_path / "x.npz").read_bytes() == b"kept"
    finally:
        (host.output / "link").unlink()


def test_the_server_answers_while_a_drawing_is_checked(host: ComfyHost) -> None:
    """The first is refused when it is queued, the second, which is longer, when it runs."""
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            start = time.monotonic()
            host.get("/queue")
            waits.append(time.monotonic() - start)
            time.sleep(0.05)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        with pytest.raises(RefusedError, match="is given twice"):
            host.queue(drawing(repeated(20_000)))
        assert "is given twice" in host.error(drawing(repeated(200_000)))
    finally:
        done.set()
        thread.join()
    assert max(waits) < 5


def test_small_texts_take_no_gigabytes(host: ComfyHost) -> None:
    canvas = {"width": 64, "height": 48, "num_frames": 1_000_000, "fps": 16}
    place = {"id": "a", "kind": "anchor", "interpolation": "linear", "points": [[1, 1]], "start": 0, "duration": 0}
    track = {**place, "grid": {"columns": 300, "rows": 300, "dx": 1, "dy": 1}}
    document = {"format": "motionstream-tracks", "version": 1, "canvas": canvas, "tracks": [track]}
    prompt = drawing(json.dumps(document))
    prompt["1"]["inputs"]["length"] = 1_000_000
    before = host.memory_mib()
    assert "samples, and at most" in host.error(prompt)
    many = saving("many")
    many["1"] = grid(rows=300, columns=300, length=1_000_000)
    assert "samples, and at most" in host.error(many)
    assert host.memory_mib() - before < 500
