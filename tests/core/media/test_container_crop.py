"""Crops that a container states: the box and the elements are written by hand, the truth is cut out by slices."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motionstream_core.media.container_crop import Crop, crop_of
from motionstream_core.media.video import VideoFrames, video_info
from tests.core.media.video_files import add_aperture, add_pixel_crop, set_matrix, write_video

LEFT, TOP, RIGHT, BOTTOM = 7, 3, 12, 5
APERTURE = [(48 - LEFT - RIGHT, 1), (32 - TOP - BOTTOM, 1), (LEFT - RIGHT, 2), (TOP - BOTTOM, 2)]


def stored() -> np.ndarray:
    """48 x 32 px of smooth, different edges."""
    y, x = np.mgrid[:32, :48]
    return np.stack([4 * x + 20, 6 * y + 20, 200 - 2 * x - 2 * y], axis=-1).astype(np.uint8)


def kept() -> np.ndarray:
    return stored()[TOP : 32 - BOTTOM, LEFT : 48 - RIGHT]


@pytest.mark.parametrize("kind", ["mp4", "mp4, index first", "mov", "mkv"])
def test_a_crop_is_applied(tmp_path: Path, kind: str) -> None:
    path = write_video(tmp_path / f"a.{kind[:3]}", [stored()] * 5, faststart="first" in kind)
    if kind == "mkv":
        add_pixel_crop(path, left=LEFT, top=TOP, right=RIGHT, bottom=BOTTOM)
    else:
        add_aperture(path, APERTURE)
    for source in (path, io.BytesIO(path.read_bytes())):
        video = VideoFrames(source)
        assert (video.height, video.width) == kept().shape[:2]
        assert np.abs(video.read(0, 5).astype(int) - kept()).max() <= 6
        assert video.display.told() == ["cropped as the file says: 7 px left, 3 above, 12 right and 5 below"]
    assert (video_info(path).height, video_info(path).width) == kept().shape[:2]


def test_before_a_turn_and_before_pixels_are_made_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [stored()], pixel_aspect=Fraction(2))
    video = VideoFrames(set_matrix(add_aperture(path, APERTURE), 0, 1, -1, 0))
    wide = Image.fromarray(kept()).resize((58, 24), Image.Resampling.BILINEAR).transpose(Image.Transpose.ROTATE_270)
    assert (video.height, video.width) == (58, 24)
    assert np.abs(video.read(0, 1)[0].astype(int) - np.asarray(wide))[2:-2].max() <= 8
    assert (video_info(path).width, video_info(path).height) == (58, 24)


@pytest.mark.parametrize(
    ("aperture", "edges"),
    [
        ([(48, 1), (32, 1), (0, 1), (0, 1)], Crop()),  # all of it, as many cameras write
        ([(40, 1), (32, 1), (0, 1), (0, 1)], Crop(4, 0, 4, 0)),
        ([(80, 2), (64, 2), (-8, 2), (0, 7)], Crop(0, 0, 8, 0)),
        ([(41, 1), (31, 1), (1, 2), (-1, 2)], Crop(4, 0, 3, 1)),
        ([(60, 1), (32, 1), (0, 1), (0, 1)], Crop()),  # more than there is
        ([(40, 1), (32, 1), (9, 1), (0, 1)], Crop()),  # beyond the right edge
        ([(40, 0), (32, 1), (0, 1), (0, 1)], Crop()),
        ([(0, 1), (32, 1), (0, 1), (0, 1)], Crop()),
    ],
)
def test_edges_of_an_aperture(tmp_path: Path, aperture: list[tuple[int, int]], edges: Crop) -> None:
    path = add_aperture(write_video(tmp_path / "a.mp4", [stored()]), aperture)
    with path.open("rb") as file:
        file.seek(11)
        assert crop_of(file, 0) == edges and file.tell() == 11
        assert crop_of(file, 1) == Crop()
    assert VideoFrames(path).read(0, 1).shape[1:3] == (32 - edges.top - edges.bottom, 48 - edges.left - edges.right)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_whatever_is_broken_has_no_crop(tmp_path: Path, suffix: str) -> None:
    whole = write_video(tmp_path / f"a.{suffix}", [stored()])
    content = (
        add_aperture(whole, APERTURE) if suffix == "mp4" else add_pixel_crop(whole, left=LEFT, top=TOP)
    ).read_bytes()
    random = np.random.default_rng(0)
    found = set()
    for _ in range(400):
        broken = bytearray(content[: random.integers(1, len(content))])
        for place in random.integers(0, min(len(broken), 900), 5):
            broken[place] = random.integers(256)
        found.add(crop_of(io.BytesIO(bytes(broken)), 0))
    assert Crop() in found
    assert crop_of(io.BytesIO(b"\x00\x00\x00\x08free" * 300_000), 0) == Crop()
    assert crop_of(io.BytesIO(b"\x1aE\xdf\xa3\x80" + b"\xec\x80" * 300_000), 0) == Crop()
