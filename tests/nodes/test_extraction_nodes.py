"""The nodes of motion transfer, without ComfyUI: what goes in, what comes out, what is refused, how it is stopped."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("cv2", reason="the tracker without weights needs OpenCV")

from motionstream_core.media.video_file import VideoFile
from tests.core.media.video_files import add_aperture, set_matrix, write_video
from tests.core.tracks.moving_pictures import noise_picture

from .conftest import FakeHost, Interrupt

Pack = Callable[[str], Any]
DEFAULTS = {
    "tracker": "opencv",
    "rows": 4,
    "columns": 6,
    "query_frame": 0,
    "coordinates": "",
    "checkpoint": "auto",
    "images_fps": 16.0,
}
PLACED = {"fit": "fit", "scale": 1.0, "rotation": 0.0, "offset_x": 0.0, "offset_y": 0.0}
TIMED = {"time": "stretch", "source_fps": 16.0, "fps": 16.0}


@pytest.fixture(scope="module")
def images() -> Tensor:
    """Seven frames of 64 x 96 px whose content moves by (2, 1) px a frame."""
    picture = noise_picture(100, 140)
    frames = [picture[20 - t : 84 - t, 30 - 2 * t : 126 - 2 * t] for t in range(7)]
    return torch.from_numpy(np.stack(frames)).float() / 255


@pytest.fixture
def extract(pack: Pack, host: FakeHost) -> Callable[..., tuple[Any, ...]]:
    node = pack("nodes.tracks.extract").MotionStreamExtractTracks
    return lambda **given: node.execute(**{**DEFAULTS, **given}).args


@pytest.fixture
def transfer(pack: Pack, host: FakeHost) -> Callable[..., tuple[Any, ...]]:
    node = pack("nodes.tracks.extract").MotionStreamTransferTracks
    sizes = {"source_width": 96, "source_height": 64, "width": 48, "height": 32, "length": 7}
    return lambda **given: node.execute(**{**sizes, **PLACED, **TIMED, **given}).args


def moved(path: Tensor, start: int = 0) -> Tensor:
    return path[start] + (torch.arange(7) - start)[:, None, None] * torch.tensor([2.0, 1.0])


def test_images_to_tracks(extract: Callable[..., Any], images: Tensor, host: FakeHost) -> None:
    payload, width, height, length, fps, report = extract(images=images)
    assert (width, height, length, fps) == (96, 64, 7, 16.0)
    path, seen = payload["track_path"], payload["track_visibility"]
    assert path.shape == (7, 24, 2) and path.dtype == torch.float32
    assert seen.shape == (7, 24) and seen.dtype == torch.bool
    assert path[0, :2].tolist() == [[8, 8], [24, 8]]
    assert (path - moved(path))[seen].norm(dim=-1).median() < 0.2
    assert "OpenCV" in report and "24 points" in report
    assert host.updates[-1][0] == 1000


def test_any_query_frame_mask_and_given_points(extract: Callable[..., Any], images: Tensor) -> None:
    mask = torch.zeros(1, 32, 48)
    mask[0, 10:20, 12:36] = 1  # of half the size: 24..71 x 20..39 px
    path = extract(images=images, query_frame=-1, mask=mask)[0]["track_path"]
    assert path.shape[1] == 24
    assert (path[6].amin(0) >= torch.tensor([24, 20])).all() and (path[6].amax(0) < torch.tensor([72, 40])).all()
    assert (path - moved(path, 6)).norm(dim=-1).median() < 0.2
    for text in ('[[{"x": 40.5, "y": 30}, {"x": 9, "y": 9}], [{"x": 20, "y": 50}]]', "[[40.5, 30], [20, 50]]"):
        path = extract(images=images, query_frame=3, coordinates=text)[0]["track_path"]
        assert path[3].tolist() == [[40.5, 30], [20, 50]]
    payload, *_, report = extract(images=images, query_frame=3, coordinates='[{"x": 0.25, "y": 0.5}]')
    assert payload["track_path"][3].tolist() == [[24, 32]] and (payload["track_width"], payload["track_height"]) == (
        96,
        64,
    )
    assert "coordinates: 1 point of 1 sample; units: normalised, assumed: 0..1 is the frame of 96 x 64 px" in report
    points = {
        "track_path": torch.tensor([[[30.0, 30.0], [50.0, 20.0]]]),
        "track_visibility": torch.tensor([[1.0, 0.0]]),
    }
    path = extract(images=images, query_frame=2, points=points)[0]["track_path"]
    assert path.shape[1] == 1 and path[2, 0].tolist() == [30, 30]
    # drawn on a picture cut to its middle: 64 of the 96 px
    payload, *_, report = extract(
        images=images, query_frame=2, points={**points, "track_width": 48, "track_height": 48}
    )
    assert payload["track_path"][2, 0].tolist() == [pytest.approx(16 + 30 * 4 / 3), 40]
    assert "points: made for 48 x 48 px, brought to 96 x 64 px (fit)" in report


def test_a_video_file_is_read_and_says_its_rate(
    extract: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    with VideoFile(tmp_path / "clip.mp4", 24, crf=4) as file:
        file.push(images)
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / "clip.mp4"))
    payload, width, height, length, fps, _ = extract(video=video)
    assert (width, height, length, fps) == (96, 64, 7, 24.0)
    path, seen = payload["track_path"], payload["track_visibility"]
    assert (path - moved(path))[seen].norm(dim=-1).median() < 0.3


def test_a_video_of_components_comes_from_the_host_and_says_that_it_has_no_times(
    extract: Callable[..., Any], images: Tensor
) -> None:
    components = types.SimpleNamespace(images=images, frame_rate=12)
    *_, length, fps, report = extract(video=types.SimpleNamespace(get_components=lambda: components))
    assert (length, fps) == (7, 12.0)
    assert "their times are not known here" in report


def test_oblong_pixels_are_square_in_the_tracks(
    extract: Callable[..., Any], transfer: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    """64 x 96 px of square pixels, stored with half as many columns; the host's own frames have those."""
    frames = (images * 255).to(torch.uint8).numpy()
    narrow = frames.reshape(7, 64, 48, 2, 3).mean(3).astype(np.uint8)
    write_video(tmp_path / "clip.mp4", list(narrow), pixel_aspect=Fraction(2))
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / "clip.mp4"))
    mask = torch.zeros(1, 64, 48)
    mask[0, 16:48, 12:36] = 1  # as the host's frames have it: 24..71 px as displayed
    payload, width, height, length, fps, report = extract(video=video, mask=mask)
    assert (width, height, length, fps) == (96, 64, 7, 16.0)
    path, seen = payload["track_path"], payload["track_visibility"]
    assert (path[0].amin(0) >= torch.tensor([24, 16])).all() and (path[0].amax(0) < torch.tensor([72, 48])).all()
    assert (path - moved(path))[seen].norm(dim=-1).median() < 0.3
    assert "pixels 2 times as wide as high" in report and "shown with 96 x 64 px" in report
    laid = transfer(tracks=payload, source_width=width, source_height=height, width=192, height=128)[0]["track_path"]
    step = (laid[6] - laid[0]).median(0).values
    torch.testing.assert_close(step, torch.tensor([24.0, 12.0]), atol=0.6, rtol=0)


def test_a_mask_of_the_hosts_frames_lies_right_on_a_mirrored_video(
    extract: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    """The host reads the angle that such a matrix makes and not the mirroring: it shows this one upside down."""
    path = write_video(tmp_path / "clip.mp4", list((images * 255).to(torch.uint8).numpy()))
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(set_matrix(path, -1, 0, 0, 1)))
    mask = torch.zeros(1, 64, 96)
    mask[0, 40:64, 0:32] = 1  # of the host's frames, turned by 180 degrees: as displayed above, and left still
    payload, *_, report = extract(video=video, mask=mask)
    first = payload["track_path"][0]
    assert (first.amax(0) < torch.tensor([32, 24])).all()
    assert "mirrored" in report
    moves = payload["track_path"] - first
    truth = torch.arange(7)[:, None, None] * torch.tensor([-2.0, 1.0])
    assert (moves - truth)[payload["track_visibility"]].norm(dim=-1).median() < 0.3


def test_a_mask_of_the_hosts_frames_lies_right_on_a_cropped_video(
    extract: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    """The host shows 96 x 64 px, of which the file's clean aperture keeps the right lower 64 x 40."""
    path = write_video(tmp_path / "clip.mp4", list((images * 255).to(torch.uint8).numpy()))
    add_aperture(path, [(64, 1), (40, 1), (16, 1), (12, 1)])
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(path))
    mask = torch.zeros(1, 64, 96)
    mask[0, 30:44, 50:70] = 1
    payload, width, height, *_, report = extract(video=video, mask=mask)
    first = payload["track_path"][0]
    low, high = torch.tensor([50 - 32, 30 - 24]), torch.tensor([70 - 32, 44 - 24])
    assert (width, height) == (64, 40) and len(first) and ((first >= low) & (first <= high)).all()
    assert "cropped as the file says: 32 px left, 24 above, 0 right and 0 below" in report


def test_an_uneven_video_gives_tracks_of_a_steady_rate(
    extract: Callable[..., Any], transfer: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    """Frames 0 to 3, 5 and 6 of 20 a second: the tracks have all seven, as far apart."""
    kept = [0, 1, 2, 3, 5, 6]
    frames = (images * 255).to(torch.uint8).numpy()[kept]
    write_video(tmp_path / "clip.mp4", list(frames), fps=20, times=[30 * number for number in kept])
    video = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / "clip.mp4"))
    payload, width, height, length, fps, report = extract(video=video)
    assert length == 7 and fps == pytest.approx(20) and "uneven times" in report
    path, seen = payload["track_path"], payload["track_visibility"]
    assert (path - moved(path))[seen].norm(dim=-1).median() < 0.3
    given = {"tracks": payload, "source_width": width, "source_height": height, "width": 96, "height": 64}
    seconds = transfer(**given, time="seconds", source_fps=fps, fps=10.0, length=4)[0]["track_path"]
    assert ((seconds[3] - seconds[0]).median(0).values - torch.tensor([12.0, 6.0])).abs().max() < 0.4
    preview = pack("nodes.tracks.footage").steady_images(video)
    assert preview[0].shape == (7, 64, 96, 3) and preview[1] == pytest.approx(20)


def test_a_trimmed_video_is_read_from_its_file(
    extract: Callable[..., Any], images: Tensor, pack: Pack, tmp_path: Path
) -> None:
    with VideoFile(tmp_path / "clip.mp4", 24, crf=4) as file:
        file.push(images)
    trimmed = pack("nodes.tracks.footage").InputImpl.VideoFromFile(str(tmp_path / "clip.mp4"))
    trimmed.get_active_trim_window = lambda: (2 / 24, 3 / 24)
    assert extract(video=trimmed)[3:5] == (3, 24.0)


def test_interrupt_stops_the_tracking(extract: Callable[..., Any], images: Tensor, host: FakeHost) -> None:
    host.interrupted = True
    with pytest.raises(Interrupt):
        extract(images=images)


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "connect either video or images"),
        ({"query_frame": 7}, "frames are 0 to 6"),
        ({"mask": torch.zeros(1, 64, 96)}, "mask is empty"),
        ({"mask": torch.ones(3, 64, 96), "query_frame": 5}, "one for each frame"),
        ({"coordinates": "[[1, 2"}, "coordinates: "),
        ({"coordinates": "[[[500, 2]]]"}, r"100% of the tracks \(1 of 1\) never lie inside the frame of 96 x 64 px"),
        ({"coordinates": "[[[5, 2]]]", "mask": torch.ones(1, 64, 96)}, "leave the mask out"),
        ({"points": {"path": 1}}, "points: TRACKS has the keys"),
        ({"tracker": "cotracker3 online"}, "scaled_online.pth.*CC BY-NC 4.0"),
    ],
)
def test_what_cannot_be_tracked_is_refused(
    extract: Callable[..., Any], images: Tensor, given: dict[str, Any], fault: str
) -> None:
    if given:
        given = {"images": images, **given}
    with pytest.raises((ValueError, FileNotFoundError), match=fault):
        extract(**given)


def test_a_missing_cotracker_says_how_to_get_it(
    extract: Callable[..., Any], images: Tensor, pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "cotracker", None)
    monkeypatch.setattr(pack("nodes.tracks.trackers").folder_paths, "get_full_path", lambda *_: str(tmp_path))
    with pytest.raises(ImportError, match="facebookresearch/co-tracker"):
        extract(images=images, tracker="cotracker3 offline")


def test_tracks_are_laid_over_another_image(transfer: Callable[..., Any]) -> None:
    path = torch.tensor([[[48.0, 32.0], [90.0, 60.0]]]) + torch.arange(3.0)[:, None, None]
    tracks = {"track_path": path, "track_visibility": torch.ones(3, 2)}
    payload, length = transfer(tracks=tracks)
    assert length == 7 and payload["track_path"].shape == (7, 2, 2)
    assert torch.allclose(payload["track_path"][:, 0, 0], 24 + torch.arange(7) / 6)  # half the size, over 7 frames
    mask = torch.zeros(1, 16, 24)
    mask[0, 6:10, 10:14] = 1
    assert transfer(tracks=tracks, mask=mask)[0]["track_path"][0].tolist() == [[24, 16]]
    turned = transfer(tracks=tracks, rotation=180.0, offset_x=2.0)[0]["track_path"]
    assert torch.allclose(turned[0, 1], torch.tensor([48 - 45 + 2.0, 32 - 30]), atol=1e-4)
    with pytest.raises(ValueError, match="check fit, scale and offset"):
        transfer(tracks=tracks, offset_x=500.0)
    with pytest.raises(ValueError, match="tracks: track_path"):
        transfer(tracks={"track_path": torch.zeros(3, 2)})
