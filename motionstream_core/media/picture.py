"""Picture files: the one place that opens them, and what they come to: eight bits, upright, opaque."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from .display import WHITE, over
from .faults import MediaError, checked_file, name_of
from .profile import in_srgb

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif")
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
"""What a file may be, whatever its name says. Others are never tried: PostScript would be run as a program."""
HEIF_BRANDS = {brand: "HEIC" for brand in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")}
HEIF_BRANDS |= {b"avif": "AVIF, which this Pillow cannot read", b"avis": "AVIF, which this Pillow cannot read"}
MOST_PIXELS = 89_478_485  # from here on Pillow warns of a decompression bomb
SIXTEEN_BITS = ("I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 (h w 3), what is transparent over the background. alpha: uint8 (h w), 255 where it is opaque."""

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8]


def read_picture(source: str | Path | bytes, background: tuple[int, int, int] = WHITE) -> Picture:
    """A picture file, or the content of one, turned upright as its camera says.

    Colours of an ICC profile are brought to sRGB. Grey of 16 bits and floating grey in 0..1 are scaled to 8 bits. What
    is transparent shows `background`; of an animation the first frame is taken. Raises FileNotFoundError, and
    MediaError naming the file: for another format than FORMATS, for one that is broken or has more than MOST_PIXELS,
    and for numbers whose range nobody can know.
    """
    with _opened(source) as picture:
        upright = ImageOps.exif_transpose(picture)
        hidden = upright.info.get("transparency")
        if upright.mode in (*SIXTEEN_BITS, "I", "F"):
            grey = (_levels(upright, picture.format) * 255 + 0.5).astype(np.uint8)
            alpha = np.where(np.asarray(upright) == hidden, 0, 255).astype(np.uint8)
            rgba = np.dstack([grey, grey, grey, alpha])
        else:
            if isinstance(hidden, tuple) and max(hidden) > 255:  # of 16 bits, of which Pillow keeps the upper eight
                upright.info["transparency"] = tuple(level >> 8 for level in hidden)
            rgba = np.asarray(in_srgb(upright).convert("RGBA"))
    return Picture(over(rgba, background), rgba[..., 3].copy())


def read_levels(source: str | Path | bytes) -> NDArray[np.float64]:
    """A grey picture's values (h w) in [0, 1], with all of their bits. Raises as `read_picture`, and for colours."""
    with _opened(source) as picture:
        if picture.mode not in ("L", *SIXTEEN_BITS, "I", "F"):
            raise MediaError(f"is a picture of mode {picture.mode}; it must be grey, of 8 or 16 bits or floating")
        return _levels(picture, picture.format)


def picture_size(source: str | Path | bytes) -> tuple[int, int]:
    """(height, width) px, upright, without decoding. Raises as `read_picture`."""
    with _opened(source) as picture:
        width, height = picture.size
        sideways = picture.getexif().get(0x0112, 1) >= 5  # the orientation tag: 5 to 8 exchange rows and columns
        return (width, height) if sideways else (height, width)


@contextmanager
def _opened(source: str | Path | bytes) -> Iterator[Image.Image]:
    """The file's picture, not decoded yet; what goes wrong comes out as MediaError that begins with its name."""
    name = name_of(source, "picture")
    Image.init()
    known = [each for each in FORMATS if each in Image.OPEN]
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else checked_file(source)
        with Image.open(file, formats=known) as opened:
            width, height = opened.size
            if width * height > MOST_PIXELS:
                raise MediaError(f"has {width} x {height} px; at most {MOST_PIXELS // 10**6} megapixels are read")
            yield opened
    except FileNotFoundError:
        raise
    except MediaError as error:
        raise error.of(name) from None
    except UnidentifiedImageError:
        raise MediaError(f"is no picture that can be read; known are {', '.join(known)}{_hint(source)}", name) from None
    except Image.DecompressionBombError:
        raise MediaError(f"has more than {2 * MOST_PIXELS // 10**6} megapixels", name) from None
    except (OSError, ValueError, SyntaxError, IndexError, EOFError) as error:
        raise MediaError(f"is broken: {error}", name) from error


def _hint(source: str | Path | bytes) -> str:
    """What a file of pictures as phones write them is, and what to do with it."""
    if isinstance(source, bytes):
        head = source[:12]
    else:
        with open(source, "rb") as file:
            head = file.read(12)
    found = HEIF_BRANDS.get(head[8:]) if head[4:8] == b"ftyp" else None
    is_known = found is None or (found.startswith("AVIF") and "AVIF" in Image.OPEN)
    return "" if is_known else f". It is {found}: save it as JPEG or PNG"


def _levels(picture: Image.Image, file_format: str | None) -> NDArray[np.float64]:
    """Grey of any depth in [0, 1]."""
    values = np.asarray(picture).astype(np.float64)
    if picture.mode == "L":
        return values / 255
    if picture.mode in SIXTEEN_BITS or (picture.mode == "I" and file_format == "PNG"):
        return values / 65535  # Pillow gave 16 bits of a png as "I" for long
    if picture.mode == "I":
        raise MediaError("holds whole numbers of 32 bits, whose range it does not tell; save it with 8 or 16 bits")
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 1:
        raise MediaError(f"holds numbers from {values.min():g} to {values.max():g}; floating grey must be in 0..1")
    return values
