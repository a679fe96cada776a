"""Cancelling a long stream: it ends within a chunk, lets its memory go, and the next run works."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from tests.host.comfy_host import ComfyHost

pytestmark = pytest.mark.host

LONG = 1 + 12 * 200
TOLERANCE_S = 1.0


def streamer(prompt: dict[str, Any]) -> dict[str, Any]:
    return next(node["inputs"] for node in prompt.values() if node["class_type"] == "MotionStreamStudentStreamer")


def report(prompt: dict[str, Any], outputs: dict[str, Any]) -> str:
    key = next(key for key, node in prompt.items() if node["class_type"] == "PreviewAny")
    return "".join(outputs[key]["text"])


def test_interrupting_a_long_stream(host: ComfyHost, example: dict[str, Any]) -> None:
    streamer(example).update(length=25, seed=1)
    chunk_s = float(re.findall(r"([\d.]+) s per chunk", report(example, host.run(example)))[0])
    before_mib = host.memory_mib()

    # A window of 96 latent frames lets the cache grow with every chunk: what is kept would be seen.
    streamer(example).update(length=LONG, seed=2, window_frames=96)
    position = len(host.log())
    prompt_id = host.queue(example)
    host.wait_for_log("stream opened, 201 chunks", position)
    time.sleep(10 * chunk_s)
    during_mib = host.memory_mib()
    asked = time.monotonic()
    host.post("/interrupt", {})
    entry = host.wait(prompt_id, limit_s=60)
    took_s = time.monotonic() - asked
    assert "execution_interrupted" in [kind for kind, _ in entry["status"]["messages"]]
    closed = re.search(r"stream closed after (\d+) of 201 chunks", host.log()[position:])
    assert closed is not None, host.log()[position:]
    assert 1 <= int(closed[1]) < 201
    assert took_s < chunk_s + TOLERANCE_S

    streamer(example).update(length=25, seed=3, window_frames=-1)
    host.run(example)
    assert host.memory_mib() - before_mib < 0.6 * (during_mib - before_mib)
