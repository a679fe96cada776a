"""What was found: one JSON that grows fact by fact, and a table in Markdown made of it."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from motionstream_core.files import write_text

TRACEBACK_CHARS = 1500


class Record:
    """The facts of all parts, in `folder`; each is on disk as soon as it is told, so that nothing is lost.

    A part is {"state": "running", "done" or "failed", "seconds", "error", "facts", "faults"}. Raises ValueError for a
    folder that holds a run of another size.
    """

    def __init__(self, folder: Path, tiny: bool) -> None:
        self.folder = folder
        self._json = folder / "gpu_check.json"
        self._table = folder / "gpu_check.md"
        self._held: dict[str, Any] = {"tiny": tiny, "parts": {}}
        if self._json.exists():
            self._held = json.loads(self._json.read_text("utf-8"))
            if self._held["tiny"] != tiny:
                raise ValueError(f"{folder} holds a run {'with' if not tiny else 'without'} --tiny; give another --out")

    def part(self, name: str) -> dict[str, Any]:
        """What is known of a part; empty before it began."""
        return self._held["parts"].get(name, {})

    def begin(self, name: str) -> None:
        """A part begins anew."""
        self._held["parts"][name] = {"state": "running", "facts": {}, "faults": {}}
        self._save()

    def end(self, name: str, state: str, seconds: float, error: str = "") -> None:
        """How a part ended."""
        self._held["parts"][name] |= {"state": state, "seconds": round(seconds, 1)} | (
            {"error": error} if error else {}
        )
        self._save()

    def tell(self, part: str, fact: str, value: Any) -> None:
        """A fact: a number, a text, or a flat mapping of them."""
        self._held["parts"][part]["facts"][fact] = value
        self._save()

    def compare(self, part: str, fact: str, difference: float, allowed: float) -> None:
        """A difference between two ways of computing the same; one beyond `allowed`, or NaN, is a fault."""
        right = difference <= allowed
        self.tell(part, fact, {"difference": float(f"{difference:.3g}"), "allowed": allowed, "right": right})
        if not right:
            self._fault(part, fact, f"differs by {difference:.3g}, allowed is {allowed:g}")

    @contextmanager
    def checking(self, part: str, fact: str) -> Iterator[None]:
        """What goes wrong inside is a fault of the part, which goes on; a package that is not installed is a fact."""
        try:
            yield
        except ModuleNotFoundError as error:
            self.tell(part, fact, f"not tried: {error}")
        except Exception as error:
            self._fault(part, fact, told(error))

    @property
    def is_right(self) -> bool:
        """Whether every part that was begun is done, without a fault."""
        parts = self._held["parts"].values()
        return all(part["state"] == "done" and not part["faults"] for part in parts)

    def _fault(self, part: str, fact: str, words: str) -> None:
        self._held["parts"][part]["faults"][fact] = words
        self._save()

    def _save(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for path, text in ((self._json, json.dumps(self._held, indent=1)), (self._table, self.markdown())):
            write_text(path, text)

    def markdown(self) -> str:
        """All facts as tables, one for each part."""
        lines = ["# GPU check", "", "In tiny sizes: a rehearsal, no measurement." if self._held["tiny"] else ""]
        for name, part in self._held["parts"].items():
            lines += ["", f"## {name}: {part['state']}, {part.get('seconds', '?')} s", ""]
            lines += [f"**Error:** {_cell(part['error'])}", ""] if "error" in part else []
            lines += [f"- **Fault in {fact}:** {_cell(words)}" for fact, words in part["faults"].items()]
            lines += ["", "| fact | value |", "|---|---|"]
            lines += [f"| {fact} | {_cell(value)} |" for fact, value in part["facts"].items()]
        return "\n".join(lines) + "\n"


def told(error: Exception) -> str:
    """What went wrong, and where; only the first goes into the table."""
    return f"{type(error).__name__}: {error}\nTraceback: {traceback.format_exc()[-TRACEBACK_CHARS:]}"


def _cell(value: Any) -> str:
    """As a table holds it: on one line."""
    if isinstance(value, dict):
        value = ", ".join(f"{name} {_cell(each)}" for name, each in value.items())
    elif isinstance(value, list):
        value = ", ".join(_cell(each) for each in value)
    return str(value).split("\nTraceback")[0].replace("\n", " ").replace("|", "\\|")
