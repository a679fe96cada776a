"""Workflows as this pack once saved them: they open in both node modes, mean what they meant, and give the same frames.

tests/data/saved_workflows holds, of every form that an example had, what the page saved (`drawn`) and what a script
posted (`posted`); frames.json holds small pictures of the videos that are made of them. They are made anew
(`make_saved_frames.py`) only where a bundled model, or what is known of its picture, has changed.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.host.comfy_host import ROOT, ComfyHost, browse
from tests.host.test_nodes_in_host import saved_video, video_frames

pytestmark = pytest.mark.host

FOLDER = ROOT / "tests" / "data" / "saved_workflows"
FILES = {path.stem: path for path in sorted(FOLDER.glob("*.json")) if path.stem != "frames"}
FRAMES: dict[str, Any] = json.loads((FOLDER / "frames.json").read_text("utf-8"))
SIDE = 8
LEVELS = 8  # of 256: what another processor's rounding and the video codec may change in a mean of 16 x 16 px
INPUTS = {
    "motionstream_example.png": "three_shapes.png",
    "motionstream_example_mask.png": "three_shapes.mask.png",
    "motionstream_reference.mp4": "three_things_moving.mp4",
}


@pytest.fixture(scope="module", params=["classic", "vue"])
def opened(request: pytest.FixtureRequest, host: ComfyHost) -> dict[str, Any]:
    """What the page makes of each; see saved_in_browser.js."""
    script = Path(__file__).with_name("saved_in_browser.js")
    found = browse(script, host, request.param, *FILES.values())
    assert found["problems"] == []
    return found["seen"]


@pytest.mark.parametrize("name", FILES)
def test_it_opens_and_means_what_it_meant(opened: dict[str, Any], name: str) -> None:
    """The job that Run posts has every node and value that was posted when it was saved; new inputs may have come."""
    posted = json.loads(FILES[name].read_text("utf-8"))["posted"]
    made = opened[name]["prompt"]
    assert opened[name]["unknown"] == []
    assert {key: node["class_type"] for key, node in made.items()} == {
        key: node["class_type"] for key, node in posted.items()
    }
    for key, node in posted.items():
        kept = {slot: made[key]["inputs"].get(slot) for slot in node["inputs"]}
        if made[key]["inputs"].get("endless"):
            kept["length"] = 0  # what it was before there was a switch
        assert kept == node["inputs"], f"node {key}, {node['class_type']}"


@pytest.mark.parametrize("name", FRAMES)
def test_it_gives_the_same_frames(host: ComfyHost, checkpoints: dict[str, str], name: str) -> None:
    if not checkpoints["student"].startswith("bundled"):
        pytest.skip("the bundled weights are not there")
    frames = made_frames(host, name)
    assert len(frames) == FRAMES[name]["length"]
    assert np.abs(small(frames) - np.array(FRAMES[name]["small"])).max() <= LEVELS


def made_frames(host: ComfyHost, name: str) -> np.ndarray:
    """What a saved workflow makes: frames (t h w 3), uint8."""
    for old, new in INPUTS.items():
        shutil.copy(ROOT / "js" / "picker" / "bundled" / new, host.input / old)
    path = saved_video(host, host.run(json.loads(FILES[name].read_text("utf-8"))["posted"]))
    return np.asarray(Image.open(path).convert("RGB"))[None] if path.suffix == ".png" else video_frames(path)


def small(frames: np.ndarray) -> np.ndarray:
    """First, middle and last frame (3 h w 3) as means over squares: what moved, and where to, shows in them."""
    chosen = frames[[0, len(frames) // 2, -1]].astype(float)
    _, height, width, _ = chosen.shape
    return chosen.reshape(3, SIDE, height // SIDE, SIDE, width // SIDE, 3).mean((2, 4)).round(1)
