"""`python -m tests.hostile.guided FAMILY [SECONDS]`: a family's inputs, changed on and on towards code not yet run.

Needs `pip install atheris` (Linux). It begins with what the family draws, prints what it has reached, and ends with 77
and the input in `crash-...` where one crashed, was taken wrongly or took too long.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import atheris

with atheris.instrument_imports(include=["motionstream_core.tracks", "motionstream_core.live", "tests.hostile"]):
    from .families import FAMILIES

from .arena import LONGEST_MESSAGE, REFUSALS

GUIDED = ("coordinates", "documents", "cameras", "npz", "logs")
SEEDS = 300


def main() -> None:
    """Ends the process, as libFuzzer does."""
    name, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    if name not in GUIDED:
        raise SystemExit(f"the family is {name!r}; choose one of {', '.join(GUIDED)}")
    family = FAMILIES[name]
    drawn = family.draw(SEEDS, 1)
    is_text = isinstance(drawn[0], str)

    def one(content: bytes) -> None:
        given: Any = content.decode("utf-8", "replace") if is_text else content
        try:
            wrong = family.act(given)
        except REFUSALS as error:
            assert str(error).strip() and len(str(error)) <= LONGEST_MESSAGE, "a refusal of no words or too many"
        else:
            assert wrong is None, wrong

    with tempfile.TemporaryDirectory() as corpus:
        for index, each in enumerate(drawn):
            (Path(corpus) / str(index)).write_bytes(each.encode("utf-8", "replace") if is_text else each)
        limits = family.limits
        flags = [
            f"-max_total_time={seconds}",
            f"-timeout={limits.seconds:.0f}",
            "-rss_limit_mb=0",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *flags, corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
