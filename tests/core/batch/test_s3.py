"""Renders whose inputs and videos lie at s3://, by the real s3fs in front of a server that speaks S3."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from motionstream_core.__main__ import main
from motionstream_core.files import sha256_of

s3fs = pytest.importorskip("s3fs", reason="needs s3fs, for s3://")
moto = pytest.importorskip("moto.server", reason="needs moto and flask, a server of S3")
pytestmark = pytest.mark.thorough

ROWS, FRAMES, LIMIT_S = 3, 13, 300.0
TRACKS = [[{"x": 40 + each, "y": 64} for each in range(FRAMES)]]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Its address."""
    started = moto.ThreadedMotoServer(port=0)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def files(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The server's file system, for the commands of this test too; it has an empty bucket, `bucket`."""
    for name, value in {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    ask(server, "reset")
    s3fs.S3FileSystem.clear_instance_cache()
    found = s3fs.S3FileSystem()
    found.mkdir("bucket")
    yield found
    s3fs.S3FileSystem.clear_instance_cache()


def ask(server: str, what: str, data: bytes = b"") -> None:
    """Something that only this server of S3 can do."""
    request = urllib.request.Request(f"{server}/moto-api/{what}", data, {"Content-Type": "text/plain"}, method="POST")
    urllib.request.urlopen(request).close()


def write(manifest: Path, inputs: str, rows: int = ROWS) -> Path:
    made_of = {"image": f"{inputs}a.png", "tracks": f"{inputs}a.json", "length": FRAMES}
    lines = ({"job_id": f"set/[{each}]", "seed": each, **made_of} for each in range(rows))
    manifest.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return manifest


@pytest.fixture
def inputs(files: Any, tmp_path: Path) -> Path:
    """Files of this machine that lie at s3://bucket/in too."""
    Image.effect_noise((128, 128), 60).convert("RGB").save(tmp_path / "a.png")
    (tmp_path / "a.json").write_text(json.dumps(TRACKS), "utf-8")
    for name in ("a.png", "a.json"):
        files.put_file(str(tmp_path / name), f"bucket/in/{name}")
    return tmp_path


def hashes(files: Any, folder: str) -> dict[str, str]:
    """Of every finished video."""
    files.invalidate_cache()
    told = [path.removesuffix(".json") for path in files.find(folder) if path.endswith(".json")]
    return {Path(each).name: hashlib.sha256(files.cat_file(f"{each}.mp4")).hexdigest() for each in told}


def written(files: Any, folder: str) -> dict[str, Any]:
    """When each file was."""
    files.invalidate_cache()
    return {each["Key"]: each["LastModified"] for each in files.find(folder, detail=True).values()}


@pytest.fixture
def whole(inputs: Path) -> dict[str, str]:
    """What comes of files and videos of this machine."""
    manifest = write(inputs / "local.jsonl", "")
    assert main(["render", str(manifest), "--out", str(inputs / "out")]) == 0
    return {each.stem: sha256_of(each) for each in (inputs / "out/set").glob("*.mp4")}


def test_a_killed_run_is_resumed_and_all_is_as_it_is_on_this_machine(
    files: Any, inputs: Path, whole: dict[str, str]
) -> None:
    call = ["render", str(write(inputs / "jobs.jsonl", "s3://bucket/in/")), "--out", "s3://bucket/out"]
    running = subprocess.Popen([sys.executable, "-m", "motionstream_core", *call])
    ends = time.monotonic() + LIMIT_S
    while not (before := hashes(files, "bucket/out")):
        assert running.poll() is None and time.monotonic() < ends
        time.sleep(0.1)
    running.kill()
    running.wait()
    before, then = hashes(files, "bucket/out"), written(files, "bucket/out")
    assert len(before) < ROWS  # else it was killed too late to tell anything
    assert main(call) == 0
    assert hashes(files, "bucket/out") == whole and len(whole) == ROWS
    now = written(files, "bucket/out")
    assert sorted(now) == [f"bucket/out/set/[{each}].{kind}" for each in range(ROWS) for kind in ("json", "mp4")]
    finished = [f"bucket/out/set/{job}.{kind}" for job in before for kind in ("json", "mp4")]
    assert [now[each] for each in finished] == [then[each] for each in finished]


@pytest.mark.slow
def test_workers_of_a_cluster_read_and_write_there_too(files: Any, inputs: Path, whole: dict[str, str]) -> None:
    pytest.importorskip("ray", reason="needs ray (extra cluster)")
    manifest = write(inputs / "jobs.jsonl", "s3://bucket/in/")
    call = [sys.executable, "-m", "motionstream_core", "render", str(manifest), "--out", "s3://bucket/out"]
    done = subprocess.run([*call, "--ray", "local"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert hashes(files, "bucket/out") == whole


def test_what_is_wrong_with_a_store_is_one_line_before_anything_is_made(
    server: str, files: Any, inputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["render", str(write(inputs / "jobs.jsonl", "s3://bucket/in/")), "--out"]

    def said(out: str) -> str:
        capsys.readouterr()
        assert main([*call, out]) == 2
        (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("motionstream render:")]
        return line

    assert "s3://buckte/out: there is no such bucket or folder (" in said("s3://buckte/out")
    assert files.ls("") == ["bucket"]
    ask(server, "reset-auth", b"0")
    assert "s3://bucket/out: " in said("s3://bucket/out")
    ask(server, "reset-auth", b"inf")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    s3fs.S3FileSystem.clear_instance_cache()
    assert "s3://bucket/out: Could not connect" in said("s3://bucket/out")


def test_an_input_that_is_not_there_fails_its_own_job(
    files: Any, inputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = write(inputs / "jobs.jsonl", "s3://bucket/in/", rows=1)
    with manifest.open("a") as file:
        file.write("\n" + json.dumps({"job_id": "b", "image": "s3://bucket/in/gone.png", "length": FRAMES}))
    assert main(["render", str(manifest), "--out", "s3://bucket/out"]) == 1
    told = capsys.readouterr()
    assert "b: attempt 1, failed: there is no file s3://bucket/in/gone.png" in told.err
    assert told.out.splitlines()[-1] == "1 done, 1 failed"
