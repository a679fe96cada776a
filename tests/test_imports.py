"""The house rules that a machine can hold: who may import whom, who may print, what no file is called."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).parents[1]
CORE = "motionstream_core"
EXPERIMENTS = "experiments"
# Each room may import itself and the rooms before it.
ROOMS = [
    "entry",
    "options",
    "files",
    "version",
    "pool",
    "geometry",
    "media",
    "world",
    "tracks",
    "models",
    "diffusion",
    "checkpoints",
    "streaming",
    "evaluation",
    "training",
    "demo",
    "live",
    "batch",
    "commands",
]
HOST = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "nodes"}
NAMES_WITHOUT_A_SUBJECT = {"utils", "util", "misc", "helpers", "common"}
# Loaded where they are used: importing the pack must stay quick, and users may lack them.
LAZY = {"diffusers", "transformers", "accelerate", "cv2", "matplotlib"}


def python_files(folder: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path, source: str) -> Iterator[tuple[str, bool]]:
    """Dotted names that the file at `path`, relative to the root, imports, and whether each was written relatively.

    A relative import comes back as an absolute one; `from a import b` counts as a.b, since b may be a module.
    """
    package = path.parent.parts
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((f"{start}.{alias.name}" if start else alias.name, node.level > 0) for alias in node.names)


def room_of(dotted: str) -> str | None:
    """The room that `motionstream_core.room...` names; None for anything else, the package itself included."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == CORE and len(parts) > 1 and not parts[1].startswith("__") else None


def import_faults(path: Path, source: str) -> list[str]:
    """What the file at `path`, relative to the root, imports against the rules."""
    faults = []
    own_room = room_of(".".join(path.with_suffix("").parts))
    for name, relative in imported(path, source):
        top = name.split(".")[0]
        if top == CORE and not relative and path.parts[0] != EXPERIMENTS:
            faults.append(f"{path}: {name} must be imported relatively; ComfyUI loads the pack under another name")
        if top == EXPERIMENTS and path.parts[0] != EXPERIMENTS:
            faults.append(f"{path}: {name} is not shipped with the pack")
        if path.parts[0] != CORE:
            continue
        if top in HOST:
            faults.append(f"{path}: core imports {name}")
        room = room_of(name)
        if own_room is None or room is None:
            continue
        for each in (own_room, room):
            if each not in ROOMS:
                faults.append(f"{path}: room {each} is not in ROOMS; give it its place")
        if own_room in ROOMS and room in ROOMS and ROOMS.index(room) > ROOMS.index(own_room):
            faults.append(f"{path}: {own_room} imports {room}, which stands above it")
    return faults


def module_files(folders: Iterable[str]) -> dict[str, Path]:
    """Every module below `folders` by its dotted name; a package's name stands for its __init__."""
    paths = [path for folder in folders for path in python_files(folder)]
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def folder_imports(modules: Mapping[str, Path], sources: Mapping[Path, str]) -> dict[str, set[str]]:
    """Which folders each folder imports from.

    A package's __init__ may gather what lies below it, and a command what it runs, so these are left out; and
    `from a import b` is an import of the file a/b.py where there is one, of a/__init__.py's folder elsewhere.
    """
    graph: dict[str, set[str]] = {}
    for path in modules.values():
        graph.setdefault(str(path.parent), set())
        if path.stem in ("__init__", "__main__", "command"):
            continue
        for name, _ in imported(path, sources[path]):
            target = modules.get(name) or modules.get(name.rpartition(".")[0])
            if target is not None and target.parent != path.parent:
                graph[str(path.parent)].add(str(target.parent))
    return graph


def cycle(graph: Mapping[str, set[str]]) -> list[str]:
    """Folders that import each other in a circle, the first one again at the end; empty where there are none."""
    finished: set[str] = set()

    def search(folder: str, trail: list[str]) -> list[str]:
        if folder in trail:
            return [*trail[trail.index(folder) :], folder]
        if folder in finished:
            return []
        for other in sorted(graph.get(folder, ())):
            if found := search(other, [*trail, folder]):
                return found
        finished.add(folder)
        return []

    return next((found for folder in sorted(graph) if (found := search(folder, []))), [])


def print_faults(path: Path, source: str) -> list[str]:
    """Calls of print outside a command: a file named command.py, or one of the room of commands."""
    if path.name == "command.py" or path.parts[1] == "commands":
        return []
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [f"{path}:{c.lineno}: print" for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("motionstream_core/models/wan.py", "from ..diffusion import flow"),
        ("motionstream_core/models/wan.py", "from .. import streaming"),
        ("motionstream_core/models/wan.py", "def f():\n    from ..training.data import clips"),
        ("motionstream_core/geometry.py", "from .tracks import Tracks"),
        ("motionstream_core/tracks/parse.py", "from motionstream_core.geometry import VideoShape"),
        ("motionstream_core/demo/world/scene.py", "import comfy.utils"),
        ("motionstream_core/demo/world/scene.py", "from folder_paths import models_dir"),
        ("motionstream_core/streaming/session.py", "from ...nodes import streaming"),
        ("motionstream_core/streaming/session.py", "from ..attic import box"),
        ("motionstream_core/attic/box.py", "from ..geometry import VideoShape"),
        ("nodes/streaming/streamer.py", "from motionstream_core.geometry import VideoShape"),
    ],
)
def test_a_planted_import_is_found(path: str, line: str) -> None:
    assert len(import_faults(Path(path), line)) == 1


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("motionstream_core/models/wan.py", "from ..geometry import VideoShape\nfrom .rope import Rope\nimport torch"),
        ("motionstream_core/demo/world/scene.py", "from ...training import teacher\nfrom ...geometry import Chunk"),
        ("motionstream_core/models/nodes.py", "from . import server, execution"),
        ("nodes/streaming/streamer.py", "from ..motionstream_core.streaming import rollout\nimport folder_paths"),
    ],
)
def test_allowed_imports_pass(path: str, line: str) -> None:
    assert import_faults(Path(path), line) == []


def test_imports_run_one_way() -> None:
    files = [*python_files(CORE), *python_files("nodes"), *python_files(EXPERIMENTS)]
    assert files
    assert [fault for path in files for fault in import_faults(path, (ROOT / path).read_text("utf-8"))] == []


def test_no_folders_import_each_other() -> None:
    modules = module_files([CORE, "nodes", EXPERIMENTS])
    assert cycle(folder_imports(modules, {path: (ROOT / path).read_text("utf-8") for path in modules.values()})) == []


def test_a_planted_circle_is_found() -> None:
    modules = {name: Path(*name.split(".")).with_suffix(".py") for name in ("p.a.one", "p.b.two", "p.c.three")}
    sources = {
        Path("p/a/one.py"): "from ..b.two import x",
        Path("p/b/two.py"): "from ..c import three",
        Path("p/c/three.py"): "from ..a.one import x",
    }
    assert cycle(folder_imports(modules, sources)) == ["p/a", "p/b", "p/c", "p/a"]
    assert cycle(folder_imports(modules, {**sources, Path("p/c/three.py"): "import torch"})) == []


def test_every_room_has_its_place() -> None:
    """A room that imports nothing of the core would otherwise slip in unseen."""
    rooms = {room_of(".".join(path.with_suffix("").parts)) for path in python_files(CORE)} - {None}
    assert rooms <= set(ROOMS)


def test_core_does_not_print() -> None:
    assert print_faults(Path("motionstream_core/models/wan.py"), "def f():\n    print('loading')")
    assert not print_faults(Path("motionstream_core/demo/command.py"), "print('saved')")
    assert [
        fault for path in python_files(CORE) for fault in print_faults(path, (ROOT / path).read_text("utf-8"))
    ] == []


def test_every_file_has_a_subject() -> None:
    folders = (CORE, "nodes", EXPERIMENTS, "tests", "js", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".js")]
    assert [path for path in files if path.stem in NAMES_WITHOUT_A_SUBJECT] == []


@pytest.mark.thorough
def test_importing_core_loads_no_heavy_extra() -> None:
    modules = [".".join(p.with_suffix("").parts).removesuffix(".__init__") for p in python_files(CORE)]
    quiet = [module for module in modules if not module.endswith("__main__")]
    script = (
        "import importlib, json, sys\n"
        f"for module in {quiet!r}: importlib.import_module(module)\n"
        f"print(json.dumps(sorted({LAZY!r} & set(sys.modules))))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_requirements_leave_comfyuis_packages_alone() -> None:
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert names == project["dependencies"]
    assert not {re.split(r"[^\w-]", name)[0] for name in names} & {"torch", "torchvision", "numpy", "transformers"}


def test_the_version_stands_once() -> None:
    """pyproject.toml has it, where the registry reads it; the changelog's newest release is that one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert released[0] == version
    assert not any("__version__ =" in (ROOT / path).read_text("utf-8") for path in python_files(CORE))
