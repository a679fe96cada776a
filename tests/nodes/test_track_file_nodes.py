"""Tracks to files and text and back, without a host: names stay inside their folders, files are whole or absent."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

Pack = Callable[[str], Any]
SAVE = {"width": 64, "height": 48, "name": "tracks/motion", "format": "npz", "if_exists": "increment"}
DOCUMENT = Path(__file__).parents[1] / "data" / "documents.json"


@pytest.fixture
def folders(host: Any) -> Iterator[Path]:
    """Where the input and output folders are; empty."""
    for name in ("input", "output"):
        for path in sorted((host.models_dir / name).rglob("*"), reverse=True):
            path.unlink() if path.is_file() or path.is_symlink() else path.rmdir()
        (host.models_dir / name).mkdir(exist_ok=True)
    return host.models_dir


def payload(num_tracks: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(num_tracks)
    return {
        "track_path": torch.rand(5, num_tracks, 2, generator=generator) * 40,
        "track_visibility": torch.rand(5, num_tracks, generator=generator) > 0.3,
    }


def save(pack: Pack, tracks: Any = None, **changes: Any) -> str:
    node = pack("nodes.tracks.exchange").MotionStreamSaveTracks
    return node.execute(tracks or payload(), **{**SAVE, **changes}).args[0]


def load(pack: Pack, file: str, width: int = 0, height: int = 0, length: int = 0) -> tuple[Any, ...]:
    return pack("nodes.tracks.exchange").MotionStreamLoadTracks.execute(file, width, height, length).args


def test_npz_there_and_back(pack: Pack, folders: Path) -> None:
    file = save(pack)
    assert file == "tracks/motion.npz [output]"
    assert pack("nodes.host.user_files").listed((".npz", ".json")) == [file]
    tracks, *rest = load(pack, file)
    assert torch.equal(tracks["track_path"], payload()["track_path"])
    assert torch.equal(tracks["track_visibility"], payload()["track_visibility"])
    assert rest == [64, 48, 5]
    scaled, *rest = load(pack, file, width=128, length=9)
    assert torch.allclose(scaled["track_path"][::2], payload()["track_path"] * torch.tensor([2.0, 1.0]))
    assert rest == [128, 48, 9]


def test_json_there_and_back(pack: Pack, folders: Path) -> None:
    file = save(pack, format="json", name="motion.json")
    lists = json.loads((folders / "output" / "motion.json").read_text("utf-8"))
    seen = payload()["track_visibility"]
    assert [[sample["v"] for sample in each] for each in lists] == seen.int().T.tolist()
    with pytest.raises(ValueError, match=r"file: motion\.json: coordinates do not tell the size of their frame; give"):
        load(pack, file)
    tracks, *rest = load(pack, file, width=64, height=48)
    assert torch.equal(tracks["track_path"][seen], payload()["track_path"][seen])
    assert rest == [64, 48, 5]


def test_a_drawing_of_the_editor_is_read(pack: Pack, folders: Path) -> None:
    case = next(each for each in json.loads(DOCUMENT.read_text("utf-8"))["valid"] if each["name"] == "occluded twice")
    (folders / "input" / "drawing.json").write_text(json.dumps(case["document"]), "utf-8")
    tracks, width, height, length = load(pack, "drawing.json")
    assert torch.allclose(tracks["track_path"], torch.tensor(case["points"]), atol=0.01)
    assert tracks["track_visibility"].int().tolist() == case["visibility"]
    assert {"width": width, "height": height, "num_frames": length}.items() <= case["document"]["canvas"].items()


def test_what_happens_where_a_file_is_there(pack: Pack, folders: Path) -> None:
    assert save(pack, payload(1)) == "tracks/motion.npz [output]"
    assert save(pack, payload(2)) == "tracks/motion_0002.npz [output]"
    assert save(pack, payload(3)) == "tracks/motion_0003.npz [output]"

    def num_tracks() -> int:
        return load(pack, "tracks/motion.npz [output]")[0]["track_path"].shape[1]

    assert save(pack, payload(4), if_exists="skip") == "tracks/motion.npz [output]"
    assert num_tracks() == 1
    assert save(pack, payload(4), if_exists="overwrite") == "tracks/motion.npz [output]"
    assert num_tracks() == 4
    assert not list(folders.rglob("*.part"))


def test_a_failure_leaves_what_was_there(pack: Pack, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(pack, payload(1))

    def half(_: Any, file: Any) -> None:
        file.write(b"PK")
        raise OSError("disk full")

    monkeypatch.setattr(pack("nodes.tracks.files"), "save_npz", half)
    with pytest.raises(OSError, match="disk full"):
        save(pack, payload(2), if_exists="overwrite")
    assert load(pack, "tracks/motion.npz [output]")[0]["track_path"].shape[1] == 1
    assert not list(folders.rglob("*.part"))


ESCAPES = ["../x", "a/../../x", "/etc/x", "", " ", "a//b", "./x", ".x", "a/..", "link/x"]
ESCAPES += ["C:/x", "..\\x", "a\x00b", "a\nb"]


@pytest.mark.parametrize("name", ESCAPES)
def test_a_name_that_leads_out_is_refused(pack: Pack, folders: Path, tmp_path: Path, name: str) -> None:
    for folder in ("input", "output"):
        (folders / folder / "link").symlink_to(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"secret")
    before = {path for path in folders.rglob("*")}
    with pytest.raises(ValueError, match="the name"):
        save(pack, name=name)
    assert {path for path in folders.rglob("*")} == before
    assert (tmp_path / "x.npz").read_bytes() == b"secret"
    node = pack("nodes.tracks.exchange").MotionStreamLoadTracks
    for file in (f"{name}.npz", f"{name}.npz [output]"):
        assert "the name" in str(node.validate_inputs(file)) or "is not in" in str(node.validate_inputs(file))
        with pytest.raises((ValueError, FileNotFoundError)):
            load(pack, file)


def test_what_load_says_before_anything_runs(pack: Pack, folders: Path) -> None:
    node = pack("nodes.tracks.exchange").MotionStreamLoadTracks
    save(pack)
    assert node.validate_inputs(None) is True
    assert node.validate_inputs("tracks/motion.npz [output]") is True
    assert "a file in the output folder is named with [output] behind it" in node.validate_inputs("tracks/motion.npz")
    assert "end in .npz or .json" in node.validate_inputs("picture.png")


def test_a_changed_file_is_read_again(pack: Pack, folders: Path) -> None:
    node = pack("nodes.tracks.exchange").MotionStreamLoadTracks
    file = save(pack)
    first = node.fingerprint_inputs(file, 0, 0, 0)
    assert node.fingerprint_inputs(file, 0, 0, 0) == first
    assert node.fingerprint_inputs(file, 0, 0, 9) != first
    os.utime(folders / "output" / "tracks" / "motion.npz", ns=(1, 1))
    assert node.fingerprint_inputs(file, 0, 0, 0) != first
    assert node.fingerprint_inputs("gone.npz", 0, 0, 0).startswith("gone.npz: missing")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("bad.npz", b"PK not a zip", "bad.npz: this is no readable npz file"),
        ("bad.json", b"[[{", "bad.json: the text"),
        ("bad.json", b"\xff\xfe\x00", "bad.json: this is no UTF-16 text"),
        ("bad.json", b'{"a": 1}', "bad.json: document: field 'a'"),
        ("bad.json", b"[]", "bad.json: there are no tracks"),
    ],
)
def test_malformed_files_are_named(pack: Pack, folders: Path, name: str, content: bytes, words: str) -> None:
    (folders / "input" / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        load(pack, name, 64, 48)


def test_to_json_and_to_ati(pack: Pack) -> None:
    """121 samples spread over the clip: sample 30 j is frame j of 5."""
    nodes = pack("nodes.tracks.exchange")
    plain = json.loads(nodes.MotionStreamTracksToJSON.execute(payload()).args[0])
    ati = json.loads(nodes.MotionStreamTracksToATI.execute(payload()).args[0])
    assert [len(each) for each in plain] == [5] * 3
    assert [len(each) for each in ati] == [121] * 3
    for track, samples in enumerate(ati):
        for frame in range(5):
            sample = samples[30 * frame]
            assert sample["v"] == payload()["track_visibility"][frame, track].item() == plain[track][frame]["v"]
            if sample["v"]:
                wanted = payload()["track_path"][frame, track].tolist()
                assert [sample["x"], sample["y"]] == pytest.approx(wanted, rel=1e-6)
