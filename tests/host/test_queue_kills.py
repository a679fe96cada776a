"""`motionstream queue` and the ComfyUI that it sends to, killed in turn: the videos are those of an undisturbed run."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionstream_core.files import sha256_of
from tests.host.comfy_host import ComfyHost
from tests.host.test_nodes_in_host import key_of
from tests.host.test_queue import with_save_job

pytestmark = [pytest.mark.host, pytest.mark.soak]

KILLS, ROWS, FRAMES, LIMIT_S = 20, 5, 49, 600.0


class Queue:
    """A manifest, and the command that sends it to a host."""

    def __init__(self, host: ComfyHost, workflow: dict[str, Any], folder: Path) -> None:
        self.folder, self.state, self.out = folder, folder / "state.sqlite", host.output / "kills"
        workflow[key_of(workflow, "MotionStreamSaveJob")]["inputs"]["prefix"] = "kills"
        (folder / "workflow.json").write_text(json.dumps(workflow), "utf-8")
        lines = ["job_id,image,seed,length"]
        for each in range(ROWS):
            noise = np.random.default_rng(each).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(noise).resize((128, 128)).save(folder / f"{each}.png")
            lines.append(f"{each},{each}.png,{each},{FRAMES}")
        (folder / "jobs.csv").write_text("\n".join(lines), "utf-8")
        given = [str(folder / "jobs.csv"), "--workflow", str(folder / "workflow.json"), "--state", str(self.state)]
        given += ["--server", f"http://127.0.0.1:{host.port}", "--retries", str(KILLS)]
        self._command = [sys.executable, "-m", "motionstream_core", "queue", *given]

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finished(self) -> dict[str, str]:
        """The hash of each video whose JSON is there."""
        return {each.stem: sha256_of(each.with_suffix(".mp4")) for each in self.out.glob("*.json")}

    def forget(self) -> None:
        """As if nothing had been made."""
        for each in self.out.iterdir():
            each.unlink()
        self.state.unlink()


def ended_well(client: subprocess.Popen[str]) -> None:
    told, errors = client.communicate(timeout=LIMIT_S)
    assert client.returncode == 0, errors
    assert told.splitlines()[-1] == f"{ROWS} done"


def again_if_refused(client: subprocess.Popen[str], queue: Queue) -> subprocess.Popen[str]:
    """The client, or another one: one that had not begun when its server died says so and ends."""
    if client.poll() != 2:
        return client
    assert "does not answer; start ComfyUI there" in client.communicate()[1]
    return queue.start()


def works(host: ComfyHost) -> bool:
    try:
        return bool(host.get("/queue")["queue_running"])
    except (urllib.error.URLError, ConnectionError):
        return False


def test_twenty_kills_of_who_sends_and_of_who_renders(host: ComfyHost, example: dict[str, Any], tmp_path: Path) -> None:
    queue, chance = Queue(host, with_save_job(example), tmp_path), random.Random(0)
    started = time.monotonic()
    ended_well(queue.start())
    at_most_s, whole = 1.5 * (time.monotonic() - started) / ROWS, queue.finished()
    assert len(whole) == ROWS
    queue.forget()
    kills, client = 0, queue.start()
    try:
        while kills < KILLS:
            deadline = time.monotonic() + LIMIT_S
            while client.poll() is None and not works(host):
                assert time.monotonic() < deadline, "nothing is rendered"
                time.sleep(0.05)
            if client.poll() is None:
                time.sleep(chance.uniform(0, at_most_s))
            if client.poll() is None:
                if kills % 2:
                    host.kill()
                    host.start()
                    client = again_if_refused(client, queue)
                else:
                    client.kill()
                    client.communicate()
                    client = queue.start()
                kills += 1
                print(f"{kills} kills", flush=True)  # shown by -s, for it takes long
            else:
                ended_well(client)
                assert queue.finished() == whole
                queue.forget()
                client = queue.start()
            found = queue.finished()
            assert found == {job: whole[job] for job in found}
        ended_well(client)
    finally:
        client.kill()
    assert queue.finished() == whole
    assert sorted(each.suffix for each in queue.out.iterdir()) == [".json"] * ROWS + [".mp4"] * ROWS
