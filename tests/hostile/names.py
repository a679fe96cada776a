"""Names of files as a hostile user gives them, and a folder in which a step outside is seen."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from motionstream_core.files import new_file, path_below

PARTS = [
    "..",
    ".",
    "",
    "a",
    "clip",
    "link",
    "deep",
    "CON",
    "nul.txt",
    "com1",
    "C:",
    "~",
    "%00",
    "a" * 300,
    " ",
    "x.",
    "é",
]
CHARACTERS = st.one_of(
    st.sampled_from("abc/\\.:*?\"<>|\x00\n\r\x1b\x7f\x85\u2028\u202e\ud800\udfff %~$'"),
    st.characters(),
)
NAMES = st.one_of(
    st.text(CHARACTERS, max_size=20),
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("/".join),
    st.builds("{}{}{}".format, st.sampled_from(PARTS), CHARACTERS, st.sampled_from(PARTS)),
)


def names(count: int, number: int) -> list[str]:
    """As many different ones, by hypothesis."""
    found: set[str] = set()

    @seed(number)
    @settings(
        max_examples=2 * count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(NAMES)
    def draw(name: str) -> None:
        found.add(name)

    draw()
    return sorted(found)[:count]


def try_name(name: str) -> str | None:
    """Write a file of that name, with a suffix as nodes add it; nothing outside the folder may change."""
    root = Path(tempfile.mkdtemp())
    try:
        folder, outside = root / "output", root / "outside"
        folder.mkdir()
        outside.mkdir()
        (outside / "kept.mp4").write_bytes(b"kept")
        (folder / "link").symlink_to(outside)
        for at in (outside / "clip.mp4", root / "clip.mp4"):
            at.write_bytes(b"kept")
        before = _listing(root)
        path = path_below(folder, f"{name}.mp4", "save_as")
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as file:
            file.write(b"written")
        if _listing(root) != before:
            return "something outside the folder changed"
        if not path.is_file() or path.read_bytes() != b"written":
            return "it is not there under its name"
        there = [each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()]
        return None if len(there) == 1 else f"there are {len(there)} files"
    finally:
        shutil.rmtree(root)


def _listing(root: Path) -> dict[str, bytes]:
    """Every file that is not below the folder, by content."""
    files = (each for each in root.rglob("*") if each.is_file() and "output" not in each.relative_to(root).parts)
    return {str(each.relative_to(root)): each.read_bytes() for each in files}
