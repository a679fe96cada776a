"""A table's prompts: each text encoded once, by an encoder that is loaded once and gone before the first video."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

pytest.importorskip("diffusers", reason="Wan's VAE needs diffusers")
pytest.importorskip("transformers", reason="Wan's text encoder needs transformers")

from motionstream_core.__main__ import main
from motionstream_core.batch.model_choice import ModelChoice
from motionstream_core.batch.renders import Render
from motionstream_core.batch.worker import Output, RenderWorker
from motionstream_core.files import sha256_of
from motionstream_core.models.encoders import ImageEncoder, TextEncoder
from motionstream_core.pool.pool import attempt
from motionstream_core.streaming.render.parts import Parts
from motionstream_core.streaming.render.renderer import Renderer

SIZE = (16, 32)

pytestmark = pytest.mark.usefixtures("short_grey_clip")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happens, in order: the encoders' loading, the texts, the transformer's way to its device."""
    happened: list[str] = []

    def tell(of: Any, name: str, line: Callable[..., str]) -> None:
        own = getattr(of, name)

        def telling(*args: Any, **options: Any) -> Any:
            happened.append(line(*args))
            return own(*args, **options)

        monkeypatch.setattr(of, name, telling)

    def settled(renderer: Renderer) -> str:
        return "again" if renderer._settled else "transformer"

    def text(encoder: TextEncoder, captions: Sequence[str], device: torch.device) -> str:
        return f"text {' | '.join(captions)}"

    tell(Parts, "load_text", lambda *args: "load text")
    tell(Parts, "load_image", lambda *args: "load image")
    tell(TextEncoder, "encode", text)
    tell(ImageEncoder, "encode", lambda *args: "image")
    tell(Renderer, "settle", settled)
    return happened


def write_table(folder: Path, rows: Sequence[tuple[str, str, str]]) -> Path:
    """Rows of job_id, picture and prompt."""
    for name in ("a.png", "b.png"):
        if not (folder / name).exists():
            Image.effect_noise((40, 20), 60).convert("RGB").save(folder / name)
    lines = ({"job_id": job, "image": image, "prompt": prompt, "length": 13} for job, image, prompt in rows)
    path = folder / "jobs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return path


def command(model: Path, table: Path, out: Path) -> list[str]:
    fixed = ["--model", str(model), "--size", f"{SIZE[1]}x{SIZE[0]}", "--device", "cpu", "--role", "teacher"]
    return ["render", str(table), "--out", str(out), *fixed, "--steps", "1", "--negative", "dog"]


ROWS = [("1", "a.png", "cat"), ("2", "b.png", "cat runs"), ("3", "a.png", "cat"), ("4", "gone.png", "cat sits")]


def test_every_text_is_encoded_once_and_before_the_transformer_comes(
    track_v0: Path, tmp_path: Path, told: list[str]
) -> None:
    table, out = write_table(tmp_path, ROWS), tmp_path / "out"
    (tmp_path / "gone.png").write_bytes(b"no picture")
    assert main(command(track_v0, table, out)) == 1  # the broken picture
    before = told[: told.index("transformer")]
    assert before[:6] == ["load text", "text cat", "text cat runs", "text cat sits", "text dog", "load image"]
    after = told[told.index("transformer") :]
    assert not [each for each in told[6:] if each.startswith(("load", "text"))], told
    assert before[6:] == ["image", "image"] and after.count("image") == 4  # prompt and negative of each row

    told.clear()
    with (tmp_path / "gone.png").open("wb") as file:
        Image.new("RGB", (40, 20)).save(file, "PNG")
    write_table(tmp_path, [*ROWS, ("5", "a.png", "dog sits")])
    assert main(command(track_v0, table, out)) == 0  # what is there is neither made nor encoded
    assert [each for each in told if each.startswith("text")] == ["text cat sits", "text dog sits", "text dog"]
    assert told.count("load text") == told.count("load image") == 1

    told.clear()
    table.with_name("jobs.jsonl.render.sqlite").unlink()  # what lies beside the videos tells as well
    (out / "2.mp4").unlink()
    assert main(command(track_v0, table, out)) == 0
    assert [each for each in told if each.startswith("text")] == ["text cat runs", "text dog"]

    told.clear()
    assert main(command(track_v0, table, out)) == 0
    assert told == []


def test_a_worker_of_a_cluster_does_as_the_command_and_makes_its_bytes(
    track_v0: Path, tmp_path: Path, told: list[str]
) -> None:
    """A worker is sent pickled, loads, and is given some of the rows."""
    table, out = write_table(tmp_path, ROWS[:3]), tmp_path / "out"
    assert main(command(track_v0, table, out)) == 0
    told.clear()
    choice = ModelChoice(str(track_v0), role="teacher", frame_size=SIZE, steps=1)
    picture = [str(tmp_path / name) for _, name, _ in ROWS]
    jobs = [
        Render(job, text, "dog", picture[i], None, 13, 0, "auto", "auto", job) for i, (job, _, text) in enumerate(ROWS)
    ]
    worker = pickle.loads(pickle.dumps(RenderWorker(choice, Output(str(tmp_path / "other")), jobs[:3])))
    worker.load("cpu")
    assert told == ["load text", "text cat", "text cat runs", "text dog", "load image"]
    made = [Path(attempt(worker, job).value or "") for job in (jobs[1], jobs[2])]
    assert not [each for each in told[5:] if each.startswith(("load", "text"))], told
    assert [sha256_of(each) for each in made] == [sha256_of(out / f"{each.name}") for each in made]


def test_a_student_asks_for_no_negative(track_v0: Path, tmp_path: Path, told: list[str]) -> None:
    job = Render("1", "cat", "dog", None, None, 13, 0, "auto", "auto", "1")
    RenderWorker(ModelChoice(str(track_v0), frame_size=SIZE), Output(str(tmp_path)), [job]).load("cpu")
    assert [each for each in told if each.startswith("text")] == ["text cat"]
