"""A finished video plays in its node by itself, at the model's frames per second, in both forms of the graph.

Needs node, `npm ci` and a Chromium beside COMFYUI_PATH; skips and says so where they are missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.comfy_host import ROOT, ComfyHost, browse, with_checkpoints
from tests.host.test_nodes_in_host import inputs_of

pytestmark = pytest.mark.host

SESSION = Path(__file__).with_name("preview_in_browser.js")
LENGTH, FPS = 25, 16


@pytest.fixture(scope="module")
def session(host: ComfyHost, checkpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser saw; see preview_in_browser.js."""
    folder = tmp_path_factory.mktemp("preview")
    prompt = json.loads((ROOT / "workflows" / "api" / "bundled_image_to_video.json").read_text("utf-8"))
    inputs_of(with_checkpoints(prompt, checkpoints), "MotionStreamStudentStreamer")["length"] = LENGTH
    (folder / "prompt.json").write_text(json.dumps(prompt), "utf-8")
    return browse(SESSION, host, folder / "prompt.json", folder)


@pytest.mark.parametrize("mode", ["classic", "vue"])
def test_the_video_plays_by_itself(session: dict[str, Any], mode: str) -> None:
    seen = session[mode]
    assert seen["ran"] == "execution_success" and seen["problems"] == []
    assert not any(each["paused"] for each in seen["times"])
    assert all(each["muted"] and each["loop"] for each in seen["times"])
    assert seen["times"][0]["duration"] == pytest.approx(LENGTH / FPS, abs=0.02)
    moments = [each["currentTime"] for each in seen["times"]]
    assert len(set(moments)) == len(moments)
    assert seen["stopped"]
    shown = seen["shown"]
    assert (shown["pictures"], shown["videos"]) == (0, 1), "the last picture of the run stays beside the video"


@pytest.mark.parametrize("mode", ["classic", "vue"])
def test_the_next_run_shows_its_pictures_and_then_its_video(session: dict[str, Any], mode: str) -> None:
    """In the classic graph they come late, as on a busy machine: the last one when the video is there already."""
    seen = session[mode]
    assert seen["again"] == "execution_success"
    assert (seen["during"]["pictures"], seen["during"]["videos"]) == (1, 0)
    assert (seen["after"]["pictures"], seen["after"]["videos"]) == (0, 1)
    assert seen["after"]["height"] == seen["shown"]["height"], "the node grew"
