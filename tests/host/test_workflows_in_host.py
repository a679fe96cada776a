"""The example workflows in a real ComfyUI: understood, the same in both forms, run where their files are there."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from PIL import Image

from tests.host.comfy_host import ROOT, ComfyHost, RefusedError, with_checkpoints
from tests.host.test_nodes_in_host import inputs_of, saved_video, video_frames

pytestmark = pytest.mark.host

WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
PUBLIC = ("track_v0_image_to_video", "self_forcing_endless")  # these need files that are published elsewhere
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


def inputs_known(info: dict[str, Any]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Type and details of a node's inputs, in the host's order."""
    groups = [info["input"].get(group, {}) for group in ("required", "optional")]
    return {name: (entry[0], entry[1] if len(entry) > 1 else {}) for group in groups for name, entry in group.items()}


def read_workflow(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "workflows" / f"{name}.json").read_text("utf-8"))


def read_api(name: str) -> dict[str, Any]:
    return read_workflow(f"api/{name}")


def in_both_forms(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the browser opens and what a script posts."""
    drawn = read_workflow(name)
    return drawn, read_workflow(drawn["extra"]["motionstream_api"].removesuffix(".json"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_example_is_what_the_host_understands(node_info: dict[str, Any], name: str) -> None:
    """Every node and input is known, none that is required is missing, and every link joins sockets of one type."""
    _, prompt = in_both_forms(name)
    for key, node in prompt.items():
        info = node_info[node["class_type"]]
        known = inputs_known(info)
        where = f"{name}, node {key} ({node['class_type']})"
        if node["class_type"].startswith("MotionStream"):  # core's own change from one version to the next
            assert node["inputs"].keys() <= known.keys(), where
        assert info["input"].get("required", {}).keys() <= node["inputs"].keys(), where
        for slot, value in node["inputs"].items():
            if slot in known and isinstance(value, list):
                kind = known[slot][0]
                given = node_info[prompt[value[0]]["class_type"]]["output"][value[1]]
                taken = ["COMBO"] if isinstance(kind, list) else kind.split(",")
                assert given in taken or "*" in (given, *taken), f"{where}: {slot} takes {kind}, not {given}"


@pytest.mark.parametrize("name", WORKFLOWS)
def test_an_example_means_the_same_in_both_forms(node_info: dict[str, Any], name: str) -> None:
    """The browser reads widget values by place: the places are the host's, seed control included."""
    drawn, example = in_both_forms(name)
    for node in drawn["nodes"]:
        if not node["type"].startswith("MotionStream"):
            continue
        info = node_info[node["type"]]
        posted = example[str(node["id"])]["inputs"]
        widgets: list[str] = []
        for slot, (kind, details) in inputs_known(info).items():
            if isinstance(kind, list) or kind in WIDGETS:
                widgets += [slot, "control"] if details.get("control_after_generate") else [slot]
        # values that are not there, of widgets newer than the file, are the defaults
        values = dict(zip(widgets, node.get("widgets_values", []), strict=False))
        values.pop("control", None)
        linked = {slot for slot, value in posted.items() if isinstance(value, list)}
        wanted = {slot: value for slot, value in posted.items() if slot not in linked}
        assert {slot: value for slot, value in values.items() if slot not in linked} == wanted, node["type"]
        assert [slot["type"] for slot in node["outputs"]] == info["output"][: len(node["outputs"])]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_missing_public_file_is_named_with_its_place(host: ComfyHost, name: str) -> None:
    prompt = read_api(name)
    with pytest.raises(RefusedError) as caught:
        host.queue(prompt)
    words = caught.value.details()
    loaders = {node["class_type"] for node in prompt.values()} & {"MotionStreamLoadModel", "MotionStreamLoadTinyVAE"}
    for kind in loaders:
        assert f"'{inputs_of(prompt, kind)['checkpoint']}' is not in models/motionstream" in words
    assert "docs/models.md" in words


@pytest.mark.parametrize("name", ["teacher_joint_guidance", "drag_edit_image"])
def test_an_example_with_the_bundled_models_runs(host: ComfyHost, checkpoints: dict[str, str], name: str) -> None:
    prompt = with_checkpoints(read_api(name), checkpoints)
    for node in prompt.values():
        if node["class_type"] == "MotionStreamSigmas":
            node["inputs"]["steps"] = 2
    path = saved_video(host, host.run(prompt))
    if path.suffix == ".png":
        with Image.open(path) as picture:
            assert picture.size == (128, 128)
    else:
        assert video_frames(path).shape == (25, 128, 128, 3)


def test_a_stream_without_end_is_whole_when_it_is_cancelled(host: ComfyHost, example: dict[str, Any]) -> None:
    inputs_of(example, "MotionStreamStudentStreamer").update(length=0, seed=4242, save_as="endless/clip")
    ours = ("MotionStream",)
    prompt = {key: node for key, node in example.items() if node["class_type"].startswith(ours)}
    position = len(host.log())
    prompt_id = host.queue(prompt)
    host.wait_for_log("stream opened, until stopped", position)
    folder = host.output / "endless"
    deadline = time.monotonic() + 60
    while not list(folder.glob("*.part")) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(3)
    assert not list(folder.glob("*.mp4"))
    host.post("/interrupt", {})
    entry = host.wait(prompt_id, limit_s=60)
    assert "execution_interrupted" in [kind for kind, _ in entry["status"]["messages"]]
    assert [path.name for path in folder.iterdir()] == ["clip_00001_.mp4"]
    frames = video_frames(folder / "clip_00001_.mp4")
    assert frames.shape[1:] == (128, 128, 3)
    assert (len(frames) - 1) % 12 == 0
