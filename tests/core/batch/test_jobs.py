"""What is wrong with a manifest is found before anything is sent, all of it, with its row."""

from __future__ import annotations

import copy
import json

import pytest

from motionstream_core.batch.inputs import fitting
from tests.core.batch.conftest import Table
from tests.core.batch.fake_server import GRAPH, INFO, FakeServer


def told(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The faults that the command lists; nothing was sent."""
    assert table.queue(server) == 2
    assert not server.posted
    assert not server.uploads
    assert not list(table.folder.glob("*.sqlite"))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("nothing was sent")
    return lines[:-1]


def test_all_rows_are_checked_at_once(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    (table.folder / "broken.png").write_bytes(b"no picture")
    (table.folder / "broken.json").write_text("[[[1, 2], [3]]]", "utf-8")
    table.write(
        "job_id,image,tracks,seed,length,Streamer.fit",
        "a,missing.png,,1,13,",
        "b,broken.png,,1,13,",
        "c,picture.png,broken.json,1,13,",
        "d,picture.png,tracks.json,many,13,",
        "e,picture.png,tracks.json,1,5000,",
        "f,picture.png,tracks.json,1,13,odd",
        "g,picture.png,tracks.json,1,13,crop",
    )
    found = told(table, server, capsys)
    rows = [line.split()[1] for line in found]
    assert rows == ["1", "2", "3", "4", "5", "6"]
    assert "there is no file" in found[0]
    assert "broken.png" in found[1]
    assert "broken.json" in found[2]
    assert "whole number, not 'many'" in found[3]
    assert "5000 is not in the range 0 to 1000" in found[4]
    assert "'odd' is none of its options: crop" in found[5]


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("colour", "red", "column 'colour' is not known"),
        ("Nobody.seed", "1", "no node with the title or id 'Nobody'"),
        ("3.speed", "1", "no such input; it has prompt, seed, length, fit, image, motion"),
        ("3.image", "a.png", "is linked to another node"),
        ("video", "a.mp4", "no node of the workflow takes it"),
        ("live_log", "a.log.json", "no node of the workflow takes it"),
        ("4.video", "a.mp4", "is linked"),
    ],
)
def test_columns(
    column: str, value: str, says: str, table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write(f"job_id,{column}", "a,", f"b,{value}")
    (line,) = told(table, server, capsys)
    assert line.startswith("row 2")
    assert says in line


def test_two_columns_for_one_input(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    table.write("job_id,prompt,Streamer.prompt", "a,one,two")
    assert told(table, server, capsys) == ["two columns go to Streamer.prompt; keep one of them"]


def test_one_input_overrules_all(table: Table, server: FakeServer) -> None:
    table.write("job_id,2.length,length", "a,9,25")
    assert table.queue(server) == 0
    graph = server.posted[0][2]
    assert (graph["2"]["inputs"]["length"], graph["3"]["inputs"]["length"]) == (9, 25)


@pytest.mark.parametrize(
    ("columns", "cells"),
    [("tracks,2.width,2.height", "far.json,256,256"), ("2.width,2.height,tracks", "256,256,far.json")],
)
def test_tracks_are_read_in_the_size_that_their_row_says(
    columns: str, cells: str, table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever comes first in the table; in the workflow's own 64 x 64 px they lie outside."""
    (table.folder / "far.json").write_text("[[[200, 200], [220, 210]]]", "utf-8")
    table.write("job_id,tracks", "a,far.json")
    (line,) = told(table, server, capsys)
    assert "far.json" in line
    table.write(f"job_id,{columns}", f"a,{cells}")
    assert table.queue(server, options=("--check",)) == 0


def test_what_fits_two_nodes_is_asked(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    table.workflow.write_text(json.dumps({**GRAPH, "5": GRAPH["3"], "6": GRAPH["1"]}), "utf-8")
    table.write("job_id,prompt,image", "a,one,picture.png")
    found = told(table, server, capsys)
    assert "name the column as one of them: 3.prompt, 5.prompt" in found[0]
    assert "name the column as one of them: 1.image, 6.image" in found[1]
    table.write("job_id,5.prompt,6.image", "a,one,picture.png")
    assert table.queue(server) == 0
    assert server.posted[0][2]["6"]["inputs"]["image"].endswith("_picture.png")


def test_a_workflow_that_saves_no_jobs(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    table.workflow.write_text(json.dumps({name: GRAPH[name] for name in "123"}), "utf-8")
    assert "save with the node MotionStream Save Job" in told(table, server, capsys)[0]


def test_a_server_without_the_nodes(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.info = {name: each for name, each in INFO.items() if name != "MotionStreamSaveJob"}
    assert "has no node MotionStreamSaveJob" in told(table, server, capsys)[0]


def test_a_server_with_other_nodes(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.info = copy.deepcopy(INFO)
    del server.info["MotionStreamStudentStreamer"]["input"]["required"]["seed"]
    assert [line.split(",")[0] for line in told(table, server, capsys)] == ["row 1 (a)", "row 2 (b)", "row 3 (c)"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"1": {"inputs": {}}}', '{"nodes": [], "links": []}'])
def test_what_is_no_workflow(
    content: str, table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    table.workflow.write_text(content, "utf-8")
    assert table.queue(server) == 2
    assert "--workflow: workflow.api.json is" in capsys.readouterr().err


def test_checking_alone_sends_nothing(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert table.queue(server, options=("--check",)) == 0
    assert "3 jobs, no faults; nothing was sent" in capsys.readouterr().out
    assert not server.posted


KINDS = {
    "input": {
        "required": {
            "int": ["INT", {"min": -1}],
            "float": ["FLOAT", {"max": 2.0}],
            "bool": ["BOOLEAN", {}],
            "text": ["STRING", {}],
            "old": [["a", "b"], {}],
            "number": ["COMBO", {"options": [1, 2]}],
            "model": ["MODEL", {}],
        }
    }
}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("int", "7", 7),
        ("int", 7.0, 7),
        ("int", str(2**63), 2**63),
        ("float", "1e-3", 0.001),
        ("bool", "no", False),
        ("bool", True, True),
        ("text", "7", "7"),
        ("old", "b", "b"),
        ("number", "2", 2),
    ],
)
def test_cells_that_fit(name: str, value: object, expected: object) -> None:
    got = fitting(KINDS, name, value)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("int", each) for each in ("", "1.5", 1.5, True, "-2", [1], float("nan"), float("inf"))),
        *(("float", each) for each in ("nan", "inf", "x", False, 2.5, None)),
        *(("bool", each) for each in ("maybe", 2, "")),
        *(("text", each) for each in (1, ["a"], {"a": 1})),
        *(("old", each) for each in ("c", 1)),
        ("number", 3),
        ("model", "m.safetensors"),
        ("none", 1),
    ],
)
def test_cells_that_do_not(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"it takes|options|range|no such input"):
        fitting(KINDS, name, value)
