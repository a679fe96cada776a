"""The page of the bundled model in a browser: the object goes where the hand goes, in the pictures that are shown."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import STUDENT
from motionstream_core.live.open import Opened
from motionstream_core.live.page import LivePage, serving
from motionstream_core.streaming.render.renderer import open_renderer
from motionstream_core.world.judge import locate

ROOT = Path(__file__).parents[3]
CHROMIUM = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
CHUNK_S, FRAMES_PER_CHUNK = 0.5, 8

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or shutil.which("node") is None or not (ROOT / "node_modules" / "playwright-core").is_dir(),
    reason="needs Chromium, node and npm ci",
)


@pytest.mark.slow
def test_the_object_goes_where_the_hand_goes_within_two_chunks(tmp_path: Path) -> None:
    example = drawn_example(2)
    opened = Opened(open_renderer(STUDENT), (128, 128), chunk_frames=2, name="bundled")
    page = LivePage(
        opened, example.prompt, example.image, tmp_path / "live"
    )  # Hold keeps it back by a fifth (docs/limits.md)
    start = example.tracks.points[0, 0].numpy()  # the first object's centre
    way = np.sign(64 - start) * np.array([20.0, 16.0])
    job = tmp_path / "job.json"
    told = {"from": start.tolist(), "to": (start + way).tolist(), "seconds": 1.2, "after": 5.0}
    job.write_text(json.dumps(told))
    script = str(Path(__file__).with_name("drag_in_browser.js"))
    with serving(page) as address:
        ran = subprocess.run(
            ["node", script, address, str(tmp_path / "drag.png"), str(job)],
            capture_output=True, text=True, timeout=240,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["problems"] == []
    seen = [each for each in result["seen"] if each["width"] == 128]
    times = np.array([each["time"] for each in seen]) / 1000
    centers = locate(np.stack([pixels(each) for each in seen]), example.scene)[0][:, 0]
    began, arrived = result["began"] / 1000, result["arrived"] / 1000
    before = centers[times < began][-1]
    moved = (centers - before) @ way / (way @ way)  # share of the way
    assert abs(moved[times < began]).max() < 0.1
    # what is shown two chunks, and the making, after the hand arrived, is the object where the hand is
    made_s = result["made_ms"] / 1000
    due = arrived + 2 * CHUNK_S + 2 * made_s
    there = (times > due) & (times < due + 1.5 + made_s)
    assert there.any()
    astray = np.linalg.norm(centers[there] - (before + way), axis=1)
    assert np.median(astray) < 8.0, (moved[there], astray)  # of a way of 26 px
    assert len(result["delays"]) >= 1
    assert (tmp_path / "live" / "live_00001.mp4").is_file()


def pixels(shown: dict[str, Any]) -> np.ndarray:
    """uint8 (h w 3) of a frame as the page gave it."""
    values = np.frombuffer(base64.b64decode(shown["pixels"]), np.uint8)
    return values.reshape(-1, shown["width"], 4)[..., :3]
