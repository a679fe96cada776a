"""`motionstream live` and `render --replay`, with the bundled model: what was recorded is made again."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import av
import numpy as np
import pytest

from motionstream_core.__main__ import main
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import STUDENT
from motionstream_core.live.open import Opened
from motionstream_core.live.run import LiveAbout, LiveRun
from motionstream_core.streaming.render.renderer import open_renderer
from motionstream_core.tracks.drawn.document import Grid


def decoded(path: Path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.mark.slow
def test_a_recorded_stream_is_rendered_again_from_its_log(tmp_path: Path) -> None:
    example = drawn_example(2)
    opened = Opened(open_renderer(STUDENT), (128, 128), seed=3, chunk_frames=2, name="bundled", steps=2)
    run = LiveRun(
        lambda hooks: opened.session(example.image, example.prompt, hooks),
        LiveAbout(opened.about(example.prompt), hold=True),
        example.image,
        tmp_path,
        started=True,
        num_chunks=5,
    )
    x, y = example.tracks.points[0, 0].tolist()
    run.session.add_samples(4, [(x, y), (x - 20, y + 10)], Grid(3, 3, 8.0, 8.0))
    frames = np.concatenate([piece.numpy() for piece in run.run()])
    assert run.files is not None and run.files.video is not None
    again = tmp_path / "again.mp4"
    assert main(["render", "--replay", str(run.files.log), "--out", str(again), "--device", "cpu"]) == 0
    assert decoded(run.files.video).shape == decoded(again).shape == frames.shape
    # H.264 of the same pictures, coded twice at one quality
    assert np.abs(decoded(again).astype(int) - frames).mean() < 2
    assert np.abs(decoded(run.files.video).astype(int) - frames).mean() < 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "--replay", "nothing.json"], "nothing.json"),
        (["render", "--replay", __file__], "no log of a live stream"),
        (["render", "--replay", __file__, "--frames", "9"], "--frames cannot be given"),
        (["live", "--image", "nothing.png"], "--image"),
        (["live", "--chunk", "0"], "--chunk: '0' is no whole number from 1"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_prints_its_address_serves_and_ends(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "motionstream_core", "live", "--no-browser", "--port", port]
    process = subprocess.Popen([*command, "--out", str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        with urllib.request.urlopen(address.group() + "motionstream/live/current", timeout=60) as answer:
            assert b"session" in answer.read()
        process.terminate()  # as Ctrl+C does, which a process started in the background may be deaf to
        assert process.wait(60) == 0
    finally:
        process.kill()
