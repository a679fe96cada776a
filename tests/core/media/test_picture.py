"""Picture files: depth, transparency, turns, limits, and formats that are never tried."""

from __future__ import annotations

import ast
import io
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from motionstream_core.media import picture
from motionstream_core.media.faults import MediaError
from motionstream_core.media.picture import picture_size, read_levels, read_picture

ROOT = Path(__file__).parents[3]
RAMP = np.linspace(0, 1, 33)[None].repeat(9, 0)  # darker to brighter, left to right
GREYS = np.round(RAMP * 255).astype(np.uint8)


def test_grey_of_every_depth(tmp_path: Path) -> None:
    Image.fromarray(np.round(RAMP * 65535).astype(np.uint16)).save(tmp_path / "16.png")
    Image.fromarray(np.round(RAMP * 65535).astype(np.uint16)).save(tmp_path / "16.tif")
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(GREYS).save(tmp_path / "8.png")
    Image.fromarray(GREYS > 127).save(tmp_path / "1.png")
    for name in ("16.png", "16.tif", "float.tif", "8.png"):
        found = read_picture(tmp_path / name)
        assert found.pixels.shape == (9, 33, 3) and (found.alpha == 255).all()
        assert np.abs(found.pixels.astype(int) - GREYS[..., None]).max() <= 1, name
        np.testing.assert_allclose(read_levels(tmp_path / name), RAMP, atol=1 / 255 if name == "8.png" else 1e-4)
    assert set(read_picture(tmp_path / "1.png").pixels.ravel().tolist()) == {0, 255}


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (RAMP.astype(np.float32) * 255, "holds numbers from 0 to 255; floating grey must be in 0..1"),
        (np.full((4, 4), np.nan, np.float32), "holds numbers from nan to nan"),
        ((RAMP * 2**20).astype(np.int32), "whole numbers of 32 bits"),
    ],
)
def test_numbers_of_an_unknown_range_are_refused(tmp_path: Path, values: np.ndarray, fault: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(MediaError, match=fault):
        read_picture(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif"])
def test_what_is_transparent_shows_the_background(tmp_path: Path, name: str) -> None:
    image = Image.new("RGBA", (16, 8), (200, 30, 90, 0))
    image.paste((10, 220, 40, 255), (0, 0, 8, 8))
    image.putpixel((12, 4), (100, 100, 100, 128))
    image.save(tmp_path / name, **({"lossless": True, "exact": True} if name == "a.webp" else {}))
    for background in ((255, 255, 255), (7, 60, 130)):
        found = read_picture(tmp_path / name, background)
        assert found.pixels[2, 2].tolist() == [10, 220, 40] and found.alpha[2, 2] == 255
        assert found.pixels[2, 14].tolist() == list(background) and found.alpha[2, 14] == 0
        between = [100 * 128 / 255 + level * 127 / 255 for level in background]
        assert found.pixels[4, 12] == pytest.approx(between, abs=1)
    assert read_picture(tmp_path / name).pixels[2, 14].tolist() == [255, 255, 255]


def test_palettes_with_a_transparent_colour(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 250, 10, 10, *[0] * 762])
    image.putpixel((0, 0), 0)
    image.save(tmp_path / "a.png", transparency=1)
    found = read_picture(tmp_path / "a.png")
    assert found.pixels[0, 0].tolist() == [0, 0, 0] and found.pixels[2, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cameras_turns(tmp_path: Path, orientation: int) -> None:
    """Orientation says where the stored picture's first row and column are shown (Exif 2.3, tag 0x0112)."""
    shown = np.zeros((24, 40, 3), np.uint8)
    shown[:12, :20], shown[:12, 20:], shown[12:, :20] = 60, 120, 240
    by_row = {1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1]}
    turned = shown.transpose(1, 0, 2)
    by_column = {5: turned, 6: turned[::-1], 7: turned[::-1, ::-1], 8: turned[:, ::-1]}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray((by_row | by_column)[orientation]).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").pixels, shown)
    assert picture_size(tmp_path / "a.png") == (24, 40)


def test_postscript_never_reaches_an_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    for name in ("Popen", "check_call", "run"):
        monkeypatch.setattr(subprocess, name, started)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    document = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n/a 1 def\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_bytes(document)
    with Image.open(tmp_path / "a.png") as opened:  # Pillow alone would take it
        assert opened.format == "EPS"
    for source in (tmp_path / "a.png", document):
        with pytest.raises(MediaError, match="is no picture that can be read; known are PNG"):
            read_picture(source)


def test_too_many_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = struct.pack(">II", 60000, 60000)  # the header's size
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "bomb.png").write_bytes(content)
    with pytest.raises(MediaError, match=r"bomb\.png has more than 178 megapixels"):
        read_picture(tmp_path / "bomb.png")
    monkeypatch.setattr(picture, "MOST_PIXELS", 64 * 64 - 1)
    with pytest.raises(MediaError, match=r"a\.png has 64 x 64 px; at most"):
        read_picture(tmp_path / "a.png")


def test_broken_and_missing_ones_are_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:4000])
    with pytest.raises(MediaError, match=r"cut\.png is broken: .*truncated"):
        read_picture(tmp_path / "cut.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(MediaError, match=r"empty\.png is empty"):
        read_picture(tmp_path / "empty.png")
    with pytest.raises(FileNotFoundError, match=r"gone\.png: there is no such file"):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(MediaError, match="mode RGB; it must be grey"):
        read_levels(tmp_path / "a.png")
    content = io.BytesIO()
    Image.fromarray(noise).save(content, "PNG")
    np.testing.assert_array_equal(read_picture(content.getvalue()).pixels, noise)


def test_pictures_are_opened_in_one_place() -> None:
    """Anybody else's Image.open would try every format that Pillow knows, PostScript among them."""
    found = []
    for folder in ("motionstream_core", "nodes"):
        for path in (ROOT / folder).rglob("*.py"):
            calls = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))
            found += [str(path.relative_to(ROOT)) for call in calls if ast.unparse(call.func) == "Image.open"]
    assert found == ["motionstream_core/media/picture.py"]
