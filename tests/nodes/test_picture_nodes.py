"""The nodes that begin a workflow: bundled pictures, files of the input folder alone, what the mask means."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Pack = Callable[[str], Any]


@pytest.fixture
def folder(host: Any) -> Iterator[Path]:
    """The input folder, empty before and after."""
    folder = host.models_dir / "input"
    folder.mkdir(exist_ok=True)
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def load(pack: Pack, image: str) -> tuple[np.ndarray, np.ndarray]:
    """(h w 3) and (h w) as the node gives them, of the one picture that it gives."""
    picture, mask = pack("nodes.pictures").MotionStreamPicture.execute(image).args
    assert len(picture) == len(mask) == 1
    return picture[0].numpy(), mask[0].numpy()


def test_every_bundled_picture_is_there(pack: Pack) -> None:
    nodes = pack("nodes.pictures")
    for name in nodes.PICTURES:
        picture, mask = load(pack, f"bundled/{name}")
        assert picture.shape == (*mask.shape, 3)
        assert picture.shape[0] % 16 == picture.shape[1] % 16 == 0
        assert picture.std() > 0.05
        assert mask.max() == 1
    for name in nodes.VIDEOS:
        video = nodes.MotionStreamReferenceVideo.execute(f"bundled/{name}").args[0]
        assert Path(video.file).is_file()


def test_the_mask_of_the_shapes_covers_what_is_coloured(pack: Pack) -> None:
    picture, mask = load(pack, "bundled/three_shapes")
    chroma = picture.max(-1) - picture.min(-1)
    assert ((mask > 0.5) == (chroma > 60.5 / 255)).all()
    assert 0.02 < mask.mean() < 0.3


def test_what_is_opaque_may_move_and_without_alpha_all_of_it(pack: Pack, folder: Path) -> None:
    pixels = np.zeros((4, 6, 4), np.uint8)
    pixels[..., 0], pixels[1:3, 2:4, 3] = 200, 255
    Image.fromarray(pixels).save(folder / "cut.png")
    picture, mask = load(pack, "cut.png")
    assert picture.shape == (4, 6, 3)
    assert np.argwhere(mask == 1).tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]
    Image.fromarray(pixels[..., :3]).save(folder / "whole.jpg")
    assert (load(pack, "whole.jpg")[1] == 1).all()


def test_a_photo_stands_upright(pack: Pack, folder: Path) -> None:
    """Phones keep a picture as the sensor had it, and say how it was held."""
    tags = Image.Exif()
    tags[0x0112] = 6  # turned a quarter
    Image.new("RGB", (8, 4)).save(folder / "phone.jpg", exif=tags)
    assert load(pack, "phone.jpg")[0].shape == (8, 4, 3)


def test_another_file_behind_the_name_is_read_anew(pack: Pack, folder: Path) -> None:
    node = pack("nodes.pictures").MotionStreamPicture
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    first = node.fingerprint_inputs("a.png")
    assert first == node.fingerprint_inputs("a.png")
    os.utime(folder / "a.png", ns=(1, 1))
    assert node.fingerprint_inputs("a.png") != first
    assert node.fingerprint_inputs(None) == "linked"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing.png", "'missing.png' is not in ComfyUI's input folder; drop the file on the node"),
        ("../secret.png", "leads out of ComfyUI's input folder"),
        ("bundled/nothing", "is not bundled; there are three_shapes"),
        ("bundled/three_things_moving", "is not bundled; there are three_shapes"),
    ],
)
def test_a_name_that_is_no_picture_is_refused_in_words(pack: Pack, folder: Path, name: str, words: str) -> None:
    (folder.parent / "secret.png").write_bytes(b"")
    answer = pack("nodes.pictures").MotionStreamPicture.validate_inputs(name)
    assert isinstance(answer, str)
    assert words in answer


def test_a_file_that_is_no_picture_is_named(pack: Pack, folder: Path) -> None:
    (folder / "text.png").write_text("no picture")
    assert pack("nodes.pictures").MotionStreamPicture.validate_inputs("text.png") is True
    with pytest.raises(ValueError, match=r"image: text\.png is no picture"):
        load(pack, "text.png")


def test_files_of_the_input_folder_are_offered_after_the_bundled_ones(pack: Pack, folder: Path) -> None:
    (folder / "mine.png").write_bytes(b"")
    choice, _ = pack("nodes.pictures").MotionStreamPicture.define_schema().inputs
    assert choice.fields["options"] == [*(f"bundled/{name}" for name in pack("nodes.pictures").PICTURES), "mine.png"]
