"""Links between the Markdown pages lead somewhere: files that are there, headings that they have."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/*.md", "docs/adr/*.md", "js/docs/*.md", "motionstream_core/demo/weights/**/*.md")
    for path in ROOT.glob(pattern)
)
LINK, FENCE = re.compile(r"\]\(([^)\s]+)\)"), re.compile(r"^```.*?^```$", re.M | re.S)


def anchors(page: Path) -> set[str]:
    """The names that its headings have in a browser."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def faults(page: Path, text: str) -> list[str]:
    found = []
    for link in LINK.findall(FENCE.sub("", text)):
        target = urlsplit(link)
        if target.scheme:
            continue
        path = (page.parent / unquote(target.path)).resolve() if target.path else page
        if not path.exists() or not path.is_relative_to(ROOT):
            found.append(f"{link}: no such file")
        elif target.fragment and target.fragment not in anchors(path):
            found.append(f"{link}: no such heading")
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    assert faults(page, page.read_text("utf-8")) == []


def test_a_link_that_leads_nowhere_is_seen() -> None:
    text = "[a](gone.md) [b](live.md#gone) [c](../../etc/passwd) [d](live.md) [e](batch.md#the-manifest)"
    told = ["gone.md: no such file", "live.md#gone: no such heading", "../../etc/passwd: no such file"]
    assert faults(ROOT / "docs" / "batch.md", text) == told
