"""A table of renders that is killed, starved of disk and robbed of its inputs: what is finished stays so."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motionstream_core.files import sha256_of

pytestmark = pytest.mark.soak

KILLS, ROWS, FRAMES, LIMIT_S = 20, 4, 49, 600.0
STEP_S = 0.02


class Table:
    """A manifest of `rows` renders and the command that makes them in `out`."""

    def __init__(self, folder: Path, rows: int = ROWS, out: Path | None = None) -> None:
        self.folder, self.out, self.rows = folder, out or folder / "out", rows
        self.path, self.state = folder / "jobs.jsonl", folder / "state.sqlite"
        for each in range(rows):
            noise = np.random.default_rng(each).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(noise).resize((128, 128)).save(folder / f"{each}.png")
        lines = ({"job_id": str(each), "image": f"{each}.png", "length": FRAMES, "seed": each} for each in range(rows))
        self.path.write_text("\n".join(map(json.dumps, lines)), "utf-8")

    def start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "motionstream_core", "render", str(self.path), "--out", str(self.out)]
        command += ["--state", str(self.state), "--retries", "0"]
        self._started = time.time()
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self) -> tuple[int, str, str]:
        """Exit status, what was printed, what was said of faults."""
        running = self.start()
        told, errors = running.communicate(timeout=LIMIT_S)
        return running.returncode, told, errors

    def finished(self) -> dict[str, str]:
        """The hash of each finished video."""
        return {each.stem: sha256_of(each.with_suffix(".mp4")) for each in self.out.glob("*.json")}

    def writes(self) -> bool:
        """Whether a video is being written by the command that was started last."""
        return any(each.stat().st_ctime > self._started for each in self.out.glob("*.mp4.part"))

    def video_s(self) -> float:
        """How long a video took."""
        return float(np.median([json.loads(each.read_text("utf-8"))["seconds"] for each in self.out.glob("*.json")]))

    def forget(self) -> None:
        """As if nothing had been made."""
        shutil.rmtree(self.out)
        self.state.unlink()


def wait(until: Callable[[], bool], running: subprocess.Popen[str]) -> bool:
    """False where the command ended before."""
    ends = time.monotonic() + LIMIT_S
    while not until():
        if running.poll() is not None:
            return False
        assert time.monotonic() < ends, "it neither came nor ended"
        time.sleep(STEP_S)
    return True


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """A run to its end."""
    table = Table(tmp_path_factory.mktemp("whole"))
    status, _, errors = table.run()
    assert status == 0, errors
    return table


@pytest.fixture(scope="module")
def whole(undisturbed: Table) -> dict[str, str]:
    """The hashes of what it made."""
    return undisturbed.finished()


def test_twenty_kills_in_mid_render(undisturbed: Table, whole: dict[str, str], tmp_path: Path) -> None:
    table, chance, kills = Table(tmp_path), random.Random(0), 0
    at_most_s = 1.5 * undisturbed.video_s()
    while kills < KILLS:
        running = table.start()
        try:
            if not wait(table.writes, running):
                assert running.returncode == 0  # it had nothing more to make
                assert table.finished() == whole
                table.forget()
                continue
            time.sleep(chance.uniform(0, at_most_s))
            was_underway = running.poll() is None
        finally:
            running.kill()
            running.communicate()
        kills += was_underway
        found = table.finished()
        assert found == {job: whole[job] for job in found}
    status, told, errors = table.run()
    assert status == 0, errors
    assert told.splitlines()[-1] == f"{ROWS} done"
    assert table.finished() == whole
    assert sorted(each.suffix for each in table.out.iterdir()) == [".json"] * ROWS + [".mp4"] * ROWS


def test_a_full_disk_and_a_folder_that_cannot_be_written(whole: dict[str, str], tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        table = Table(tmp_path, out=disk / "out")
        table.out.mkdir()
        with (disk / "ballast").open("wb") as ballast:
            ballast.write(bytes(8 * 2**20 - 8 * 2**10))
        status, told, errors = table.run()
        assert status == 1 and told.splitlines()[-1] == f"{ROWS} failed"
        assert errors.count("No space left on device") == ROWS
        assert list(table.out.iterdir()) == []
        (disk / "ballast").unlink()

        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        status, told, errors = table.run()
        assert status == 1 and told.splitlines()[-1] == f"{ROWS} failed"
        assert errors.count("Read-only file system") == ROWS and "Traceback" not in errors
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)

        assert table.run()[0] == 0
        assert table.finished() == whole
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_an_input_that_vanishes(whole: dict[str, str], tmp_path: Path) -> None:
    table = Table(tmp_path)
    running = table.start()
    assert wait(table.writes, running)
    (tmp_path / "2.png").rename(tmp_path / "away.png")
    told, errors = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 1 and told.splitlines()[-1] == f"{ROWS - 1} done, 1 failed"
    assert f"there is no file {tmp_path / '2.png'}" in errors
    assert table.finished() == {job: hashed for job, hashed in whole.items() if job != "2"}
    (tmp_path / "away.png").rename(tmp_path / "2.png")
    assert table.run()[0] == 0
    assert table.finished() == whole
