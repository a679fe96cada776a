"""What a command writes over, and what it leaves: nothing that is no file of its own, and no half of one."""

from __future__ import annotations

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.__main__ import main
from motionstream_core.demo.weights import STUDENT
from motionstream_core.files import NewFile, new_file, write_text
from motionstream_core.media.video_file import VideoFile

av = pytest.importorskip("av", reason="needs PyAV")
pytestmark = [
    pytest.mark.hostile,
    pytest.mark.skipif(not STUDENT.exists(), reason=f"needs the bundled weights, {STUDENT}"),
]


def render(out: Path, *more: str) -> int:
    return main(["render", "--device", "cpu", "--frames", "13", "--out", str(out), *more])


def link(path: Path) -> None:
    (path.parent / "target").write_bytes(b"kept")
    path.symlink_to(path.parent / "target")


def dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(str(path))


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "a folder"),
    "a pipe": (os.mkfifo, "a pipe"),
    "a link": (link, "a link"),
    "a link to nothing": (dangling, "a link"),
    "a socket": (listening, "a socket"),
    "a file": (Path.touch, "--overwrite"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_out_is_not_written_over_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    out, (plant, words) = tmp_path / "out.mp4", PLANTED[kind]
    plant(out)
    mode, listed = out.lstat().st_mode, sorted(each.name for each in tmp_path.iterdir())
    for more in ([], ["--overwrite"]) if kind != "a file" else ([],):
        assert render(out, *more) == 2
        said = capsys.readouterr().err
        assert said.startswith("motionstream render: --out: ") and words in said and len(said.splitlines()) == 1
    assert out.lstat().st_mode == mode and sorted(each.name for each in tmp_path.iterdir()) == listed


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may make a device")
def test_a_device_stays_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "null"
    try:
        os.mknod(out, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("this system makes no devices")
    assert render(out, "--overwrite") == 2
    assert "is a device" in capsys.readouterr().err and stat.S_ISCHR(out.lstat().st_mode)


def test_out_is_not_its_own_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(picture)
    (tmp_path / "same.mp4").hardlink_to(picture)
    content = picture.read_bytes()
    assert render(tmp_path / "same.mp4", "--image", str(picture), "--overwrite") == 2
    assert "is read by this very command" in capsys.readouterr().err
    assert picture.read_bytes() == content


# --- the part that is written


@pytest.mark.parametrize("kind", [kind for kind in PLANTED if kind != "a file"])
def test_what_is_planted_at_the_part_is_not_written_through(tmp_path: Path, kind: str) -> None:
    PLANTED[kind][0](tmp_path / "clip.mp4.part")
    with pytest.raises(FileExistsError, match=PLANTED[kind][1]):
        VideoFile(tmp_path / "clip.mp4", 16)
    assert not (tmp_path / "nowhere").exists() and not (tmp_path / "clip.mp4").exists()
    if kind == "a link":
        assert (tmp_path / "target").read_bytes() == b"kept"


def test_a_part_of_a_dead_process_gives_way_and_that_of_a_living_one_does_not(tmp_path: Path) -> None:
    (tmp_path / "a.bin.part").write_bytes(b"left")
    with new_file(tmp_path / "a.bin") as file:
        file.write(b"new")
        with pytest.raises(FileExistsError, match="being written by another"):
            NewFile(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert [each.name for each in tmp_path.iterdir()] == ["a.bin"]


def test_a_text_is_written_whole_or_not_at_all_and_by_several_at_once(tmp_path: Path) -> None:
    """Half of a pair of surrogates cannot be written."""
    path = tmp_path / "a.json"
    write_text(path, "Ä\n")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "x\ud800")
    with new_file(tmp_path / "a.json.1") as other:  # another process is at it
        other.write(b"later")
        write_text(path, "first", "0")
    assert path.read_text("utf-8") == "first"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.json", "a.json.1"]


def test_a_full_disk_leaves_no_part(tmp_path: Path) -> None:
    """The limit of a file's size stands for the disk's end: both are an error of the write."""
    script = (
        "import resource, torch\n"
        "from motionstream_core.media.video_file import VideoFile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
        f"with VideoFile({str(tmp_path / 'clip.mp4')!r}, 16) as file:\n"
        "    for _ in range(40): file.push(torch.rand(4, 128, 128, 3))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []


# --- signals


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_in_one_line_and_what_was_made_plays(tmp_path: Path, number: int, status: int) -> None:
    picture = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)).save(picture)
    arguments = ["render", "--device", "cpu", "--frames", "100009", "--image", str(picture)]
    arguments += ["--out", str(tmp_path / "clip.mp4")]
    process = subprocess.Popen(
        [sys.executable, "-m", "motionstream_core", *arguments], stderr=subprocess.PIPE, text=True, preexec_fn=_hear
    )
    try:
        part, until = tmp_path / "clip.mp4.part", time.monotonic() + 120
        while not (part.exists() and part.stat().st_size > 40_000):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert len(said.splitlines()) == 1 and said.startswith("motionstream render: ")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["clip.partial.mp4", "picture.png"]
    with av.open(str(tmp_path / "clip.partial.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) >= 12


def _hear() -> None:
    """A process started in the background may be deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def test_frames_that_came_before_an_error_play(tmp_path: Path) -> None:
    with pytest.raises(MemoryError), VideoFile(tmp_path / "clip.mp4", 16) as file:
        file.push(torch.rand(5, 16, 16, 3))
        raise MemoryError
    assert [each.name for each in tmp_path.iterdir()] == ["clip.partial.mp4"]
