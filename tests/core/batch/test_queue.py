"""`motionstream queue` in front of servers that take, fail, refuse, vanish and come back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from motionstream_core.__main__ import main
from tests.core.batch.conftest import Table
from tests.core.batch.fake_server import FakeServer

Start = Callable[[], FakeServer]


def until(true: Callable[[], bool], limit_s: float = 20.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_every_row_is_sent_once(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    table.write(
        "job_id,image,prompt,tracks,seed,length,2.height",
        "a,picture.png,one,tracks.json,1,25,32",
        "b,picture.png,two,,2,49,",
        "c,bundled/three_shapes,,,,,",
    )
    assert table.queue(server) == 0
    a, b, c = (graph for _, _, graph in server.posted)
    assert server.jobs() == ["a", "b", "c"]
    assert [each["3"]["inputs"]["prompt"] for each in (a, b, c)] == ["one", "two", ""]
    assert [each["3"]["inputs"]["seed"] for each in (a, b, c)] == [1, 2, 0]
    assert [(each["3"]["inputs"]["length"], each["2"]["inputs"]["length"]) for each in (a, b, c)] == [
        (25, 25),
        (49, 49),
        (13, 13),
    ]
    assert [each["2"]["inputs"]["height"] for each in (a, b, c)] == [32, 64, 64]
    assert a["2"]["inputs"]["coordinates"] == "[[[3, 3], [9, 9]]]"
    assert len(server.uploads) == 1
    assert a["1"]["inputs"]["image"] == f"motionstream_queue/{server.uploads[0]}"
    assert c["1"]["inputs"]["image"] == "bundled/three_shapes"
    assert len({prompt_id for _, prompt_id, _ in server.posted}) == 3
    out = capsys.readouterr().out
    assert "queue/a.mp4" in out
    assert "3 done" in out


def test_what_failed_is_tried_again_and_then_told(
    table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.fate = lambda job_id, times: {"a": "" if times > 1 else "out of memory", "b": "bad prompt"}.get(job_id, "")
    assert table.queue(server) == 1
    assert sorted(server.jobs()) == ["a", "a", "b", "b", "b", "c"]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:3] for line in lines[1:4]] == [["done", "2"], ["failed", "3"], ["done", "1"]]
    assert "MotionStreamStudentStreamer: bad prompt" in lines[2]
    assert lines[4] == "2 done, 1 failed"
    server.posted.clear()
    server.fate = lambda job_id, times: ""
    assert table.queue(server) == 0
    assert server.jobs() == ["b"]


def test_no_retries(table: Table, server: FakeServer) -> None:
    server.fate = lambda job_id, times: "bad" if job_id == "b" else ""
    assert table.queue(server, options=("--retries", "0")) == 1
    assert server.jobs() == ["a", "b", "c"]


def test_refused_and_cancelled_jobs_are_not_tried_again(
    table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses = {"a"}
    server.fate = lambda job_id, times: "cancelled" if job_id == "b" else ""
    assert table.queue(server) == 1
    assert server.jobs() == ["a", "b", "c"]
    out = capsys.readouterr().out
    assert "MotionStreamStudentStreamer: Value not in list fit: 'odd'" in out
    assert "cancelled at the server" in out


def test_a_changed_row_is_made_again(table: Table, server: FakeServer) -> None:
    assert table.queue(server) == 0
    server.posted.clear()
    table.write("job_id,prompt,seed", "c,three,3", "a,one,1", "b,two,20", "d,four,4")
    assert table.queue(server) == 0
    assert server.jobs() == ["b", "d"]


def test_a_changed_file_is_made_again(table: Table, server: FakeServer) -> None:
    table.write("job_id,tracks,image", "a,tracks.json,", "b,,picture.png", "c,,")
    assert table.queue(server) == 0
    (table.folder / "tracks.json").write_text("[[[3, 3], [9, 8]]]", "utf-8")
    assert table.queue(server) == 0
    with (table.folder / "picture.png").open("ab") as picture:
        picture.write(b" ")
    assert table.queue(server) == 0
    assert server.jobs() == ["a", "b", "c", "a", "b"]


@pytest.mark.parametrize(("content", "says"), [(None, "can no longer be read"), (b"other", "changed while")])
def test_a_file_that_goes_away(
    content: bytes | None, says: str, table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = table.folder / "copy.png"
    copy.write_bytes((table.folder / "picture.png").read_bytes() + b" ")
    table.write("job_id,image", "a,picture.png", "b,copy.png", "c,picture.png")

    def fate(job_id: str, times: int) -> str:
        copy.write_bytes(content) if content else copy.unlink(missing_ok=True)
        return ""

    server.fate = fate
    assert table.queue(server) == 1
    assert server.jobs() == ["a", "c"]
    assert says in capsys.readouterr().out


def test_a_server_that_is_started_anew(table: Table, server: FakeServer) -> None:
    server.gate.clear()

    def restart() -> None:
        until(lambda: bool(server.posted))
        server.stop()
        time.sleep(0.5)
        server.gate.set()
        server.start()

    other = threading.Thread(target=restart, daemon=True)
    other.start()
    assert table.queue(server) == 0
    other.join()
    assert sorted(server.jobs()) == ["a", "a", "b", "c"]


def stopped_client(table: Table, server: FakeServer, number: int) -> tuple[int, str]:
    """Exit status and last words of a client of its own process that got a signal once the first job ran."""
    command = [sys.executable, "-m", "motionstream_core", *table.arguments(server)]
    root = Path(__file__).parents[3]
    client = subprocess.Popen(
        command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=_hear
    )
    until(lambda: bool(server.posted), 60)
    client.send_signal(number)
    _, told = client.communicate(timeout=30)
    return client.returncode, told.strip().rsplit("\n", 1)[-1]


def _hear() -> None:
    """A process started in the background may be deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_killed_client_takes_up_what_runs(table: Table, server: FakeServer) -> None:
    server.gate.clear()
    assert stopped_client(table, server, signal.SIGKILL)[0] == -signal.SIGKILL
    threading.Timer(0.5, server.gate.set).start()
    assert table.queue(server) == 0
    assert server.jobs() == ["a", "b", "c"]


def test_one_that_ended_while_nobody_looked(table: Table, server: FakeServer) -> None:
    server.gate.clear()
    stopped_client(table, server, signal.SIGKILL)
    server.gate.set()
    until(lambda: len(server.history) == 1)
    assert table.queue(server) == 0
    assert server.jobs() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("number", "status", "says"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_client_that_is_told_to_end(number: int, status: int, says: str, table: Table, server: FakeServer) -> None:
    server.gate.clear()
    assert stopped_client(table, server, number) == (status, f"motionstream queue: {says}")
    server.gate.set()
    assert table.queue(server) == 0
    assert server.jobs() == ["a", "b", "c"]


def test_two_servers_share(table: Table, start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = start(), start()
    table.write("job_id,seed", *(f"job{number},{number}" for number in range(8)))
    assert table.queue(one, two) == 0
    assert one.jobs()
    assert two.jobs()
    assert sorted(one.jobs() + two.jobs()) == [f"job{number}" for number in range(8)]
    told = {line.split()[0]: line.split()[4] for line in capsys.readouterr().out.splitlines()[1:9]}
    assert told == {job_id: server.url for server in (one, two) for job_id in server.jobs()}


def test_the_others_take_what_a_lost_server_had(table: Table, start: Start) -> None:
    one, two = start(), start()
    one.gate.clear()
    lost = threading.Thread(target=lambda: (until(lambda: bool(one.posted)), one.stop()))
    lost.start()
    assert table.queue(one, two, options=("--patience", "0.5")) == 0
    lost.join()
    assert sorted(two.jobs()) == ["a", "b", "c"]
    one.start()


def test_no_server_is_left(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.gate.clear()
    lost = threading.Thread(target=lambda: (until(lambda: bool(server.posted)), server.stop()))
    lost.start()
    assert table.queue(server, options=("--patience", "0.5")) == 1
    lost.join()
    assert "3 waiting" in capsys.readouterr().out
    server.gate.set()
    server.start()
    assert table.queue(server) == 0
    assert sorted(server.jobs()) == ["a", "a", "b", "c"]


def test_a_state_is_held_by_one(table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.gate.clear()
    first = threading.Thread(target=lambda: table.queue(server), daemon=True)
    first.start()
    until(lambda: bool(server.posted))
    assert table.queue(server) == 2
    assert "held by another motionstream command" in capsys.readouterr().err
    server.gate.set()
    first.join()
    assert server.jobs() == ["a", "b", "c"]


@pytest.mark.parametrize(("content", "says"), [(b"no database" * 100, "no file of states"), (None, "cannot be opened")])
def test_a_state_that_is_none(
    content: bytes | None, says: str, table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = table.folder / "state"
    path.write_bytes(content) if content else path.mkdir()
    assert table.queue(server, options=("--state", str(path))) == 2
    assert says in capsys.readouterr().err
    assert not server.posted


def test_no_server_answers(table: Table, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("motionstream_core.commands.queue._CONNECT_S", 0.1)
    assert table.queue(FakeServer()) == 2
    assert "does not answer; start ComfyUI there" in capsys.readouterr().err


def test_all_faults_are_told_at_once(
    table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table.write("job_id,image,colour,seed", "a,gone.png,red,1", "b,picture.png,blue,many", "A,picture.png,red,2")
    twice = "row 3: job_id 'A' is that of row 1 too; every job needs its own"
    assert table.queue(server) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == twice
    assert told[1].startswith("row 1: column 'colour'")
    assert told[2].startswith("row 1 (a), image: gone.png: there is no file")
    assert told[3] == "row 2 (b), seed: it takes a whole number, not 'many'"
    assert told[4:] == ["4 faults; nothing was sent"]
    monkeypatch.setattr("motionstream_core.commands.queue._CONNECT_S", 0.1)
    away = FakeServer(), FakeServer()
    assert table.queue(server, *away) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == twice and [each.split()[1] for each in told[1:-1]] == [each.url for each in away]
    assert told[-1] == "3 faults; nothing was sent"


def test_an_input_at_an_address_is_sent_as_one_of_this_machine_is(
    table: Table, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    memory = pytest.importorskip("fsspec", reason="needs fsspec").filesystem("memory")
    memory.pipe_file("/in/picture.png", (table.folder / "picture.png").read_bytes())
    memory.pipe_file("/in/broken.png", b"no picture")
    table.write("job_id,image", "a,picture.png", "b,memory://in/picture.png", "c,memory://in/picture.png")
    assert table.queue(server) == 0
    assert len(set(server.uploads)) == len({graph["1"]["inputs"]["image"] for _, _, graph in server.posted}) == 1
    capsys.readouterr()
    table.write("job_id,image", "a,memory://in/gone.png", "b,memory://in/broken.png", "c,nowhere://a.png")
    assert table.queue(server) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "row 1 (a), image: there is no file memory://in/gone.png"
    assert told[1].startswith("row 2 (b), image: ") and "broken.png" in told[1]
    assert told[2] == "row 3 (c), image: nowhere://a.png: nowhere:// is known to no package that is installed"


@pytest.mark.parametrize("url", ["127.0.0.1:8188", "ftp://host", "http://", "http://host:port"])
def test_addresses(url: str, table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*table.arguments(), url]) == 2
    assert "no address of a server" in capsys.readouterr().err
