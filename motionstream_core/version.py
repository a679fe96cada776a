"""The version of this pack, which stands once: in pyproject.toml, whose words an installed package repeats."""

from __future__ import annotations

import functools
import re
from importlib import metadata
from pathlib import Path

PACKAGE = "motionstream-comfyui"


@functools.cache
def own_version() -> str:
    """As in "0.2.0": of the checkout that this file lies in, which ComfyUI runs as it is, or of the installed wheel."""
    beside = Path(__file__).parents[1] / "pyproject.toml"
    text = beside.read_text("utf-8") if beside.is_file() else ""
    if f'name = "{PACKAGE}"' in text and (found := re.search(r'^version = "([^"]+)"', text, re.M)):
        return found[1]
    return metadata.version(PACKAGE)
