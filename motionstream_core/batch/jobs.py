"""A manifest's rows as jobs: the whole table is checked, files and all, before the first job is sent."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..files import require_regular, sha256_of
from ..live.open import Log
from ..media.picture import read_picture
from ..media.video import video_info
from ..tracks import read_file
from ..tracks.text import text_of
from .inputs import Info, fitting
from .manifest import ManifestError, Row
from .storage import fetched, is_address
from .workflow import EVERYWHERE, LOG, PICTURE, TRACKS, VIDEO, WELL_KNOWN, Graph, Place, Workflow, is_link

ON_SERVER = ("bundled/",)
"""Values that begin so name what every server has; none is sent there."""
_MARKS = (" [input]", " [output]", " [temp]")
_FAR = (2**20, 2**20)
EVERY = ("job_id", *EVERYWHERE)


@dataclass(frozen=True)
class SentFile:
    """A file that a job needs on the server, with the hash of its content in hex."""

    path: Path
    sha256: str

    @property
    def name(self) -> str:
        """Its name on the server, which another content never has."""
        return f"{self.sha256[:16]}_{self.path.name}"


@dataclass(frozen=True)
class Job:
    """A row, the graph that it makes of the workflow, and the files that go to inputs of it."""

    job_id: str
    graph: Graph
    files: dict[Place, SentFile]

    @property
    def digest(self) -> str:
        """Changes when anything changes that the job is made of: its files' names in the graph tell their content."""
        return hashlib.sha256(json.dumps(self.graph, sort_keys=True).encode()).hexdigest()

    def with_files(self, names: Mapping[SentFile, str]) -> Graph:
        """The graph, naming its files as the server does."""
        graph = copy.deepcopy(self.graph)
        for place, file in self.files.items():
            graph[place.node]["inputs"][place.input] = names[file]
        return graph


@dataclass
class Checker:
    """Makes jobs of rows and gathers what is wrong with them.

    folder: where the files of the rows lie. copies: a folder for what lies at addresses, until all jobs are sent.
    infos: what each server, by its address, tells of every class of node of the workflow; empty for a class that it
    does not have.
    """

    workflow: Workflow
    folder: Path
    copies: Path
    infos: Mapping[str, Mapping[str, Info]]
    faults: list[str] = field(default_factory=list)
    _places: dict[str, list[Place]] = field(default_factory=dict)
    _fetched: dict[str, Path] = field(default_factory=dict)
    _hashes: dict[Path, str] = field(default_factory=dict)
    _seen: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def jobs(self, rows: list[Row]) -> list[Job]:
        """A job for every row. Raises ManifestError with every fault of the servers, the columns and the rows."""
        self._check_servers()
        self._find_places(rows)
        jobs = [self._job(row) for row in rows]
        if self.faults:
            raise ManifestError(self.faults)
        return jobs

    def _check_servers(self) -> None:
        for url, info in self.infos.items():
            missing = sorted(kind for kind in self.workflow.kinds() if not info.get(kind))
            if missing:
                self.faults.append(f"--server: {url} has no node {', '.join(missing)}; install what it comes from")

    def _find_places(self, rows: list[Row]) -> None:
        try:
            job_places = self.workflow.job_places()
        except ValueError as error:
            self.faults.append(str(error))
            job_places = []
        self._places["job_id"] = job_places
        for row in rows:
            for column in row.values:
                if column in self._places:
                    continue
                try:
                    self._places[column] = self.workflow.places(column)
                except ValueError as error:
                    self._places[column] = []
                    self.faults.append(f"row {row.number}: {error}")
        explicit = [place for column, found in self._places.items() if column not in EVERY for place in found]
        for place in {each for each in explicit if explicit.count(each) > 1}:
            self.faults.append(f"two columns go to {self.workflow.shown(place)}; keep one of them")

    def _job(self, row: Row) -> Job:
        graph = copy.deepcopy(self.workflow.graph)
        files: dict[Place, SentFile] = {}
        # what names one input comes after a seed or a length for all, which it overrules; files, which are read in the
        # size and the units that the node is told, come last
        given = sorted(row.values.items(), key=lambda each: (each[0] not in EVERY, self._is_file(each[0])))
        for column, value in [("job_id", row.job_id), *given]:
            for place in self._places[column]:
                try:
                    graph[place.node]["inputs"][place.input] = self._value(column, place, value, graph, files)
                except (ValueError, OSError) as error:
                    self.faults.append(f"row {row.number} ({row.job_id}), {column}: {error}")
        return Job(row.job_id, graph, files)

    def _is_file(self, column: str) -> bool:
        """Whether its cells name files that are read here."""
        return any(self.workflow.file_kind(each) or self.workflow.text_kind(each) for each in self._places[column])

    def _value(self, column: str, place: Place, value: Any, graph: Graph, files: dict[Place, SentFile]) -> Any:
        if is_link(self.workflow.value(place)):
            raise ValueError(f"{self.workflow.shown(place)} is linked to another node; take the link away to set it")
        kind = self.workflow.file_kind(place)
        if kind is not None and not _on_server(value):
            files[place] = self._file(value, kind, graph[place.node]["inputs"])
            return files[place].name
        if column in WELL_KNOWN and (kind := self.workflow.text_kind(place)) is not None:
            file = self._file(value, kind, graph[place.node]["inputs"])
            if file.path.suffix.lower() == ".npz":
                raise ValueError(f"{value}: {self.workflow.kind(place.node)} takes text; use MotionStream Load Tracks")
            value = text_of(file.path.read_bytes())
        return self._fitted(place, value, any_option=kind is not None)

    def _fitted(self, place: Place, value: Any, any_option: bool) -> Any:
        """`value` as the input takes it on every server."""
        kind, fitted = self.workflow.kind(place.node), value
        for url, info in self.infos.items():
            if not info.get(kind):  # a fault of its own
                continue
            try:
                fitted = fitting(info[kind], place.input, value, any_option)
            except ValueError as error:
                raise ValueError(f"{error}{f' (at {url})' if len(self.infos) > 1 else ''}") from None
        return fitted

    def _file(self, value: Any, kind: str, inputs: Mapping[str, Any]) -> SentFile:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"it names a file, not {value!r}")
        path = self._path(value)
        asked = _asked(inputs) if kind == TRACKS else Asked()
        key = (path, kind, asked)
        if key not in self._seen:
            try:
                _look(path, kind, asked)
                self._seen[key] = ""
            except (ValueError, OSError) as error:
                self._seen[key] = str(error)
        if self._seen[key]:
            raise ValueError(self._seen[key])
        if path not in self._hashes:
            self._hashes[path] = sha256_of(path)
        return SentFile(path, self._hashes[path])

    def _path(self, value: str) -> Path:
        """Where the file is that a cell names, or a copy of what lies at an address."""
        if not is_address(value):
            path = (self.folder / value).absolute()
            require_regular(path, value)
            return path
        if value not in self._fetched:
            folder = self.copies / str(len(self._fetched))
            folder.mkdir(exist_ok=True)
            self._fetched[value] = fetched(value, folder)
        return self._fetched[value]


@dataclass(frozen=True)
class Asked:
    """How a node reads tracks. size: (height, width) in px, None where another node tells it."""

    size: tuple[int, int] | None = None
    units: str = "auto"
    order: str = "auto"


def _look(path: Path, kind: str, asked: Asked) -> None:
    """Raise ValueError where a file is not of its kind."""
    if kind == PICTURE:
        read_picture(path)
    elif kind == VIDEO:
        video_info(path)
    elif kind == LOG:
        Log.read(path)
    elif asked.size is None:  # a frame that holds whatever was drawn
        read_file(path, _FAR, units="px", order=asked.order, remedy="give the size that they were made for")
    else:
        remedy = "give the width and height that they were made for"
        read_file(path, asked.size, units=asked.units, order=asked.order, remedy=remedy)


def _asked(inputs: Mapping[str, Any]) -> Asked:
    source = _side(inputs, "source_height"), _side(inputs, "source_width")
    height, width = source if all(source) else (_side(inputs, "height"), _side(inputs, "width"))
    words = (inputs.get(name) for name in ("units", "order"))
    units, order = (word if isinstance(word, str) else "auto" for word in words)
    return Asked((height, width) if height and width else None, units, order)


def _side(inputs: Mapping[str, Any], name: str) -> int:
    """px, 0 where a node does not say it or a link does."""
    value = inputs.get(name)
    return value if isinstance(value, int) else 0


def _on_server(value: Any) -> bool:
    return isinstance(value, str) and (value.startswith(ON_SERVER) or value.endswith(_MARKS))
