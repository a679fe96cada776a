"""`python -m motionstream_core.demo`: `motionstream demo`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..entry import Place, enter


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter(
        "motionstream demo",
        Place("motionstream_core.demo.command:COMMAND", "run the bundled model on a picture"),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
