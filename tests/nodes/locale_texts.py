"""Every text of the nodes' schemas, in the form of ComfyUI's locales/<language>/nodeDefs.json."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

# The page's messages give these a meaning of their own; a text that has one is left to the schema.
SPECIAL = frozenset("@{}|")


def schema_texts(nodes: Iterable[Any]) -> dict[str, Any]:
    """{node_id: {display_name, description, inputs: {id: {name, tooltip}}, outputs: {"0": {name, tooltip}}}}."""
    return {schema.node_id: _texts(schema) for schema in (node.define_schema() for node in nodes)}


def _texts(schema: Any) -> dict[str, Any]:
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {each.id: _slot(each) for each in schema.inputs},
        "outputs": {str(index): _slot(each) for index, each in enumerate(schema.outputs)},
    }


def _slot(slot: Any) -> dict[str, str]:
    return {"name": slot.fields.get("display_name") or slot.id, "tooltip": slot.fields["tooltip"]}


def flat(texts: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text with the keys that lead to it."""
    for key, value in texts.items():
        if isinstance(value, dict):
            yield from flat(value, (*path, key))
        else:
            yield (*path, key), value


def nested(texts: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, Any]:
    """What `flat` took apart."""
    made: dict[str, Any] = {}
    for (*folders, last), text in texts:
        place = made
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = text
    return made


def plain(texts: dict[str, Any]) -> dict[str, Any]:
    """Without the texts that the page would misread."""
    return nested((path, text) for path, text in flat(texts) if not SPECIAL & set(text))
