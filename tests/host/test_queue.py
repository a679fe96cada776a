"""Tables of jobs through a real ComfyUI: by `motionstream queue`, and by the nodes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from motionstream_core.__main__ import main
from tests.host.comfy_host import ComfyHost
from tests.host.test_nodes_in_host import inputs_of, key_of, video_frames
from tests.host.test_track_nodes import node, with_defaults

pytestmark = pytest.mark.host


@pytest.fixture
def jobs(example: dict[str, Any]) -> dict[str, Any]:
    return with_save_job(example)


def with_save_job(example: dict[str, Any]) -> dict[str, Any]:
    """The example, with Save Job at its end."""
    streamer = key_of(example, "MotionStreamStudentStreamer")
    for kind in ("SaveVideo", "PreviewAny"):
        del example[key_of(example, kind)]
    example["save"] = {
        "class_type": "MotionStreamSaveJob",
        "inputs": {"video": [streamer, 5], "job_id": "job", "prefix": "table", "if_exists": "overwrite"},
    }
    return example


def picture(path: Path) -> None:
    Image.fromarray(np.full((128, 160, 3), 90, np.uint8)).save(path)


def queue(host: ComfyHost, folder: Path, workflow: dict[str, Any], *lines: str) -> int:
    (folder / "jobs.csv").write_text("\n".join(lines), "utf-8")
    (folder / "workflow.json").write_text(json.dumps(workflow), "utf-8")
    server = f"http://127.0.0.1:{host.port}"
    return main(["queue", str(folder / "jobs.csv"), "--workflow", str(folder / "workflow.json"), "--server", server])


def test_three_rows(host: ComfyHost, jobs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tmp_path / "grey.png")
    rows = ("job_id,image,seed,length", "one,bundled/three_shapes,1,13", "set/two,grey.png,2,13", "three,grey.png,3,25")
    assert queue(host, tmp_path, jobs, *rows) == 0, capsys.readouterr()
    for name, frames, seed in (("one", 13, 1), ("set/two", 13, 2), ("three", 25, 3)):
        path = host.output / "table" / f"{name}.mp4"
        assert video_frames(path).shape == (frames, 128, 128, 3)
        about = json.loads(path.with_suffix(".json").read_text("utf-8"))
        assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert list(about["seeds"].values()) == [seed]
    assert not list((host.output / "table").rglob("*.part"))
    ran = len(host.get("/history"))
    assert queue(host, tmp_path, jobs, *rows) == 0
    assert len(host.get("/history")) == ran
    assert queue(host, tmp_path, jobs, *rows, "four,grey.png,4,13") == 0
    assert len(host.get("/history")) == ran + 1


def test_faults_against_the_hosts_own_words(
    host: ComfyHost, jobs: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = len(host.get("/history"))
    rows = ("job_id,seed,6.fit,image", "a,-1,,", "b,1,odd,", "c,1,,none.png", "d,1,crop,")
    assert queue(host, tmp_path, jobs, *rows) == 2
    assert [line.split()[1] for line in capsys.readouterr().err.splitlines()[:-1]] == ["1", "2", "3"]
    assert len(host.get("/history")) == ran


def test_rows_by_nodes(host: ComfyHost, jobs: dict[str, Any]) -> None:
    folder = host.input / "rows"
    folder.mkdir(exist_ok=True)
    picture(folder / "grey.png")
    (folder / "jobs.csv").write_text("job_id,image,seed,length\nx,grey.png,1,13\ny,grey.png,2,25", "utf-8")
    jobs["row"] = {"class_type": "MotionStreamManifestRow", "inputs": {"manifest": "rows/jobs.csv", "row": 1}}
    jobs["row"]["inputs"] |= {"column": "length", "width": 0, "height": 0}
    streamer = inputs_of(jobs, "MotionStreamStudentStreamer")
    streamer |= {"image": ["row", 1], "seed": ["row", 6], "length": ["row", 8]}
    jobs["save"]["inputs"] |= {"job_id": ["row", 0], "prefix": "rows", "seed": ["row", 6]}
    for number, (name, frames) in enumerate((("x", 13), ("y", 25)), 1):
        jobs["row"]["inputs"]["row"] = number
        host.run(jobs)
        path = host.output / "rows" / f"{name}.mp4"
        assert len(video_frames(path)) == frames
        assert json.loads(path.with_suffix(".json").read_text("utf-8"))["seed"] == number
    before = path.read_bytes(), path.stat().st_mtime_ns
    jobs["save"]["inputs"]["if_exists"] = "skip"
    streamer["seed"] = 99
    host.run(jobs)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_skip_asks_for_no_video(host: ComfyHost, node_info: dict[str, Any]) -> None:
    prompt = with_defaults(
        node_info,
        {
            "picture": node("MotionStreamPicture"),
            "tracks": node("MotionStreamTracksFromJSON", coordinates="[[[1, 1], [9, 9]]]", length=13),
            "drawn": node("MotionStreamDrawTracks", images=["picture", 0], tracks=["tracks", 0]),
            "video": node("CreateVideo", images=["drawn", 0], fps=16.0),
            "save": node("MotionStreamSaveJob", video=["video", 0], job_id="drawn", prefix="skip", if_exists="skip"),
        },
    )
    host.run(prompt)
    prompt["tracks"]["inputs"]["coordinates"] = "what nobody can read"
    host.run(prompt)
    prompt["save"]["inputs"]["if_exists"] = "overwrite"
    assert "what nobody can read" in host.error(prompt)
    assert (host.output / "skip" / "drawn.mp4").is_file()
