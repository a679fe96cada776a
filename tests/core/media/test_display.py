"""Videos as a player shows them: turned, mirrored, with oblong pixels, interlaced, transparent.

The truth is drawn as displayed; what is stored is made of it by Pillow, or by hand.
"""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, features

from motionstream_core.media.display import over
from motionstream_core.media.faults import MediaError
from motionstream_core.media.video import VideoFrames, video_info
from tests.core.media.video_files import set_matrix, write_video

MATRICES = [
    # what the matrix does to a stored picture, by Pillow's name; None: nothing
    ((1, 0, 0, 1), None, []),
    ((0, 1, -1, 0), Image.Transpose.ROTATE_270, ["turned by 90 degrees"]),
    ((-1, 0, 0, -1), Image.Transpose.ROTATE_180, ["turned by 180 degrees"]),
    ((0, -1, 1, 0), Image.Transpose.ROTATE_90, ["turned by 270 degrees"]),
    ((-1, 0, 0, 1), Image.Transpose.FLIP_LEFT_RIGHT, ["mirrored"]),
    ((1, 0, 0, -1), Image.Transpose.FLIP_TOP_BOTTOM, ["turned by 180 degrees", "mirrored"]),
    ((0, 1, 1, 0), Image.Transpose.TRANSPOSE, ["turned by 270 degrees", "mirrored"]),
    ((0, -1, -1, 0), Image.Transpose.TRANSVERSE, ["turned by 90 degrees", "mirrored"]),
]

NAMES = {1: "bt709", 16: "smpte2084", 18: "arib-std-b67"}


def stored() -> np.ndarray:
    """48 x 32 px, each corner of another grey."""
    image = np.full((32, 48, 3), 128, np.uint8)
    image[:16, :24], image[:16, 24:], image[16:, :24] = 20, 90, 220
    return image


@pytest.mark.parametrize(("matrix", "transpose", "told"), MATRICES)
def test_turns_and_mirrors(
    tmp_path: Path, matrix: tuple[int, int, int, int], transpose: Image.Transpose | None, told: list[str]
) -> None:
    video = VideoFrames(set_matrix(write_video(tmp_path / "a.mp4", [stored()] * 3), *matrix))
    picture = Image.fromarray(stored())
    expected = np.asarray(picture if transpose is None else picture.transpose(transpose))
    assert (video.height, video.width) == expected.shape[:2]
    assert np.abs(video.read(1, 3).astype(int) - expected).max() <= 4
    assert video.display.told() == told


def test_other_angles_are_refused(tmp_path: Path) -> None:
    path = set_matrix(write_video(tmp_path / "a.mp4", [stored()]), 0.866, 0.5, -0.5, 0.866)
    with pytest.raises(MediaError, match=r"a\.mp4 is to be shown turned by -?30 degrees; only right angles"):
        VideoFrames(path)


def disc(height: int, width: int, pixel_aspect: float = 1.0) -> np.ndarray:
    """A disc of 10 px radius in the middle of a picture of square pixels, stored with oblong ones."""
    y, x = np.mgrid[:height, :width]
    inside = ((x + 0.5) * pixel_aspect - width * pixel_aspect / 2) ** 2 + (y + 0.5 - height / 2) ** 2 <= 100
    return np.where(inside[..., None], 230, 20).astype(np.uint8).repeat(3, axis=2)


@pytest.mark.parametrize(("aspect", "turned"), [(Fraction(2), False), (Fraction(1, 2), False), (Fraction(2), True)])
def test_pixels_are_square(tmp_path: Path, aspect: Fraction, turned: bool) -> None:
    path = write_video(tmp_path / "a.mp4", [disc(48, 64, float(aspect))], pixel_aspect=aspect)
    path = set_matrix(path, 0, 1, -1, 0) if turned else path
    video = VideoFrames(path)
    wide = int(64 * aspect)
    assert (video.height, video.width) == ((wide, 48) if turned else (48, wide))
    bright = np.argwhere(video.read(0, 1)[0, ..., 0] > 125)
    assert np.abs(np.ptp(bright, axis=0) - 19).max() <= 2  # as wide as high
    assert (video_info(path).width, video_info(path).height) == (wide, 48)
    assert video.display.told()[-1] == f"pixels {float(aspect):g} times as wide as high"


def test_interlaced_frames_show_one_field(tmp_path: Path) -> None:
    """A bar that is 8 px further on in the lower field: without its comb, and where the upper field has it."""
    frames = []
    for number in range(6):
        image = np.full((64, 96, 3), 30, np.uint8)
        left = 10 + 4 * number
        image[0::2, left : left + 12], image[1::2, left + 8 : left + 20] = 220, 220
        frames.append(image)
    path = write_video(tmp_path / "a.mp4", frames, options={"x264-params": "tff=1", "bf": "0"})
    video = VideoFrames(path)
    assert "interlaced" in video.display.told()[0]
    shown = video.read(0, 6)[..., 1].astype(int)
    for number, image in enumerate(shown):
        bar = np.flatnonzero(image[32] > 125)
        assert abs(bar[0] - (10 + 4 * number)) <= 1 and abs(bar[-1] - (21 + 4 * number)) <= 1
        assert np.abs(np.diff(image[4:-4], axis=0)).max() < 40  # a comb would be 190


def test_lines_between_fields_are_where_they_belong(tmp_path: Path) -> None:
    """A ramp from top to bottom keeps its place: no half line up or down."""
    ramp = np.repeat(np.arange(20, 148, 2, dtype=np.uint8)[:, None, None], 96, axis=1).repeat(3, axis=2)
    path = write_video(tmp_path / "a.mp4", [ramp] * 3, options={"x264-params": "tff=1", "bf": "0"})
    shown = VideoFrames(path).read(0, 1)[0].astype(int)
    assert np.abs(shown[4:-4] - ramp[4:-4]).mean() < 0.7


def test_motion_jpeg_with_exif(tmp_path: Path) -> None:
    """Its frames bring side data of a kind that PyAV does not know."""
    exif = Image.Exif()
    exif[0x010E] = "a description"
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=16)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuvj420p"
        for number in range(3):
            content = io.BytesIO()
            Image.fromarray(stored()).save(content, "JPEG", exif=exif, quality=98)
            packet = av.Packet(content.getvalue())
            packet.pts = packet.dts = number
            packet.time_base, packet.stream, packet.is_keyframe = Fraction(1, 16), stream, True
            container.mux(packet)
    video = VideoFrames(tmp_path / "a.avi")
    assert video.num_frames == 3 and video.display.told() == []
    assert np.abs(video.read(0, 1)[0, 4:12, 4:20].astype(int) - 20).max() <= 4


@pytest.mark.parametrize(("curve", "told"), [(1, False), (16, True), (18, True)])
def test_hdr_is_said(tmp_path: Path, curve: int, told: bool) -> None:
    path = write_video(tmp_path / "a.mp4", [stored()], options={"x264-params": f"transfer={NAMES[curve]}"})
    assert ("HDR" in "".join(VideoFrames(path).display.told())) == told


@pytest.mark.parametrize("name", ["a.gif", "a.png"])
def test_animations_are_read_with_their_own_times_and_opaque(tmp_path: Path, name: str) -> None:
    pictures = [Image.new("RGBA", (32, 24), (200, 0, 0, 0)) for _ in range(4)]
    for number, picture in enumerate(pictures):
        picture.paste((0, 0, 250, 255), (4 + 5 * number, 8, 10 + 5 * number, 16))
    pictures[0].save(
        tmp_path / name, save_all=True, append_images=pictures[1:], duration=[100, 50, 200, 100], disposal=2
    )
    video = VideoFrames(tmp_path / name)
    assert video.times_s == pytest.approx([0, 0.1, 0.15, 0.35])
    frames = video.read(0, 4)
    for number, frame in enumerate(frames):
        assert frame[12, 6 + 5 * number].tolist() == [0, 0, 250]
        assert frame[2, 2].tolist() == [255, 255, 255]  # not the red that is hidden there


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("default", [None, 0, 1])
def test_of_two_videos_the_one_that_the_file_says_to_show(tmp_path: Path, suffix: str, default: int | None) -> None:
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        streams = [container.add_stream("libx264", rate=16) for _ in range(2)]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 48 + 48 * number, 32, "yuv420p"
            stream.disposition = av.stream.Disposition(1 if number == default else 0)
        for stream in streams:
            grey = np.full((32, stream.width, 3), 90, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    assert VideoFrames(tmp_path / f"a.{suffix}").width == 48 + 48 * (default or 0)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow writes no AVIF")
def test_an_animated_avif_moves_and_a_still_one_is_no_video(tmp_path: Path) -> None:
    """An animated one holds its first picture as a still as well, in a stream before the one that moves."""
    pictures = [Image.new("RGB", (64, 48), (40 + 50 * number, 90, 90)) for number in range(4)]
    pictures[0].save(tmp_path / "a.avif", save_all=True, append_images=pictures[1:], duration=[100, 50, 200, 100])
    video = VideoFrames(tmp_path / "a.avif")
    assert video.times_s == pytest.approx([0, 0.1, 0.15, 0.35])
    assert np.abs(video.read(0, 4)[:, 20, 20, 0] - (40 + 50 * np.arange(4))).max() <= 4
    pictures[0].save(tmp_path / "still.avif")
    with pytest.raises(MediaError, match=r"still\.avif has no video in it, only still pictures"):
        VideoFrames(tmp_path / "still.avif")


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_transparent_webm_shows_white_and_not_what_it_hides(tmp_path: Path, codec: str) -> None:
    """As browsers record and show them: the right part opaque, another one in every frame, the rest red and hidden."""
    number_of_frames = 70  # read by a seek, too
    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream(codec, rate=16, options={"auto-alt-ref": "0", "g": "20"})
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 96, 64, "yuva420p", 2_000_000
        for number in range(number_of_frames):
            rgba = np.full((64, 96, 4), (200, 30, 30, 0), np.uint8)
            rgba[:, 48:] = (30, 30 + 3 * number, 200, 255)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgba, format="rgba")))
        container.mux(stream.encode())
    video = VideoFrames(tmp_path / "a.webm")
    assert video.num_frames == number_of_frames
    for start in (0, 60, 30):
        frames = video.read(start, start + 4).astype(int)
        assert np.abs(frames[:, 4:60, 4:40] - 255).max() <= 2
        expected = [[[[30, 30 + 3 * number, 200]]] for number in range(start, start + 4)]
        assert np.abs(frames[:, 4:60, 56:92] - expected).max() <= 12


def test_alpha_over_a_colour() -> None:
    rgba = np.array([[[10, 200, 90, 0], [10, 200, 90, 255], [10, 200, 90, 128]]], np.uint8)
    expected = [[[50, 60, 70], [10, 200, 90], [30, 130, 80]]]
    np.testing.assert_allclose(over(rgba, (50, 60, 70)), expected, atol=1)
