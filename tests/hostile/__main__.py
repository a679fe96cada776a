"""`python -m tests.hostile`: try every kind of hostile input and write the table of docs/reliability.md anew."""

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


def main() -> int:
    """1 where anything crashed or was taken that had to be refused."""
    rows, total = [HEADER], Tally()
    for family in FAMILIES.values():
        tally = family.run(family.full)
        total.add(tally)
        rows.append(row(family.title, tally))
        print(rows[-1], flush=True)
        for line in (*tally.crashes[:10], *tally.silent[:10]):
            print(f"  {line}", file=sys.stderr)
    rows.append(row("**all**", total))
    page = PAGE.read_text("utf-8")
    pattern = re.compile(r"(<!-- hostile -->\n).*?(\n<!-- /hostile -->)", re.DOTALL)
    page, found = pattern.subn(lambda part: part[1] + "\n".join(rows) + part[2], page)
    assert found == 1, f"{PAGE} has no <!-- hostile --> to write in"
    PAGE.write_text(page, "utf-8")
    return 1 if total.crashes or total.silent else 0


def row(title: str, tally: Tally) -> str:
    """A line of the table; memory is beside what the process had before."""
    counts = f"{tally.inputs} | {tally.refused} | {len(tally.crashes)} | {len(tally.silent)}"
    return f"| {title} | {counts} | {tally.peak_mib:.0f} MiB | {tally.longest_s:.2f} s |"


if __name__ == "__main__":
    sys.exit(main())
