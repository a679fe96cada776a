"""`python -m motionstream_core.checkpoints inspect|convert`: `motionstream inspect` and `motionstream convert`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..entry import Place, enter_tree

COMMANDS = {
    "inspect": Place("motionstream_core.checkpoints.command:INSPECT", "say what a file or folder is"),
    "convert": Place("motionstream_core.checkpoints.command:CONVERT", "write the same weights in another layout"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter_tree("motionstream", "What a file of weights is, and other layouts of it.", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
