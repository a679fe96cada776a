"""The example workflows: valid, whole, and the same thing said twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionstream_core.tracks import Canvas, parse_document, parse_tracks

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "workflows"
BUNDLED = ROOT / "js" / "picker" / "bundled"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
# What ComfyUI looks into for templates of a pack: each folder's own JSON files, and it serves the first folder alone.
LISTED_FOLDERS = ("example_workflows", "example", "examples", "workflow", "workflows")
PUBLIC = ("track_v0_image_to_video", "self_forcing_endless")
NOTES = {"Note", "MarkdownNote"}
# Widgets that only the browser has: after a seed, after an uploaded file.
BROWSER_ONLY = {"fixed", "randomize", "increment", "decrement", "image"}


def read(name: str) -> Any:
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def read_api(stem: str) -> Any:
    return read(f"api/{stem}")


def both(name: str) -> tuple[Any, Any]:
    """What the browser opens, and what a script posts."""
    drawn = read(name)
    return drawn, read(drawn["extra"]["motionstream_api"].removesuffix(".json"))


def drawn_nodes(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(node["id"]): node for node in workflow["nodes"] if node["type"] not in NOTES}


def test_the_page_lists_what_it_can_open_and_nothing_else() -> None:
    """Every listed file is a graph whose name says what it does; no API file, no second folder is among them."""
    assert [name for name in LISTED_FOLDERS if (ROOT / name).exists()] == ["workflows"]
    assert len(NAMES) == 11
    for name in NAMES:
        assert len(read(name)["nodes"]) > 3
        assert " " in name
        assert not set(name) & set("_#?%:/"), "the page shows the name as it is, and asks for it in an address"
        assert len(name) <= 34  # longer ones are cut off on the card


def test_every_api_file_has_its_graph() -> None:
    named = {read(name)["extra"]["motionstream_api"] for name in NAMES}
    assert named == {f"api/{path.name}" for path in (WORKFLOWS / "api").glob("*.json")}


@pytest.mark.parametrize("stem", PUBLIC)
def test_files_to_be_fetched_are_named_with_place_and_address(stem: str) -> None:
    """As the page's list of missing models wants them; everything else is bundled."""
    name = next(name for name in NAMES if read(name)["extra"]["motionstream_api"] == f"api/{stem}.json")
    named = set()
    for node in read(name)["nodes"]:
        for model in node["properties"].get("models", []):
            assert model["name"] in node["widgets_values"]
            assert model["url"].startswith("https://huggingface.co/")  # the page fetches from few places
            assert model["url"].endswith("/" + model["name"])
            named.add((model["directory"], model["name"]))
    words = "\n".join(node["widgets_values"][0] for node in read(name)["nodes"] if node["type"] in NOTES)
    files = {value for node in read_api(stem).values() for value in node["inputs"].values() if _is_file(value)}
    assert files == {model for _, model in named}
    for folder, model in named:
        assert f"**{model}** into **models/{folder}**" in words


@pytest.mark.parametrize("name", NAMES)
def test_notes_can_be_read_in_both_ways_to_draw_nodes(name: str) -> None:
    """Nodes 2.0 shows what stands in backticks dark on dark."""
    words = [node["widgets_values"][0] for node in read(name)["nodes"] if node["type"] in NOTES]
    assert len(words) == 1
    assert "`" not in words[0]


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and value.endswith((".pt", ".safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_has_to_be_copied_first(name: str) -> None:
    """Pictures and videos are the pack's own, and are there; the end is a node that shows or keeps what was made."""
    _, api = both(name)
    kinds = {node["class_type"] for node in api.values()}
    assert not kinds & {"LoadImage", "LoadImageMask", "LoadVideo"}
    for node in api.values():
        for slot, ending in (("image", "png"), ("file", "mp4")):
            if node["class_type"] in ("MotionStreamPicture", "MotionStreamReferenceVideo") and slot in node["inputs"]:
                assert (BUNDLED / f"{node['inputs'][slot].removeprefix('bundled/')}.{ending}").is_file()
        if node["class_type"] == "MotionStreamManifestRow":
            assert (BUNDLED / node["inputs"]["manifest"].removeprefix("bundled/")).is_file()
    assert kinds & {"SaveVideo", "SaveImage", "MotionStreamLive", "MotionStreamSaveJob"}


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_nodes(name: str) -> None:
    workflow, api = both(name)
    nodes = drawn_nodes(workflow)
    assert {key: node["type"] for key, node in nodes.items()} == {key: n["class_type"] for key, n in api.items()}


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_widget_values(name: str) -> None:
    workflow, api = both(name)
    nodes = drawn_nodes(workflow)
    for key, node in nodes.items():
        linked = {slot["widget"]["name"] for slot in node["inputs"] if "widget" in slot and slot["link"] is not None}
        if linked:  # the browser keeps a value for them too, which the API does not have
            continue
        values = [value for value in api[key]["inputs"].values() if not isinstance(value, list)]
        drawn = node.get("widgets_values", [])
        assert [value for value in drawn if value not in BROWSER_ONLY] == values, node["type"]


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_links(name: str) -> None:
    workflow, api = both(name)
    nodes = drawn_nodes(workflow)
    drawn = {
        (str(target), nodes[str(target)]["inputs"][slot]["name"], str(origin), out)
        for _, origin, out, target, slot, _ in workflow["links"]
    }
    posted = {
        (key, slot, value[0], value[1])
        for key, node in api.items()
        for slot, value in node["inputs"].items()
        if isinstance(value, list)
    }
    assert drawn == posted


@pytest.mark.parametrize("name", NAMES)
def test_links_and_slots_point_at_each_other(name: str) -> None:
    workflow = read(name)
    nodes = drawn_nodes(workflow)
    for link, origin, out, target, slot, kind in workflow["links"]:
        source = nodes[str(origin)]["outputs"][out]
        assert link in source["links"]
        assert source["type"] == kind
        assert nodes[str(target)]["inputs"][slot]["link"] == link
    assert len({link[0] for link in workflow["links"]}) == len(workflow["links"]) == workflow["last_link_id"]


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_thumbnail(name: str) -> None:
    with Image.open(WORKFLOWS / f"{name}.jpg") as image:
        assert min(image.size) >= 128
        assert np.asarray(image).std() > 5


def test_the_tracks_start_on_the_shapes() -> None:
    """Five points on each of three shapes, which stand out from the grey background by their colour."""
    api = read_api("bundled_image_to_video")
    text = next(n["inputs"]["coordinates"] for n in api.values() if n["class_type"] == "MotionStreamTracksFromJSON")
    tracks = parse_tracks(text, height=128, width=128)
    assert (tracks.num_frames, tracks.num_tracks) == (25, 15)
    image = np.asarray(Image.open(BUNDLED / "three_shapes.png").convert("RGB")).astype(int)
    x, y = tracks.points[0].numpy().astype(int).T
    inside = (x >= 0) & (x < 128) & (y >= 0) & (y < 128)
    assert inside.sum() >= 12
    pixels = image[y[inside], x[inside]]
    assert np.median(pixels.max(axis=1) - pixels.min(axis=1)) > 80


def test_the_drawing_starts_on_the_shapes() -> None:
    """Every point of the three grids lies on the red, the pink, the green shape; the last stays, two move."""
    api = read_api("track_editor")
    inputs = next(n["inputs"] for n in api.values() if n["class_type"] == "MotionStreamTrackEditor")
    drawn = parse_document(inputs["document"], Canvas(1, 1, 1, 1))
    assert (drawn.canvas.width, drawn.canvas.height, drawn.canvas.num_frames) == (128, 128, inputs["length"])
    assert [(track.id, track.kind) for track in drawn.tracks] == [
        ("t1", "path"),
        ("t2", "drag"),
        ("t3", "anchor"),
    ]
    tracks = drawn.sample()
    image = np.asarray(Image.open(BUNDLED / "three_shapes.png").convert("RGB")).astype(int)
    x, y = tracks.points[0].numpy().astype(int).T
    red, green, blue = image[y, x].reshape(3, 9, 3).transpose(2, 0, 1)
    assert (red[0] - np.maximum(green, blue)[0] > 80).all()
    assert (np.minimum(red, blue)[1] - green[1] > 80).all()
    assert (green[2] - np.maximum(red, blue)[2] > 80).all()
    travelled = (tracks.points[-1] - tracks.points[0]).norm(dim=-1).reshape(3, 9).mean(dim=1)
    assert travelled.tolist() == pytest.approx([40.8, 50.1, 0], abs=0.1)
