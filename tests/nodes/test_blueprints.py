"""The subgraph blueprints: whole, linked both ways, with the inputs that the page reads, and words to be found by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "subgraphs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
INPUT_NODE, OUTPUT_NODE = -10, -20


def read(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one node of the file's graph, and the subgraph that it stands for."""
    content = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    (node,), (subgraph,) = content["nodes"], content["definitions"]["subgraphs"]
    assert node["type"] == subgraph["id"]
    assert (node["title"], subgraph["name"]) == (name, name)
    assert content["extra"]["BlueprintDescription"]
    assert content["extra"]["BlueprintSearchAliases"]
    return node, subgraph


def test_there_are_three() -> None:
    assert NAMES == ["MotionStream Camera to Video", "MotionStream Draw and Move", "MotionStream Motion Transfer"]


@pytest.mark.parametrize("name", NAMES)
def test_links_and_slots_point_at_each_other(name: str) -> None:
    node, subgraph = read(name)
    nodes = {each["id"]: each for each in subgraph["nodes"]}
    for link in subgraph["links"]:
        if link["origin_id"] == INPUT_NODE:
            assert link["id"] in subgraph["inputs"][link["origin_slot"]]["linkIds"]
        else:
            origin = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert (link["id"] in origin["links"], origin["type"]) == (True, link["type"])
        if link["target_id"] == OUTPUT_NODE:
            assert subgraph["outputs"][link["target_slot"]]["linkIds"] == [link["id"]]
        else:
            assert nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"] == link["id"]
    for own, outer in (("inputs", "inputs"), ("outputs", "outputs")):
        assert [(e["name"], e["type"]) for e in subgraph[own]] == [(e["name"], e["type"]) for e in node[outer]]


@pytest.mark.parametrize("name", NAMES)
def test_it_begins_with_a_picture_and_ends_in_a_video(name: str) -> None:
    node, _ = read(name)
    assert (node["inputs"][0]["name"], node["inputs"][0]["type"]) == ("image", "IMAGE")
    assert node["outputs"][0]["type"] == "VIDEO"
    promoted = [slot["name"] for slot in node["inputs"] if "widget" in slot]
    assert len(node["widgets_values"]) == len(promoted)
    assert {"width", "height", "length", "prompt", "seed", "checkpoint"} <= set(promoted)
