"""Fake servers, and a manifest with its workflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motionstream_core.__main__ import main
from tests.core.batch.fake_server import GRAPH, FakeServer


@pytest.fixture
def start() -> Iterator[Callable[[], FakeServer]]:
    """Starts a server, which ends with the test."""
    started: list[FakeServer] = []

    def one() -> FakeServer:
        started.append(FakeServer())
        started[-1].start()
        return started[-1]

    yield one
    for each in started:
        each.stop()


@pytest.fixture
def server(start: Callable[[], FakeServer]) -> FakeServer:
    return start()


class Table:
    """A folder with a workflow, a picture, tracks and a manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest, self.workflow = folder, folder / "jobs.csv", folder / "workflow.api.json"
        self.workflow.write_text(json.dumps(GRAPH), "utf-8")
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "picture.png")
        (folder / "tracks.json").write_text("[[[3, 3], [9, 9]]]", "utf-8")
        self.write("job_id,prompt,seed", "a,one,1", "b,two,2", "c,three,3")

    def write(self, *lines: str) -> None:
        """The manifest's lines."""
        self.manifest.write_text("\n".join(lines) + "\n", "utf-8")

    def arguments(self, *servers: FakeServer) -> list[str]:
        """What the command is called with."""
        return ["queue", str(self.manifest), "--workflow", str(self.workflow), "--server", *(s.url for s in servers)]

    def queue(self, *servers: FakeServer, options: tuple[str, ...] = ()) -> int:
        """The command's exit status."""
        return main([*self.arguments(*servers), *options])


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)
