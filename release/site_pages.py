"""MkDocs hook: the repository's Markdown as a site, with links that lead where they lead in the repository.

README is the front page and the nodes' pages come from js/docs. A link to a page of the site stays in the site, one to
any other file goes to the repository; one that leads nowhere is left as it is, which fails a strict build.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changes.md", "CONTRIBUTING.md": "contributing.md"}
PICTURES = (".png", ".jpg", ".webp", ".svg")
_LINK = re.compile(r"(\]\()([^)\s]+)(\))")
_FENCE = re.compile(r"^```.*?^```$", re.M | re.S)
_COMMENT = re.compile(r"^<!-- /?[\w ]+ -->\n", re.M)


def places() -> dict[str, str]:
    """Where a file of the repository is in the site, for all that are there."""
    beside = {f"js/docs/{path.name}": f"nodes/{path.name}" for path in (ROOT / "js" / "docs").glob("*.md")}
    below = {f"docs/{path}": path for path in _below(ROOT / "docs")}
    pictures = {f"workflows/{path}": f"workflows/{path}" for path in _below(ROOT / "workflows") if _is_picture(path)}
    return {**PAGES, **beside, **below, **pictures}


def on_config(config: Any) -> Any:
    """Add the pages of whole folders to the navigation, each titled by its own heading."""
    for title, folder in (("Nodes", "nodes/"), ("Decisions", "adr/")):
        pages = sorted(place for place in places().values() if place.startswith(folder) and place.endswith(".md"))
        config["nav"].append({title: pages})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add what lies outside docs/."""
    for own, place in places().items():
        if not own.startswith("docs/"):
            files.append(File.generated(config, place, abs_src_path=str(ROOT / own)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """A page with its links as the site needs them, without the marks of tables that scripts write."""
    found = places()
    own = next(each for each, place in found.items() if place == page.file.src_uri)
    address = config["repo_url"].rstrip("/")
    return "".join(
        part if is_code else _LINK.sub(lambda link: _led(link, own, found, address), _COMMENT.sub("", part))
        for is_code, part in _parts(markdown)
    )


def _led(link: re.Match[str], own: str, found: dict[str, str], address: str) -> str:
    target = urlsplit(link[2])
    if target.scheme or not target.path:
        return link[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(own), unquote(target.path)))
    anchor = f"#{target.fragment}" if target.fragment else ""
    if path in found:
        led = quote(posixpath.relpath(found[path], posixpath.dirname(found[own]) or "."))
    elif (ROOT / path).exists() and not path.startswith(".."):
        led = f"{address}/{'tree' if (ROOT / path).is_dir() else 'blob'}/main/{quote(path)}"
    else:
        return link[0]
    return f"{link[1]}{led}{anchor}{link[3]}"


def _parts(markdown: str) -> Iterator[tuple[bool, str]]:
    """(whether it is a block of code, text), one after the other."""
    end = 0
    for block in _FENCE.finditer(markdown):
        yield False, markdown[end : block.start()]
        yield True, block[0]
        end = block.end()
    yield False, markdown[end:]


def _below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _is_picture(path: str) -> bool:
    return path.endswith(PICTURES)
