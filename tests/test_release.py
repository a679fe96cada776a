"""What a release is made of: one version everywhere, what the registry asks for, a wheel that runs without the tree."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pytest
import tomllib
from PIL import Image

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
PAGE = ("js/language", "js/live", "js/track_editor")
IMPORTED = re.compile(r'^(?:import|export|\}).*?"(\..+?)";', re.M)


def sources(*folders: str) -> set[str]:
    """All that git does not ignore below `folders`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return set(filter(None, listed.stdout.split("\0")))


def test_one_version_everywhere() -> None:
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    released = re.search(r"^## \[(\d[^\]]*)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    dated = re.search(r"^date-released: (.+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited is not None and released is not None and dated is not None
    assert {cited[1], released[1], PROJECT["version"]} == {PROJECT["version"]}
    assert dated[1] == released[2]


def test_the_registry_gets_what_it_asks_for() -> None:
    """By the registry's rules: names, a semantic version, a licence, addresses, a picture of at most 800 x 400 px."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,98}[a-z0-9]", PROJECT["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert PROJECT["license"] and PROJECT["description"]
    comfy = PYPROJECT["tool"]["comfy"]
    assert comfy["PublisherId"] and comfy["DisplayName"]
    assert all(urlsplit(each).scheme == "https" for each in (*PROJECT["urls"].values(), comfy["Icon"]))
    assert comfy["Icon"].startswith(PROJECT["urls"]["Repository"].replace("github.com", "raw.githubusercontent.com"))
    assert (ROOT / comfy["Icon"].partition("/main/")[2]).is_file()


def test_extras_stand_on_each_other() -> None:
    """An extra that names another is one that there is, and torch comes with every one that needs it."""
    extras = PROJECT["optional-dependencies"]
    for names in extras.values():
        for name in names:
            own = re.fullmatch(rf"{PROJECT['name']}\[(\w+)\]", name)
            assert own is None or own[1] in extras
    assert "torch" in extras["standalone"]
    assert all(f"{PROJECT['name']}[standalone]" in extras[each] for each in ("live", "cluster", "train"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling (requirements-dev.txt)")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_library_its_weights_and_the_live_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (stated,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        about = message_from_string(archive.read(stated).decode())
        entry = archive.read(stated.replace("METADATA", "entry_points.txt")).decode()
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == sources("motionstream_core") | {f"motionstream_core/{name}" for name in sources(*PAGE)}
    assert {PurePosixPath(name).name for name in names - inside} == {
        *("METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt")
    }
    assert (about["Name"], about["Version"], about["License-Expression"]) == (
        *(PROJECT["name"], PROJECT["version"]),
        "Apache-2.0",
    )
    assert set(about.get_all("Provides-Extra") or ()) == set(PROJECT["optional-dependencies"])
    assert "motionstream = motionstream_core.__main__:main" in entry


@pytest.mark.slow
def test_the_wheel_runs_where_the_tree_is_not(wheel: Path, tmp_path: Path) -> None:
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    Image.new("RGB", (160, 96), "teal").save(empty / "a.png")
    script = (
        "import sys\n"
        "from motionstream_core.__main__ import main\n"
        "from motionstream_core.live.page import JS\n"
        "print(JS)\n"
        "sys.exit(main(['doctor']) or main(['render', '--image', 'a.png', '--frames', '13', '--out', 'a.mp4']))"
    )
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page, _, told = done.stdout.partition("\n")
    assert Path(page) == installed / "motionstream_core" / "js"
    assert f"motionstream-comfyui    {PROJECT['version']}" in told
    assert str(installed) in told and str(ROOT) not in told.partition("folders:")[2]  # the weights are the wheel's
    assert f"with MotionStream {PROJECT['version']}".encode() in (empty / "a.mp4").read_bytes()
    check_page(Path(page) / "live" / "page.html")


def check_page(html: Path) -> None:
    """All that the page's modules import is there."""
    base = html.parents[2]
    start = re.search(r'from "\./(js/[^"]+)"', html.read_text("utf-8"))
    assert start is not None
    found, waiting = set(), [base / start[1]]
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        text = module.read_text("utf-8")
        waiting += [(module.parent / each).resolve() for each in IMPORTED.findall(text)]
    assert base / "js" / "track_editor" / "curve" / "geometry.js" in found
