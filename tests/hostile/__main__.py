"""`python -m tests.hostile [FAMILY ...]`: try every kind of hostile input, or some, and write the table of
docs/reliability.md anew, or their lines of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from .arena import Tally
from .families import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
HEADER = (
    "| input | inputs | refused | crashes | silent acceptances | peak memory | longest time |\n"
    "|---|---|---|---|---|---|---|"
)
PART = re.compile(r"(<!-- hostile -->\n).*?(\n<!-- /hostile -->)", re.DOTALL)


def main() -> int:
    """1 where anything crashed or was taken that had to be refused."""
    page, faults = PAGE.read_text("utf-8"), 0
    names = sys.argv[1:]
    lines = _lines(page) if names else {}
    for name in names or FAMILIES:
        family = FAMILIES[name]
        tally = family.run(family.full)
        faults += len(tally.crashes) + len(tally.silent)
        lines[family.title] = line(family.title, tally)
        print(lines[family.title], flush=True)
        for each in (*tally.crashes[:10], *tally.silent[:10]):
            print(f"  {each}", file=sys.stderr)
    known = [lines[family.title] for family in FAMILIES.values() if family.title in lines]
    page, found = PART.subn(lambda part: part[1] + "\n".join([HEADER, *known]) + part[2], page)
    assert found == 1, f"{PAGE} has no <!-- hostile --> to write in"
    PAGE.write_text(page, "utf-8")
    return 1 if faults else 0


def line(title: str, tally: Tally) -> str:
    """A line of the table; memory is beside what the process had before."""
    counts = f"{tally.inputs} | {tally.refused} | {len(tally.crashes)} | {len(tally.silent)}"
    return f"| {title} | {counts} | {tally.peak_mib:.0f} MiB | {tally.longest_s:.2f} s |"


def _lines(page: str) -> dict[str, str]:
    """The table's lines by their titles."""
    found = PART.search(page)
    rows = found[0].splitlines()[3:-1] if found else []
    return {row.split("|")[1].strip(): row for row in rows if row.startswith("| ")}


if __name__ == "__main__":
    sys.exit(main())
