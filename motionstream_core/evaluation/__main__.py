"""`python -m motionstream_core.evaluation`: `motionstream_core.evaluation`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..entry import Place, enter


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter(
        "motionstream_core.evaluation",
        Place("motionstream_core.evaluation.command:COMMAND", "judge the bundled model on its held-out world"),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
