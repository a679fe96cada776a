"""`python -m experiments`: `make study`, in parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from motionstream_core.entry import Place, enter


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`motionstream_core.entry`)."""
    return enter("experiments", Place("experiments.command:COMMAND", "the study"), arguments)


if __name__ == "__main__":
    sys.exit(main())
