"""What the command `render` reads is what the nodes read: the editor's document, marks, files that name their size."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from motionstream_core.streaming.render.job import RenderJob, read_job
from motionstream_core.tracks import Tracks, save_npz
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC

HEIGHT, WIDTH = 400, 300
WAY = [(150, 200), (150, 300)]  # of the picture: cut to its middle 300 x 300 and scaled to 128 x 128
LANDS = [[64, 64], [64, pytest.approx(64 + 100 * 128 / 300, abs=1e-3)]]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def job(image: Path, name: str, data: bytes | dict[str, Any] | list[Any], **given: Any) -> RenderJob:
    tracks = image.with_name(name)
    tracks.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    renderer: Any = SimpleNamespace(loaded=SimpleNamespace(spec=STUDENT_SPEC))
    return read_job(renderer, "", image, tracks, **{"num_frames": 25, **given})


def document(width: int, height: int, way: Any) -> dict[str, Any]:
    path = {"id": "a", "kind": "path", "interpolation": "linear", "points": way, "start": 0, "duration": 24}
    canvas = {"width": width, "height": height, "num_frames": 25, "fps": 16}
    return {"format": "motionstream-tracks", "version": 1, "canvas": canvas, "tracks": [path]}


def half(tmp_path: Path) -> bytes:
    points = torch.tensor(WAY)[:, None].float() / 2
    save_npz(Tracks(points, torch.ones(2, 1, dtype=torch.bool), HEIGHT // 2, WIDTH // 2), tmp_path / "half")
    return (tmp_path / "half").read_bytes()


def test_every_form_lands_on_the_same_place(image: Path, tmp_path: Path) -> None:
    lists = [[{"x": x, "y": y} for x, y in WAY]]
    shares = [[[x / WIDTH, y / HEIGHT] for x, y in WAY]]
    for name, data in (
        ("plain.json", lists),
        ("mark.json", json.dumps(lists).encode("utf-8-sig")),
        ("utf16.json", json.dumps(lists).encode("utf-16")),
        ("shares.json", shares),
        ("document.json", document(WIDTH, HEIGHT, WAY)),
        ("small.json", document(WIDTH // 2, HEIGHT // 2, [[x / 2, y / 2] for x, y in WAY])),
        ("half.npz", half(tmp_path)),
    ):
        found = job(image, name, data)
        assert found.tracks.points[[0, -1], 0].tolist() == LANDS, name
        assert (found.tracks.height, found.tracks.width, found.tracks.num_frames) == (128, 128, 25)
    assert job(image, "document.json", document(WIDTH, HEIGHT, WAY), num_frames=None).tracks.num_frames == 25
    assert job(image, "half.npz", half(tmp_path)).told == "1 point of 2 samples; made for 150 x 200 px"
    assert job(image, "shares.json", shares).told.endswith("normalised, assumed: 0..1 is the frame of 300 x 400 px")


def test_choices_are_the_nodes(image: Path) -> None:
    frames = [[[20 + t, 150], [200 - t, 250]] for t in range(13)]
    with pytest.raises(ValueError, match=r"^--tracks: frames\.json: these are 13 lists of 2 places.*order 'by frame'"):
        job(image, "frames.json", frames)
    found = job(image, "frames.json", frames, order="by frame", num_frames=13).tracks
    assert (found.num_tracks, found.num_frames) == (2, 13)
    with pytest.raises(ValueError, match=r"^--tracks: corner\.json: all coordinates lie .*choose units"):
        job(image, "corner.json", [[[0, 0], [1, 1]]])
    assert job(image, "corner.json", [[[0, 0], [1, 1]]], units="px").told.endswith("units: px, as chosen")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.json", b"", "there are no tracks; give at least one"),
        ("a.json", b'[[{"x": 1}]]', "track 0, sample 0: field 'y' is missing"),
        ("a.json", b'{"tracks": []}', "document: field"),
        ("a.json", "[[1, 2]]".encode("utf-16-le"), "save it as UTF-8"),
        ("a.npz", b"no zip", "this is no readable npz file of MotionStream Save Tracks"),
        ("a.json", b"[[[1000, 20], [2000, 20]]]", "never lie inside the frame of 300 x 400 px.*drawn on this picture"),
    ],
)
def test_what_is_wrong_is_said_in_users_words(image: Path, name: str, data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=rf"^--tracks: {name}: .*{words}") as caught:
        job(image, name, data)
    assert not any(word in str(caught.value) for word in ("load_npz", "save_npz", "parse_tracks", "rescaled(", "=True"))
