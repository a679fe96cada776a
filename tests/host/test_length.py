"""A length typed into the node, in both forms of the graph, and made; workflows that are older than the switch.

Needs node, `npm ci` and a Chromium beside COMFYUI_PATH; skips and says so where they are missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.host.comfy_host import ROOT, ComfyHost, browse, with_checkpoints
from tests.host.test_nodes_in_host import inputs_of, key_of

pytestmark = pytest.mark.host

SESSION = Path(__file__).with_name("length_in_browser.js")
# typed 61, 60, 50; one arrow down, one up; typed 49. The bundled student makes 1 + 12 * k frames.
HANDS = [61, 61, 49, 37, 49, 49]


@pytest.fixture(scope="module")
def session(host: ComfyHost, checkpoints: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser saw and did; see length_in_browser.js."""
    folder = tmp_path_factory.mktemp("lengths")
    prompt = json.loads((ROOT / "workflows" / "api" / "bundled_image_to_video.json").read_text("utf-8"))
    (folder / "prompt.json").write_text(json.dumps(with_checkpoints(prompt, checkpoints)), "utf-8")
    return browse(SESSION, host, folder / "prompt.json", folder)


@pytest.mark.parametrize("kind", ["MotionStreamStudentStreamer", "MotionStreamTracksFromJSON"])
@pytest.mark.parametrize("mode", ["classic", "nodes2"])
def test_a_length_is_typed_and_stays(session: dict[str, Any], mode: str, kind: str) -> None:
    """In the streamer, and in the node whose tracks go to it."""
    assert session[mode][kind] == HANDS


@pytest.mark.parametrize("mode", ["classic", "nodes2"])
def test_the_rule_stands_beside_the_name_and_what_is_typed_is_queued(session: dict[str, Any], mode: str) -> None:
    assert session[mode]["label"] == "length (1 + 12 k)"
    queued = session[mode]["queued"]
    assert (queued["length"], queued["seconds"], queued["endless"]) == (49, 0, False)
    assert session["problems"] == []


def test_an_older_workflow_opens_as_endless(session: dict[str, Any]) -> None:
    old = session["old"]
    assert (old["length"], old["endless"], old["seed"], old["save_as"]) == (49, True, 7, "old")


def test_the_server_tells_a_checkpoints_lengths(host: ComfyHost) -> None:
    assert host.get("/motionstream/lengths?checkpoint=stand_in_student.safetensors") == {
        "first": 1,
        "step": 12,
        "fps": 16.0,
    }
    assert host.get("/motionstream/lengths?checkpoint=stand_in_student.safetensors&chunk_frames=1")["step"] == 4
    assert host.get("/motionstream/lengths?checkpoint=stand_in_teacher.safetensors")["step"] == 4


@pytest.mark.parametrize(
    ("wanted", "num_frames", "words"),
    [
        ({"length": 20}, 25, "25 frames, 1.56 s at 16 frames per second: the nearest to 20 frames"),
        ({"length": 49, "seconds": 0.8}, 13, "length: 13 frames"),
    ],
)
def test_a_posted_length_is_made_and_told(
    host: ComfyHost, example: dict[str, Any], wanted: dict[str, Any], num_frames: int, words: str
) -> None:
    inputs_of(example, "MotionStreamStudentStreamer").update(wanted, seed=77)
    outputs = host.run(example)
    report = outputs[key_of(example, "PreviewAny")]["text"][0]
    assert words in report
    assert f"{num_frames} frames of 128 x 128 px" in report
