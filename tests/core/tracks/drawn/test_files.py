"""Files of tracks as programs save them: with marks, in UTF-16, of another size; told apart by what is in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from motionstream_core.tracks import TrackFormatError, Tracks, read_file, save_npz
from motionstream_core.tracks.text import text_of

LISTS = [[{"x": 150, "y": 200}, {"x": 150, "y": 300}]]
DOCUMENT = {
    "format": "motionstream-tracks",
    "version": 1,
    "canvas": {"width": 300, "height": 400, "num_frames": 25, "fps": 16},
    "tracks": [
        {
            "id": "a",
            "kind": "path",
            "interpolation": "linear",
            "points": [[150, 200], [150, 300]],
            "start": 0,
            "duration": 24,
        }
    ],
}


def written(folder: Path, data: Any, encoding: str = "utf-8") -> Path:
    path = folder / "tracks.json"
    path.write_bytes(json.dumps(data).encode(encoding))
    return path


def read(path: Path, size: tuple[int, int] | None = (400, 300)) -> Any:
    return read_file(path, size, remedy="give its size")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("data", [LISTS, DOCUMENT], ids=["lists", "document"])
def test_a_mark_says_the_encoding(tmp_path: Path, data: Any, encoding: str) -> None:
    tracks = read(written(tmp_path, data, encoding)).tracks
    assert (tracks.height, tracks.width) == (400, 300)
    assert tracks.points[[0, -1], 0].tolist() == [[150, 200], [150, 300]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("[[[1, 2]]]".encode("utf-16-le"), "zero bytes, as UTF-16 without a byte-order mark does; save it as UTF-8"),
        (b"\xff\xfe\x00", "this is no UTF-16 text"),
        ('[["\xe9"]]'.encode("latin-1"), "this is no UTF-8 text"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(TrackFormatError, match=words):
        text_of(data)
    (tmp_path / "bad.json").write_bytes(data)
    with pytest.raises(TrackFormatError, match=rf"^bad\.json: .*{words}"):
        read(tmp_path / "bad.json")


def test_a_file_that_names_its_size_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "half.npz"
    save_npz(Tracks(torch.ones(2, 1, 2), torch.ones(2, 1, dtype=torch.bool), 200, 150, torch.tensor([77])), path)
    found = read(path)
    assert (found.tracks.height, found.tracks.width, found.tracks.ids.tolist()) == (200, 150, [77])
    assert found.told == "1 point of 2 samples; made for 150 x 200 px"
    assert read(written(tmp_path, DOCUMENT), None).tracks.num_frames == 25
    with pytest.raises(TrackFormatError, match=r"tracks\.json: coordinates do not tell the size of their frame; give"):
        read(written(tmp_path, LISTS), None)


def test_coordinates_tell_how_they_were_read(tmp_path: Path) -> None:
    assert read(written(tmp_path, LISTS)).told == "1 point of 2 samples; units: px, assumed"
    with pytest.raises(TrackFormatError, match=r"tracks\.json: 100% of the tracks .* give its size"):
        read(written(tmp_path, LISTS), (64, 64))
