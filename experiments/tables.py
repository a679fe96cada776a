"""Rows of stored results to Markdown tables: mean and spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .judging import mean_spread

Row = Mapping[str, Any]


def pick(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """The rows that have all wanted values."""
    return [row for row in rows if all(row.get(name) == value for name, value in wanted.items())]


def values_of(rows: Sequence[Row], key: str) -> list[Any]:
    """The different values of `key`, in the order in which they come."""
    return list(dict.fromkeys(row[key] for row in rows if key in row))


def cell(rows: Sequence[Row], key: str, digits: int = 2, percent: bool = False) -> str:
    """`mean ± spread` of `key` over rows (the seeds); the mean alone for one row; empty where nothing was measured."""
    found = [row[key] * (100 if percent else 1) for row in rows if row.get(key) is not None]
    if not found:
        return ""
    mean, spread = mean_spread(found)
    text = f"{mean:.{digits}f}" if len(found) == 1 else f"{mean:.{digits}f} ± {spread:.{digits}f}"
    return text + (" %" if percent else "")


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, one string per line."""
    return [
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(line) + " |" for line in lines),
    ]


def by_case(rows: Sequence[Row], key: str, column: str, digits: int = 2, percent: bool = False) -> list[str]:
    """One line per kind of case, one column per value of `column`, `key` in the cells."""
    columns = values_of(rows, column)
    lines = [
        [kind, *(cell(pick(rows, case=kind, **{column: name}), key, digits, percent) for name in columns)]
        for kind in values_of(rows, "case")
    ]
    return markdown(["", *columns], lines)
