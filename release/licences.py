"""docs/licences.md from a bill of materials: what the pack stands on, under which licence.

python release/licences.py dist/sbom.cdx.json docs/licences.md EXTRAS
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

OWN = "motionstream-comfyui"
READ_BY_HAND = {
    "cuda-toolkit": "NVIDIA Proprietary Software",
    "nvidia-cusparselt-cu13": "NVIDIA Proprietary Software",
    "protobuf": "BSD-3-Clause",
    "ray": "Apache-2.0",
    "transformers": "Apache-2.0",
}
"""Of packages that state it in a form which the bill's maker does not read."""
CLASSIFIER = "License :: "
LONGEST = 200  # some give the whole text
HEAD = """# Licences of what the pack stands on

MotionStream itself, its bundled weights included, is Apache-2.0, and holds no code of others. These packages come
beside it by `pip install "motionstream-comfyui[{extras}]"` on Linux, with the licences that
they state themselves. Made by `make sbom`.

| package | version | licence |
|---|---|---|
"""


def table(bill: Mapping[str, Any], extras: str) -> str:
    """The page. Raises ValueError for packages that state no licence, naming them."""
    rows = sorted(
        (name := each["name"].lower(), each["version"], licence(each.get("licenses", ())) or READ_BY_HAND.get(name, ""))
        for each in bill["components"]
        if each["name"] != OWN
    )
    if unknown := [name for name, _, text in rows if not text]:
        raise ValueError(f"no licence is stated by {', '.join(unknown)}")
    return HEAD.format(extras=extras) + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def licence(stated: Iterable[Mapping[str, Any]]) -> str:
    """One line of CycloneDX's licences: expressions and SPDX ids as they are, names without PyPI's beginning."""
    found = []
    for each in stated:
        inner = each.get("license", {})
        text = each.get("expression") or inner.get("id") or inner.get("name", "")
        line = text.strip().split("\n")[0].removeprefix(CLASSIFIER).removeprefix("OSI Approved :: ")
        found.append(line if len(line) <= LONGEST else f"{line[:LONGEST]} ...")
    return ", ".join(dict.fromkeys(filter(None, found))).replace("|", "/")


def main(bill: str, page: str, extras: str) -> None:
    """Write the page."""
    Path(page).write_text(table(json.loads(Path(bill).read_text("utf-8")), extras), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
