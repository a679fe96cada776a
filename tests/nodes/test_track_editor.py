"""The editor's node without a host: what comes out for a drawing, and what is refused in which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

Pack = Callable[[str], Any]
CASES = {
    case["name"]: case
    for case in json.loads((Path(__file__).parents[1] / "data" / "documents.json").read_text("utf-8"))["valid"]
}


def run(pack: Pack, document: str, **changes: Any) -> Any:
    inputs = {"width": 320, "height": 200, "length": 25, "time": "stretch", **changes}
    return pack("nodes.tracks.editor").MotionStreamTrackEditor.execute(document, **inputs)


def test_no_output_bears_an_inputs_id(pack: Pack) -> None:
    """Hosts of 2025 refuse the whole pack for one node in which two sockets share an id."""
    schema = pack("nodes.tracks.editor").MotionStreamTrackEditor.define_schema()
    ids = [socket.id for socket in (*schema.inputs, *schema.outputs)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", ["keyframes, a stop and a way back", "a grid that moves as one", "occluded twice"])
def test_a_drawing_becomes_tracks(pack: Pack, name: str) -> None:
    tracks, text, length, *size = run(pack, json.dumps(CASES[name]["document"])).args
    path, seen = tracks["track_path"], tracks["track_visibility"]
    assert (path.dtype, seen.dtype, length, size) == (torch.float32, torch.bool, 25, [320, 200])
    assert (tracks["track_width"], tracks["track_height"]) == (320, 200)
    assert np.abs(path.numpy() - np.array(CASES[name]["points"])).max() < 0.01
    assert seen.int().tolist() == CASES[name]["visibility"]
    lists = json.loads(text)
    assert [len(each) for each in lists] == [25] * path.shape[1]
    assert [[sample["v"] for sample in each] for each in lists] == seen.int().T.tolist()


def test_an_empty_drawing_moves_nothing(pack: Pack) -> None:
    tracks, text, length, *_ = run(pack, "", length=9).args
    assert tracks["track_path"].shape == (9, 0, 2)
    assert (text, length) == ("[]", 9)


def test_another_size_and_length(pack: Pack) -> None:
    document = json.dumps(CASES["one straight path"]["document"])  # x 20 to 220 of 320 over 25 frames
    stretched = run(pack, document, width=640, length=49).args[0]["track_path"][:, 0, 0]
    assert stretched.numpy() == pytest.approx(np.linspace(40, 440, 49), abs=1e-2)
    kept = run(pack, document, length=49, time="keep").args[0]["track_path"][:, 0, 0]
    assert kept.numpy() == pytest.approx(np.interp(range(49), [0, 24], [20, 220]), abs=1e-2)


@pytest.mark.parametrize(("text", "words"), [("{", "document: the text"), ('{"a": 1}', "document: field 'a'")])
def test_a_malformed_drawing_is_refused_before_anything_runs(pack: Pack, text: str, words: str) -> None:
    node = pack("nodes.tracks.editor").MotionStreamTrackEditor
    assert words in node.validate_inputs(text)
    with pytest.raises(ValueError, match=words):
        run(pack, text)
    assert node.validate_inputs("") is True
    assert node.validate_inputs(None) is True


def test_the_picture_is_kept_for_a_browser_alone(pack: Pack, host: Any) -> None:
    image = torch.rand(1, 20, 30, 3, generator=torch.Generator().manual_seed(0))
    assert run(pack, "", image=image).ui is None
    host.client_id = "browser"
    (named,) = run(pack, "", image=image).ui["motionstream_picture"]
    with Image.open(host.models_dir / "temp" / named["filename"]) as saved:
        assert np.abs(np.asarray(saved) / 255 - image[0].numpy()).max() < 0.003
    assert run(pack, "", image=image).ui["motionstream_picture"] == [named]
    assert len(list((host.models_dir / "temp").iterdir())) == 1


@pytest.mark.parametrize("shape", [(20, 30), (1, 20, 30), (3, 20, 30), (2, 1, 20, 30)])
def test_the_mask_is_kept_for_a_browser_as_a_picture_that_is_bright_where_it_covers(
    pack: Pack, host: Any, shape: tuple[int, ...]
) -> None:
    """However many axes and masks come in: the first one, beside the picture; the outputs know nothing of it."""
    mask = torch.zeros(shape)
    mask.reshape(-1, 20, 30)[0, 5:9, 10:20] = 1
    mask.reshape(-1, 20, 30)[0, 12, 3] = 0.5
    drawing = json.dumps(CASES["one straight path"]["document"])
    plain, masked = run(pack, drawing), run(pack, drawing, mask=mask)
    assert masked.ui is None
    assert torch.equal(plain.args[0]["track_path"], masked.args[0]["track_path"])
    assert plain.args[1:] == masked.args[1:]
    host.client_id = "browser"
    shown = run(pack, drawing, mask=mask, image=torch.ones(1, 8, 8, 3)).ui
    assert sorted(shown) == ["motionstream_mask", "motionstream_picture"]
    (named,) = shown["motionstream_mask"]
    assert (named["type"], named["subfolder"]) == ("temp", "")
    with Image.open(host.models_dir / "temp" / named["filename"]) as saved:
        pixels = np.asarray(saved).astype(int)
    expected = np.zeros((20, 30, 3))
    expected[5:9, 10:20] = 255
    expected[12, 3] = 128
    assert np.abs(pixels - expected).max() <= 1
