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


def test_heic_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))  # as phones' apps rename them
    with pytest.raises(MediaError, match=r"a\.jpg is no picture .*, GIF\. It is HEIC: save it as JPEG or PNG$"):
        read_picture(tmp_path / "a.jpg")
    monkeypatch.setitem(Image.OPEN, "AVIF", Image.OPEN["PNG"])
    monkeypatch.delitem(Image.OPEN, "AVIF")  # a Pillow without it
    content = b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(99)
    with pytest.raises(MediaError, match=r"known are [^V]*, GIF\. It is AVIF, which this Pillow cannot read: save it"):
        read_picture(content)


def png_of_16_bits(colour_type: int, values: np.ndarray, hidden: tuple[int, ...]) -> bytes:
    """By hand (PNG 1.2: IHDR, tRNS, IDAT), since Pillow writes no such file. values: (h w c)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    transparent = struct.pack(f">{len(hidden)}H", *hidden)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


@pytest.mark.parametrize(("colour_type", "hidden"), [(0, (40_000,)), (2, (40_000, 10_000, 65_535))])
def test_a_colour_of_16_bits_that_is_transparent(colour_type: int, hidden: tuple[int, ...]) -> None:
    values = np.full((6, 8, len(hidden)), 30_000, np.uint16)
    values[:, 4:] = hidden
    found = read_picture(png_of_16_bits(colour_type, values, hidden), (1, 2, 3))
    assert (found.alpha[:, :4] == 255).all() and (found.alpha[:, 4:] == 0).all()
    assert np.abs(found.pixels[:, :4].astype(int) - 30_000 / 257).max() <= 1
    assert (found.pixels[:, 4:] == (1, 2, 3)).all()


DISPLAY_P3 = [[0.51512, 0.29198, 0.15710], [0.24120, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]]
SRGB = [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
"""Linear RGB to XYZ, adapted to D50, as ICC profiles hold it."""


def profile(matrix: list[list[float]]) -> bytes:
    """An ICC profile of version 4 of a screen, with sRGB's curve (ICC.1:2022, 8.3.2 and 10.18)."""

    def fixed(*values: float) -> bytes:
        return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))

    curve = struct.pack(">4sIHH", b"para", 0, 3, 0) + fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    words = struct.pack(">4sIIIHHII", b"mluc", 0, 1, 12, 0x656E, 0x5553, 2, 28) + "a".encode("utf-16-be") + b"\0\0"
    tags = {b"desc": words, b"cprt": words, b"wtpt": struct.pack(">4sI", b"XYZ ", 0) + fixed(0.9642, 1, 0.82491)}
    tags |= {b"rgb"[n : n + 1] + b"TRC": curve for n in range(3)}
    tags |= {
        b"rgb"[n : n + 1] + b"XYZ": struct.pack(">4sI", b"XYZ ", 0) + fixed(*(row[n] for row in matrix))
        for n in range(3)
    }
    place, table, content = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, place + len(content), len(data))
        content += data + b"\0" * (-len(data) % 4)
    size = place + len(content)
    header = (
        struct.pack(">I4sI4s4s4s", size, b"\0" * 4, 0x04300000, b"mntr", b"RGB ", b"XYZ ").ljust(36, b"\0") + b"acsp"
    )
    header = header.ljust(68, b"\0") + fixed(0.9642, 1, 0.82491)
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + content


def in_srgb(colour: tuple[int, int, int], matrix: list[list[float]]) -> np.ndarray:
    """A colour of a screen with that matrix, in sRGB: what does not fit is cut off."""
    share = np.array(colour) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    wanted = (np.linalg.inv(SRGB) @ matrix @ linear).clip(0, 1)
    return 255 * np.where(wanted <= 0.0031308, 12.92 * wanted, 1.055 * wanted ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif"])
@pytest.mark.parametrize("colour", [(200, 60, 40), (40, 180, 90), (128, 128, 128)])
def test_colours_of_a_wider_space_are_brought_to_srgb(
    tmp_path: Path, suffix: str, colour: tuple[int, int, int]
) -> None:
    """As every photograph of a phone has them."""
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (16, 16), colour).save(path, icc_profile=profile(DISPLAY_P3), **options)
    found = read_picture(path)
    assert np.abs(found.pixels[8, 8] - in_srgb(colour, DISPLAY_P3)).max() <= 2 and (found.alpha == 255).all()


def test_a_profile_and_transparency(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 8), (200, 60, 40, 128))
    image.save(tmp_path / "a.png", icc_profile=profile(DISPLAY_P3))
    found = read_picture(tmp_path / "a.png", (10, 20, 30))
    shown = in_srgb((200, 60, 40), DISPLAY_P3) * 128 / 255 + np.array([10, 20, 30]) * 127 / 255
    assert (found.alpha == 128).all() and np.abs(found.pixels[4, 4] - shown).max() <= 2


@pytest.mark.parametrize("content", [profile(SRGB), b"none", profile(DISPLAY_P3)[:300]], ids=["sRGB", "none", "cut"])
def test_what_is_srgb_or_no_profile_changes_nothing(tmp_path: Path, content: bytes) -> None:
    random = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    Image.fromarray(random).save(tmp_path / "a.png", icc_profile=content)
    assert np.array_equal(read_picture(tmp_path / "a.png").pixels, random)
    Image.fromarray(random[..., 0]).save(tmp_path / "grey.png", icc_profile=profile(DISPLAY_P3))  # of another kind
    assert np.array_equal(read_picture(tmp_path / "grey.png").pixels[..., 1], random[..., 0])


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
