"""The example workflows: valid, whole, and the same thing said twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionstream_core.tracks import Canvas, parse_document, parse_tracks

WORKFLOWS = Path(__file__).parents[2] / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json") if not path.stem.endswith("_api"))
NOTES = {"Note", "MarkdownNote"}
# Widgets that only the browser has: after a seed, after an uploaded file.
BROWSER_ONLY = {"fixed", "randomize", "increment", "decrement", "image"}


def read(name: str) -> Any:
    return json.loads((WORKFLOWS / f"{name}.json").read_text("utf-8"))


def drawn_nodes(workflow: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {str(node["id"]): node for node in workflow["nodes"] if node["type"] not in NOTES}


def test_there_is_an_example() -> None:
    assert "bundled_image_to_video" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_nodes(name: str) -> None:
    nodes, api = drawn_nodes(read(name)), read(f"{name}_api")
    assert {key: node["type"] for key, node in nodes.items()} == {key: n["class_type"] for key, n in api.items()}


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_widget_values(name: str) -> None:
    nodes, api = drawn_nodes(read(name)), read(f"{name}_api")
    for key, node in nodes.items():
        linked = {slot["widget"]["name"] for slot in node["inputs"] if "widget" in slot and slot["link"] is not None}
        if linked:  # the browser keeps a value for them too, which the API does not have
            continue
        values = [value for value in api[key]["inputs"].values() if not isinstance(value, list)]
        drawn = node.get("widgets_values", [])
        assert [value for value in drawn if value not in BROWSER_ONLY] == values, node["type"]


@pytest.mark.parametrize("name", NAMES)
def test_ui_and_api_have_the_same_links(name: str) -> None:
    workflow, api = read(name), read(f"{name}_api")
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
def test_its_image_is_there(name: str) -> None:
    for node in read(f"{name}_api").values():
        if node["class_type"] == "LoadImage":
            with Image.open(WORKFLOWS / node["inputs"]["image"]) as image:
                assert image.size == (128, 128)


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_thumbnail(name: str) -> None:
    with Image.open(WORKFLOWS / f"{name}.jpg") as image:
        assert min(image.size) >= 128
        assert np.asarray(image).std() > 5


def test_the_tracks_start_on_the_shapes() -> None:
    """Five points on each of three shapes, which stand out from the grey background by their colour."""
    api = read("bundled_image_to_video_api")
    text = next(n["inputs"]["coordinates"] for n in api.values() if n["class_type"] == "MotionStreamTracksFromJSON")
    tracks = parse_tracks(text, height=128, width=128)
    assert (tracks.num_frames, tracks.num_tracks) == (25, 15)
    image = np.asarray(Image.open(WORKFLOWS / "motionstream_example.png").convert("RGB")).astype(int)
    x, y = tracks.points[0].numpy().astype(int).T
    inside = (x >= 0) & (x < 128) & (y >= 0) & (y < 128)
    assert inside.sum() >= 12
    pixels = image[y[inside], x[inside]]
    assert np.median(pixels.max(axis=1) - pixels.min(axis=1)) > 80


def test_the_drawing_starts_on_the_shapes_it_is_named_after() -> None:
    """Every point of the editor's three grids lies on the shape of its colour; one of them stays, two move."""
    api = read("track_editor_api")
    inputs = next(n["inputs"] for n in api.values() if n["class_type"] == "MotionStreamTrackEditor")
    drawn = parse_document(inputs["document"], Canvas(1, 1, 1, 1))
    assert (drawn.canvas.width, drawn.canvas.height, drawn.canvas.num_frames) == (128, 128, inputs["length"])
    assert [(track.id, track.kind) for track in drawn.tracks] == [
        ("red", "path"),
        ("pink", "drag"),
        ("green", "anchor"),
    ]
    tracks = drawn.sample()
    image = np.asarray(Image.open(WORKFLOWS / "motionstream_example.png").convert("RGB")).astype(int)
    x, y = tracks.points[0].numpy().astype(int).T
    red, green, blue = image[y, x].reshape(3, 9, 3).transpose(2, 0, 1)
    assert (red[0] - np.maximum(green, blue)[0] > 80).all()
    assert (np.minimum(red, blue)[1] - green[1] > 80).all()
    assert (green[2] - np.maximum(red, blue)[2] > 80).all()
    travelled = (tracks.points[-1] - tracks.points[0]).norm(dim=-1).reshape(3, 9).mean(dim=1)
    assert travelled.tolist() == pytest.approx([40.8, 50.1, 0], abs=0.1)
