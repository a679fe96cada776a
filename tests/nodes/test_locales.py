"""The nodes' texts in English and Chinese: nothing lacking, nothing left over, nothing that the page would misread.

`python -m tests.data.make_locales` writes the English file anew and says what the Chinese one lacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.nodes.locale_texts import SPECIAL, flat, plain, schema_texts

LOCALES = Path(__file__).parents[2] / "locales"


def read(language: str) -> dict[str, Any]:
    return json.loads((LOCALES / language / "nodeDefs.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def schemas(pack: Callable[[str], Any]) -> dict[str, Any]:
    return schema_texts(pack("nodes").NODES)


def test_english_is_what_the_schemas_say(schemas: dict[str, Any]) -> None:
    assert read("en") == plain(schemas), "run: python -m tests.data.make_locales"


def test_chinese_says_everything_that_the_schemas_say(schemas: dict[str, Any]) -> None:
    wanted = {".".join(path) for path, _ in flat(schemas)}
    found = {".".join(path) for path, _ in flat(read("zh"))}
    assert found - wanted == set(), "these texts have no input, output or node any more"
    assert wanted - found == set(), "these are to be translated in locales/zh/nodeDefs.json"


def test_chinese_is_chinese(schemas: dict[str, Any]) -> None:
    """Names may be the same in both languages; sentences are translated."""
    english = dict(flat(schemas))
    for path, text in flat(read("zh")):
        assert text.strip(), path
        if path[-1] in ("tooltip", "description"):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text), (path, text)
            assert text != english.get(path), path


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_reads_every_text_as_it_is(language: str) -> None:
    assert [path for path, text in flat(read(language)) if SPECIAL & set(text)] == []
