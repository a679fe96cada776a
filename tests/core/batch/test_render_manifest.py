"""A table of renders in this process: what is planned, what is made, what a second run leaves alone."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from motionstream_core.__main__ import main
from motionstream_core.batch import storage
from motionstream_core.batch.manifest import ManifestError, Row, read_manifest
from motionstream_core.batch.model_choice import ModelChoice
from motionstream_core.batch.recorded import missing, run
from motionstream_core.batch.renders import Render, plan
from motionstream_core.batch.state import DONE, FAILED, Record, State
from motionstream_core.batch.worker import Output, RenderWorker
from motionstream_core.demo.weights import STUDENT
from motionstream_core.files import sha256_of
from motionstream_core.media.video import VideoFrames
from motionstream_core.pool.pool import Outcome, Started, attempt

DEFAULTS = {"prompt": "", "negative": "", "seed": 0, "units": "auto", "order": "auto"}
CHOICE = ModelChoice("model.safetensors")
WORKER = RenderWorker(CHOICE, Output("nowhere"))


def test_every_fault_of_every_row_is_told_at_once(tmp_path: Path) -> None:
    rows = [
        Row(1, "a", {"image": "gone.png", "seed": -1}),
        Row(2, "b", {"colour": "red", "length": "many"}),
        Row(3, "c", {"units": "feet", "prompt": 5, "image": "s3://bucket/a.png"}),
    ]
    with pytest.raises(ManifestError) as caught:
        plan(rows, tmp_path, DEFAULTS, CHOICE)
    assert caught.value.faults == [
        f"row 1 (a), image: gone.png: there is no file {tmp_path / 'gone.png'}",
        "row 1 (a), seed: -1 is no whole number from 0 to 18446744073709551615",
        "row 2: column 'colour' is not known; there are job_id, image, tracks, prompt, negative, seed, length, units, "
        "order",
        "row 2 (b), length: 'many' is no whole number from 1 to 1000000",
        "row 3 (c), prompt: it takes text, not 5",
        "row 3 (c), units: 'feet' is none of auto, px, normalised",
    ]


def test_what_the_model_does_not_make_is_told_with_the_other_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bundled student of shapes makes a frame, and then 12 a chunk; sides are multiples of 16 px."""
    (tmp_path / "a.png").write_bytes(b"png")
    path = tmp_path / "jobs.jsonl"
    rows = [
        {"job_id": "short", "image": "a.png", "length": 1},
        {"job_id": "odd", "image": "a.png", "length": 14, "seed": -1},
        {"job_id": "alone"},
        {"job_id": "right", "image": "a.png", "length": 25},
        {"job_id": "gone", "image": "b.png"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    given = ["render", str(path), "--out", str(tmp_path / "out"), "--check"]
    assert main([*given, "--model", str(STUDENT), "--size", "130x128"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told[:-1]] == [
        "--size",
        "row 1 (short), length",
        "row 2 (odd), seed",
        "row 2 (odd), length",
        "row 3 (alone), image",
        "row 5 (gone), image",
    ]
    assert "not 14; nearest that fit: 13 or 25" in told[3] and "there is no file" in told[5]
    assert main([*given, "--model", str(path)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("--model: ") and told[1].startswith("row 2 (odd), seed")
    assert not (tmp_path / "out").exists()


def test_a_digest_changes_with_what_the_video_is_made_of_and_with_nothing_else(tmp_path: Path) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"1")

    def digest(choice: ModelChoice = CHOICE, **values: object) -> str:
        (made,) = plan([Row(1, "a", {"image": "a.png", **values})], tmp_path, DEFAULTS, choice)
        return made.digest

    first = digest()
    assert digest() == digest(seed=0) == digest(ModelChoice("model.safetensors", memory_bytes=1)) == first
    others = [digest(seed=1), digest(prompt="x"), digest(length=13), digest(ModelChoice("other.safetensors"))]
    others.append(digest(ModelChoice("model.safetensors", arithmetic="fp8")))
    image.write_bytes(b"22")
    assert len({first, digest(), *others}) == 7


def test_a_table_begun_before_there_was_fp8_is_gone_on_with() -> None:
    """Its digests were made of these names."""
    known = {"model", "vae", "encoders", "role", "frame_size", "steps", "weights"}
    assert CHOICE.made_of.keys() == known


def test_ten_thousand_rows_are_planned_in_seconds(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}.png").write_bytes(b"png")
    lines = (
        json.dumps({"job_id": f"set/{each}", "image": f"{each % 100}.png", "seed": each}) for each in range(10_000)
    )
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    started = time.process_time()
    renders = plan(read_manifest(path), tmp_path, DEFAULTS, CHOICE)
    state = State(tmp_path / "state.sqlite")
    state.begin([(each.job_id, each.digest) for each in renders], ())
    state.close()
    assert len({each.digest for each in renders}) == 10_000
    assert time.process_time() - started < 10


class Scripted:
    """A pool whose workers end as a script says."""

    is_here = False

    def __init__(self, script: dict[str, list[Outcome[str]]]) -> None:
        self.script = script

    def outcomes(
        self, worker: RenderWorker, waiting: deque[Render], started: Started[Render]
    ) -> Iterator[tuple[Render, Outcome[str]]]:
        while waiting:
            job = waiting.popleft()
            started(job, "there")
            yield job, self.script[job.job_id].pop(0)


def test_what_may_do_better_is_tried_again_and_what_cannot_is_not(tmp_path: Path) -> None:
    lost, broken = Outcome[str](error="lost", again=True), Outcome[str](error="broken")
    script = {"a": [lost, Outcome("a.mp4")], "b": [broken], "c": [lost, lost, lost], "d": [Outcome("d.mp4")]}
    renders = plan([Row(1, each, {}) for each in "abcd"], tmp_path, DEFAULTS, CHOICE)
    state, told = State(tmp_path / "state.sqlite"), list[Record]()
    state.begin([(each.job_id, each.digest) for each in renders], ())
    run(renders, state, Scripted(script), WORKER, 3, told.append)
    ended = {each.job_id: (state.of(each.job_id).state, state.of(each.job_id).attempts) for each in renders}
    assert ended == {"a": (DONE, 2), "b": (FAILED, 1), "c": (FAILED, 3), "d": (DONE, 1)}
    assert state.of("a").files == ("a.mp4",) and state.of("c").error == "lost"
    state.begin([(each.job_id, each.digest) for each in renders], ())  # once more: what is done is not given out again
    again = {"b": [broken], "c": [Outcome("c.mp4")]}
    run(missing(renders, state, Output(str(tmp_path))), state, Scripted(again), WORKER, 3, told.append)
    assert [state.of(each).state for each in "abcd"] == [DONE, FAILED, DONE, DONE]
    assert again == {"b": [], "c": []}
    state.close()


@pytest.mark.slow
def test_a_table_is_rendered_and_not_rendered_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("RGB", (128, 128), "teal").save(tmp_path / "a.png")
    path, out = tmp_path / "jobs.jsonl", tmp_path / "out"
    (tmp_path / "b.png").write_bytes(b"no picture")
    pictures = {"set/one": "a.png", "two": "a.png", "bad": "b.png"}
    rows = [{"job_id": each, "image": picture, "length": 13, "seed": 5} for each, picture in pictures.items()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    def rendered() -> tuple[list[str], dict[str, tuple[int, str]]]:
        """The command's closing lines, and when each video was written and with which hash."""
        assert main(["render", str(path), "--out", str(out)]) == 1  # one has no picture
        videos = sorted(out.rglob("*.mp4"))
        hashes = {each.name: (each.stat().st_mtime_ns, sha256_of(each)) for each in videos}
        return capsys.readouterr().out.splitlines(), hashes

    told, first = rendered()
    assert told[-1] == "2 done, 1 failed" and "b.png" in next(line for line in told if line.startswith("bad"))
    assert {each.name for each in out.rglob("*") if each.is_file()} == {"one.mp4", "one.json", "two.mp4", "two.json"}
    assert VideoFrames(out / "set" / "one.mp4").num_frames == 13
    about = json.loads((out / "two.json").read_text("utf-8"))
    assert (about["job_id"], about["seed"], about["frames"], about["sha256"]) == ("two", 5, 13, first["two.mp4"][1])

    assert rendered()[1] == first
    path.with_name("jobs.jsonl.render.sqlite").unlink()  # what lies beside the videos tells too
    assert rendered()[1] == first

    Image.new("RGB", (128, 128), "navy").save(tmp_path / "a.png")
    assert {hashed for _, hashed in rendered()[1].values()}.isdisjoint(hashed for _, hashed in first.values())


def test_what_is_not_of_a_render_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"somebody's")
    (render,) = plan([Row(1, "a", {})], tmp_path, DEFAULTS, CHOICE)
    outcome = attempt(RenderWorker(CHOICE, Output(str(tmp_path))), render)
    assert "is there already" in outcome.error and "--overwrite" in outcome.error and not outcome.again
    assert (tmp_path / "a.mp4").read_bytes() == b"somebody's"


def test_files_at_addresses_are_fetched_and_put_whole(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec", reason="needs fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.png", b"picture")
    assert storage.fetched("memory://in/a.png", tmp_path).read_bytes() == b"picture"
    (tmp_path / "b").write_bytes(b"video")
    place = storage.below("memory://out", "set/b.mp4")
    storage.put(tmp_path / "b", place)
    assert storage.content(place) == b"video" and memory.find("/out") == ["/out/set/b.mp4"]
    (tmp_path / "out" / "set").mkdir(parents=True)
    storage.put(tmp_path / "b", str(tmp_path / "out" / "set" / "b.mp4"))
    assert storage.names_below("memory://out/") == {"set/b.mp4"}
    assert storage.names_below("memory://none") == set()
    storage.remove(place)
    assert storage.content(place) is None
    storage.require_writable("memory://out")
    assert memory.find("/out") == []
    with pytest.raises(ValueError, match=r"nowhere:// is known to no package"):
        storage.require_writable("nowhere://a/b")
    with pytest.raises(FileNotFoundError, match=r"there is no file memory://in/gone.png"):
        storage.fetched("memory://in/gone.png", tmp_path)
    assert not (tmp_path / "gone.png").exists()
    with pytest.raises(ValueError, match=r"nowhere:// is known to no package"):
        storage.exists("nowhere://a/b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image", "a.png"], "--image cannot be given beside a manifest"),
        (["--frames", "13"], "--frames cannot be given beside a manifest"),
        (["--workers", "2"], "--ray-workers is for workers of a cluster; give --ray too"),
    ],
)
def test_options_that_do_not_go_together(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", str(tmp_path / "jobs.jsonl"), *options]) == 2
    assert message in capsys.readouterr().err


def test_options_of_a_table_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "--workers", "2"]) == 2
    assert "--ray-workers is for a manifest: motionstream render MANIFEST" in capsys.readouterr().err
