"""`python -m motionstream_core.training`: `motionstream train`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..entry import Place, enter


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`entry`)."""
    return enter(
        "motionstream train",
        Place("motionstream_core.training.command:COMMAND", "train the bundled model or Wan, stage by stage"),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
