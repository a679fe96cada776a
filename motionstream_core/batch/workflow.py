"""A workflow in API form, and which of its inputs a manifest's columns go to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import require_regular
from ..tracks.text import text_of

Graph = dict[str, dict[str, Any]]
PICTURE, VIDEO, TRACKS, LOG = "picture", "video", "tracks", "live log"

FILE_INPUTS = {
    ("MotionStreamPicture", "image"): PICTURE,
    ("LoadImage", "image"): PICTURE,
    ("MotionStreamReferenceVideo", "file"): VIDEO,
    ("LoadVideo", "file"): VIDEO,
    ("MotionStreamLoadTracks", "file"): TRACKS,
}
"""Inputs that name a file of the server: what a column names for them is sent there first."""
TEXT_INPUTS = {
    ("MotionStreamTracksFromJSON", "coordinates"): TRACKS,
    ("MotionStreamTrackEditor", "document"): TRACKS,
    ("MotionStreamLive", "log"): LOG,
}
"""Inputs that take a file's text: the columns `tracks` and `live_log` name the file."""
FILE_COLUMNS = {"image": PICTURE, "video": VIDEO, "tracks": TRACKS, "live_log": LOG}
NAMED_COLUMNS = {"prompt": ("prompt", "text"), "seed": ("seed", "noise_seed"), "length": ("length",)}
EVERYWHERE = ("seed", "length")
WELL_KNOWN = (*FILE_COLUMNS, *NAMED_COLUMNS)


@dataclass(frozen=True)
class Place:
    """An input of a node of the workflow. node: its id."""

    node: str
    input: str


class Workflow:
    """A workflow in API form. Raises ValueError, naming the remedy, for anything else."""

    def __init__(self, graph: Any, name: str = "workflow") -> None:
        if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
            raise ValueError(f"--workflow: {name} is a workflow of the page; export it with Workflow > Export (API)")
        if not isinstance(graph, dict) or not graph or not all(map(_is_node, graph.values())):
            raise ValueError(f"--workflow: {name} is no workflow in API form; export it with Workflow > Export (API)")
        self.graph: Graph = graph

    @classmethod
    def read(cls, path: Path) -> Workflow:
        """That of a file."""
        require_regular(path, "--workflow")
        try:
            graph = json.loads(text_of(path.read_bytes()))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"--workflow: {path.name} is no JSON ({error})") from None
        return cls(graph, path.name)

    def kind(self, node: str) -> str:
        """The class of a node."""
        return self.graph[node]["class_type"]

    def kinds(self) -> set[str]:
        """Every class of node in it."""
        return set(map(self.kind, self.graph))

    def title(self, node: str) -> str:
        """What the page shows above a node."""
        return str(self.graph[node].get("_meta", {}).get("title", self.kind(node)))

    def value(self, place: Place) -> Any:
        """What stands at an input; None where nothing does."""
        return self.graph[place.node]["inputs"].get(place.input)

    def shown(self, place: Place) -> str:
        """The column that would name this input and no other."""
        same = [node for node in self.graph if self.title(node) == self.title(place.node)]
        return f"{self.title(place.node) if len(same) == 1 else place.node}.{place.input}"

    def places(self, column: str) -> list[Place]:
        """Where a column's values go: one input, or for `job_id`, `seed` and `length` every one of that name.

        Raises ValueError for a column that fits nothing, or more than one thing.
        """
        if column in WELL_KNOWN:
            return self._well_known(column)
        name, dot, input_name = column.rpartition(".")
        if not dot:
            raise ValueError(
                f"column {column!r} is not known; there are job_id, {', '.join(WELL_KNOWN)}, and node.input, "
                "where node is a node's title or id"
            )
        return [Place(self._node(name.strip(), column), input_name.strip())]

    def job_places(self) -> list[Place]:
        """Where `job_id` goes. Raises ValueError where it goes nowhere."""
        found = self._inputs(("job_id",))
        if not found:
            raise ValueError(
                "--workflow: no node takes the job_id, so nobody could tell whose video is whose; save with the node "
                "MotionStream Save Job"
            )
        return found

    def file_kind(self, place: Place) -> str | None:
        """What kind of file an input names; None for one that takes a plain value."""
        return FILE_INPUTS.get((self.kind(place.node), place.input))

    def text_kind(self, place: Place) -> str | None:
        """What kind of file's text an input takes."""
        return TEXT_INPUTS.get((self.kind(place.node), place.input))

    def _well_known(self, column: str) -> list[Place]:
        if column in FILE_COLUMNS:
            wanted = FILE_COLUMNS[column]
            found = [place for place in self._inputs() if wanted in (self.file_kind(place), self.text_kind(place))]
        else:
            found = self._inputs(NAMED_COLUMNS[column])
        if not found:
            raise ValueError(f"column {column!r}: no node of the workflow takes it; leave it out, or write node.input")
        if len(found) > 1 and column not in EVERYWHERE:
            which = ", ".join(map(self.shown, found))
            raise ValueError(f"column {column!r} fits {len(found)} inputs; name the column as one of them: {which}")
        return found

    def _inputs(self, names: tuple[str, ...] | None = None) -> list[Place]:
        """Every input that has a value of its own, no link."""
        return [
            Place(node, name)
            for node, content in self.graph.items()
            for name, value in content["inputs"].items()
            if (names is None or name in names) and not is_link(value)
        ]

    def _node(self, name: str, column: str) -> str:
        if name in self.graph:
            return name
        titled = [node for node in self.graph if self.title(node) == name]
        if not titled:
            raise ValueError(f"column {column!r}: the workflow has no node with the title or id {name!r}")
        if len(titled) > 1:
            raise ValueError(f"column {column!r}: {len(titled)} nodes have this title; name one by its id: {titled}")
        return titled[0]


def is_link(value: Any) -> bool:
    """Whether an input's value is another node's output."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class_type"), str)
        and isinstance(value.get("inputs"), dict)
    )
