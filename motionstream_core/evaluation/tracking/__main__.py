"""`python -m motionstream_core.evaluation.tracking`: `motionstream_core.evaluation.tracking`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ...entry import Place, enter


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter(
        "motionstream_core.evaluation.tracking",
        Place("motionstream_core.evaluation.tracking.command:COMMAND", "judge the OpenCV tracker"),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
