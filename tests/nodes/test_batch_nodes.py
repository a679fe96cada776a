"""Rows of manifests and videos of jobs, without a host."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

Pack = Callable[[str], Any]


@pytest.fixture
def folders(host: Any) -> Iterator[Path]:
    """Where the input and output folders are; empty."""
    for name in ("input", "output"):
        for path in sorted((host.models_dir / name).rglob("*"), reverse=True):
            path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
        (host.models_dir / name).mkdir(exist_ok=True)
    return host.models_dir


def row(pack: Pack, number: int, column: str = "", name: str = "jobs.csv") -> tuple[Any, ...]:
    return pack("nodes.batch.manifest").MotionStreamManifestRow.execute(name, number, column).args


def table(folders: Path, *lines: str, name: str = "jobs.csv") -> Path:
    path = folders / "input" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_row_with_everything(pack: Pack, folders: Path) -> None:
    path = table(
        folders,
        "job_id,image,prompt,tracks,seed,length,steps,note",
        "a,pictures/red.png,a ball,tracks.json,18446744073709551615,25,4,007x",
        "b,,,,,,,",
        name="set/jobs.csv",
    )
    (path.parent / "pictures").mkdir()
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0] = 255
    Image.fromarray(pixels).save(path.parent / "pictures" / "red.png")
    (path.parent / "tracks.json").write_text("[[[3, 3], [9, 5]]]", "utf-8")
    job_id, image, prompt, tracks, video, log, seed, length, value, rows = row(pack, 1, "steps", "set/jobs.csv")
    assert (job_id, prompt, video, log, seed, length, value, rows) == ("a", "a ball", None, "", 2**64 - 1, 25, 4, 2)
    assert torch.equal(image, torch.tensor([1.0, 0.0, 0.0]).expand(1, 8, 12, 3))
    assert tracks["track_path"].tolist() == [[[3, 3]], [[9, 5]]]
    assert (tracks["track_width"], tracks["track_height"]) == (12, 8)
    assert row(pack, 1, "note", "set/jobs.csv")[8] == "007x"
    wider = pack("nodes.batch.manifest").MotionStreamManifestRow.execute("set/jobs.csv", 1, "", width=640).args[3]
    assert (wider["track_width"], wider["track_height"]) == (640, 8)  # the other side is the picture's
    assert row(pack, 2, name="set/jobs.csv") == ("b", None, "", None, None, "", 0, 0, "", 2)
    assert pack("nodes.host.user_files").listed((".csv", ".jsonl"), outputs=False) == ["set/jobs.csv"]


def test_the_bundled_table(pack: Pack, folders: Path) -> None:
    """Every row has a picture, and tracks of its size that begin within it and move; an empty input folder lists it."""
    node = pack("nodes.batch.manifest").MotionStreamManifestRow
    pack("nodes.host.user_files").forget()
    (manifest,) = (each for each in node.define_schema().inputs if each.id == "manifest")
    assert manifest.fields["options"] == [manifest.fields["default"]] == ["bundled/three_jobs.csv"]
    assert node.validate_inputs("bundled/three_jobs.csv") is True
    made = [node.execute("bundled/three_jobs.csv", number).args for number in (1, 2, 3)]
    assert [each[-1] for each in made] == [3, 3, 3]
    for _, image, _, tracks, *_ in made:
        path = tracks["track_path"]
        assert len(path) == 49
        assert (tracks["track_width"], tracks["track_height"]) == (image.shape[2], image.shape[1])
        assert (path[0] >= 0).all() and (path[0] < image.shape[1]).all()
        assert (path[-1] - path[0]).norm(dim=-1).max() > 0.25 * image.shape[1]
    assert "bundled" in str(node.validate_inputs("bundled/other.csv"))


@pytest.mark.parametrize(
    ("cells", "number", "column", "says"),
    [
        ("a,../outside.png,1", 1, "", "row 1, image: the name"),
        ("a,none.png,1", 1, "", "row 1, image: there is no file"),
        ("a,,many", 1, "", "row 1, seed: it takes a whole number"),
        ("a,,1", 2, "", "row is 2, but jobs.csv has 1"),
        ("a,,1", 1, "colour", "column is 'colour', which row 1 does not fill; it has seed"),
    ],
)
def test_rows_that_cannot_be(pack: Pack, folders: Path, cells: str, number: int, column: str, says: str) -> None:
    table(folders, "job_id,image,seed", cells)
    with pytest.raises((ValueError, FileNotFoundError)) as raised:
        row(pack, number, column)
    assert says in str(raised.value)


def test_a_row_is_read_anew_when_it_or_its_file_changes(pack: Pack, folders: Path) -> None:
    node = pack("nodes.batch.manifest").MotionStreamManifestRow
    table(folders, "job_id,image,seed", "a,a.png,1", "b,,2")
    (folders / "input" / "a.png").write_bytes(b"1")
    first = node.fingerprint_inputs("jobs.csv", 1)
    table(folders, "job_id,image,seed", "a,a.png,1", "b,,3")
    assert node.fingerprint_inputs("jobs.csv", 1) == first
    (folders / "input" / "a.png").write_bytes(b"12")
    second = node.fingerprint_inputs("jobs.csv", 1)
    table(folders, "job_id,image,seed", "a,a.png,2", "b,,3")
    assert len({first, second, node.fingerprint_inputs("jobs.csv", 1)}) == 3


@pytest.mark.parametrize("name", ["none.csv", "../jobs.csv", "/etc/passwd"])
def test_manifests_lie_in_the_input_folder(pack: Pack, folders: Path, name: str) -> None:
    assert isinstance(pack("nodes.batch.manifest").MotionStreamManifestRow.validate_inputs(name), str)


FRAMES = torch.rand(5, 16, 24, 3, generator=torch.Generator().manual_seed(0))
PROMPT = {
    "1": {"class_type": "Noise", "inputs": {"noise_seed": 5, "file": "a.bin"}, "_meta": {"title": "x"}},
    "2": {"class_type": "Other", "inputs": {"seed": 9}},
    "7": {"class_type": "MotionStreamSaveJob", "inputs": {"video": ["1", 0], "job_id": "shots/a"}},
}


class Video(SimpleNamespace):
    """A VIDEO of the host."""

    def get_components(self) -> Any:
        return SimpleNamespace(images=self.images, frame_rate=16, audio=None)


def saver(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> Any:
    node = pack("nodes.batch.save").MotionStreamSaveJob
    monkeypatch.setattr(node, "hidden", SimpleNamespace(unique_id="7", prompt=PROMPT), raising=False)
    return node


def save(node: Any, if_exists: str = "overwrite", frames: torch.Tensor = FRAMES, **changes: Any) -> str:
    inputs = {"job_id": "shots/a", "prefix": "batch", "if_exists": if_exists, **changes}
    asked = node.check_lazy_status(**inputs)
    return node.execute(**inputs, video=Video(images=frames) if asked else None).args[0]


def test_a_job_is_saved_with_what_it_was_made_of(pack: Pack, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folders / "input" / "a.bin").write_bytes(b"content")
    assert save(saver(pack, monkeypatch), seed=3) == "batch/shots/a.mp4"
    path = folders / "output" / "batch" / "shots" / "a.mp4"
    with av.open(str(path)) as container:
        assert len(list(container.decode(video=0))) == 5
    about = json.loads(path.with_suffix(".json").read_text("utf-8"))
    assert about["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["inputs_sha256"] == {"a.bin": hashlib.sha256(b"content").hexdigest()}
    assert (about["frames"], about["fps"], about["width"], about["height"]) == (5, 16, 24, 16)
    assert (about["seed"], about["seeds"]) == (3, {"1.noise_seed": 5})
    assert set(about["workflow"]) == {"1", "7"}
    assert about["versions"]["comfyui"] == "0.0.1"
    assert about["versions"]["torch"] == torch.__version__
    assert about["timings"]["making_s"] >= 0
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.json", "a.mp4"]


@pytest.mark.parametrize("says_it", [True, False])
def test_a_job_says_that_a_model_made_it_unless_told_not_to(
    pack: Pack, folders: Path, monkeypatch: pytest.MonkeyPatch, says_it: bool
) -> None:
    save(saver(pack, monkeypatch), **({} if says_it else {"content_credentials": False}))
    content = (folders / "output" / "batch" / "shots" / "a.mp4").read_bytes()
    assert (b"trainedAlgorithmicMedia" in content) == (b"Generated by AI" in content) == says_it


def test_what_is_there_already(pack: Pack, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = saver(pack, monkeypatch)
    save(node)
    path = folders / "output" / "batch" / "shots" / "a.mp4"
    first = path.read_bytes()
    assert node.check_lazy_status(job_id="shots/a", prefix="batch", if_exists="skip") == []
    assert save(node, "skip", 1 - FRAMES) == "batch/shots/a.mp4"
    assert path.read_bytes() == first
    assert save(node, "increment", 1 - FRAMES) == "batch/shots/a_0002.mp4"
    assert path.read_bytes() == first
    assert save(node, "overwrite", 1 - FRAMES) == "batch/shots/a.mp4"
    assert path.read_bytes() != first
    path.with_suffix(".json").unlink()  # as if it had been killed before the last file
    assert save(node, "skip", FRAMES) == "batch/shots/a.mp4"
    assert path.read_bytes() == first


def test_what_breaks_leaves_no_video_of_the_job(pack: Pack, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = saver(pack, monkeypatch)
    with pytest.raises(ValueError, match="even sides"):
        save(node, frames=FRAMES[:, :15])
    assert not [path for path in (folders / "output").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "con", "a\0b", ""])
def test_names_stay_below_the_output_folder(pack: Pack, folders: Path, name: str) -> None:
    node = pack("nodes.batch.save").MotionStreamSaveJob
    assert "job_id" in node.validate_inputs(name, "batch")
    assert "prefix" in node.validate_inputs("a", name) if name else node.validate_inputs("a", name) is True
    assert node.validate_inputs(None, None) is True
