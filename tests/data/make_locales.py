"""Writes locales/en/nodeDefs.json from the nodes' schemas, and says how locales/zh/nodeDefs.json differs from them.

python -m tests.data.make_locales
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.nodes import conftest
from tests.nodes.locale_texts import flat, plain, schema_texts

LOCALES = conftest.ROOT / "locales"


def schemas() -> dict[str, Any]:
    """The texts of every node, of a pack imported without ComfyUI."""
    with tempfile.TemporaryDirectory() as folder:
        sys.modules.update(conftest._modules(conftest.FakeHost(Path(folder))))
        spec = importlib.util.spec_from_file_location(
            conftest.NAME, conftest.ROOT / "__init__.py", submodule_search_locations=[str(conftest.ROOT)]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[conftest.NAME] = package
        spec.loader.exec_module(package)
        return schema_texts(importlib.import_module(f"{conftest.NAME}.nodes").NODES)


def main() -> None:
    """Writes English, reports on Chinese."""
    texts = schemas()
    english = LOCALES / "en" / "nodeDefs.json"
    english.parent.mkdir(parents=True, exist_ok=True)
    english.write_text(json.dumps(plain(texts), indent=2, ensure_ascii=False) + "\n", "utf-8")
    wanted = dict(flat(texts))
    chinese = LOCALES / "zh" / "nodeDefs.json"
    found = dict(flat(json.loads(chinese.read_text("utf-8")))) if chinese.is_file() else {}
    for path in wanted.keys() - found.keys():
        print(f"to be translated: {'.'.join(path)}: {wanted[path]}")
    for path in found.keys() - wanted.keys():
        print(f"to be removed: {'.'.join(path)}")


if __name__ == "__main__":
    main()
