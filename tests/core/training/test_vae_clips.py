"""Clips of the tiny VAE's training: the same whenever they are asked for, and videos that tell which frame was read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from motionstream_core.media.video import VideoInfo, video_info
from motionstream_core.media.video_file import VideoFile
from motionstream_core.training.data.vae_clips import (
    CropShape,
    VaeClip,
    VideoCrops,
    WorldCrops,
    clip_batches,
    frames_at,
)
from motionstream_core.training.data.video_scan import hold_out, scan_videos
from tests.core.media.video_files import write_video


class Numbers:
    """Clip i is a frame of the value i."""

    def __getitem__(self, index: int) -> VaeClip:
        return VaeClip(torch.full((3, 1, 8, 8), float(index)), (index,))


def test_world_crops_are_the_same_whenever_they_are_asked() -> None:
    shape = CropShape(5, 32)
    crops, again = WorldCrops(shape, (1, 0, 0), seed=3), WorldCrops(shape, (1, 0, 0), seed=3)
    first = {index: crops[index].frames for index in (0, 1, 5, 2)}
    for index in (5, 0, 2, 1):
        assert torch.equal(again[index].frames, first[index])
    assert first[0].shape == (3, 5, 32, 32) and 0 <= first[0].min() < first[0].max() <= 1
    assert not torch.equal(first[0], first[1]) and not torch.equal(first[0], first[5])
    assert not torch.equal(first[0], WorldCrops(shape, (1, 0, 0), seed=4)[0].frames)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_are_dealt_out_by_number_alone(num_workers: int) -> None:
    def dealt(mine: range, first_step: int, count: int) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        batches = clip_batches(Numbers(), 4, 2, mine, first_step, num_workers)
        for _, (step, micro, clip) in zip(range(count), batches, strict=False):
            assert clip.frames[:, 0, 0, 0, 0].tolist() == list(clip.index)
            yield step, micro, clip.index

    assert list(dealt(range(0, 2), 3, 3)) == [(3, 0, (12, 13)), (3, 1, (14, 15)), (4, 0, (16, 17))]
    assert list(dealt(range(1, 2), 0, 2)) == [(0, 1, (2, 3)), (1, 1, (6, 7))]


# --- videos

SIDE = 64


def write_test_video(path: Path, num_frames: int, size_px: int = SIDE, fps: float = 25.0) -> None:
    """Frame i shows the bits of i as bright cells, four in a row, two rows."""
    frames = torch.full((num_frames, size_px, size_px, 3), 0.1)
    for index in range(num_frames):
        for bit in range(8):
            if index >> bit & 1:
                x, y = bit % 4 * size_px // 4, bit // 4 * size_px // 2
                frames[index, y : y + size_px // 2, x : x + size_px // 4] = 0.9
    with VideoFile(path, fps) as file:
        file.push(frames)


def numbers_of(frames: NDArray[np.uint8]) -> list[int]:
    """Which frames of `write_test_video` these whole frames (t h w 3) are."""
    cells = frames.reshape(len(frames), 2, SIDE // 2, 4, SIDE // 4, 3).mean((2, 4, 5)).reshape(len(frames), 8)
    return [int(sum(int(bright) << bit for bit, bright in enumerate(row))) for row in cells > 127]


def test_frames_are_those_nearest_to_the_times(tmp_path: Path) -> None:
    write_test_video(tmp_path / "a.mp4", 60)
    video = video_info(tmp_path / "a.mp4")
    assert (video.width, video.height, video.fps) == (SIDE, SIDE, 25.0)
    assert video.last_s == pytest.approx(59 / 25)
    for first_s in (0.0, 0.61, 1.5):
        times = first_s + np.arange(9) / 16
        expected = [int(np.argmin(np.abs(np.arange(60) / 25 - time))) for time in times]
        assert numbers_of(frames_at(video.path, times)) == expected
    assert numbers_of(frames_at(video.path, np.array([59 / 25]))) == [59]
    assert numbers_of(frames_at(video.path, np.array([0.2, 0.2, 0.21]))) == [5, 5, 5]
    with pytest.raises(ValueError, match=r"a\.mp4 ends at 2\.36 s; a clip up to 2\.90 s"):
        frames_at(video.path, np.array([2.3, 2.9]))


def test_crops_of_videos_are_pieces_of_their_frames_and_the_same_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_test_video(tmp_path / f"{name}.mp4", 40)
    videos = scan_videos(tmp_path, 16, 0.0).videos
    whole = {video.path: frames_at(video.path, np.arange(40) / 25) for video in videos}
    crops, again = (VideoCrops(videos, CropShape(5, 16), 25.0, seed=2) for _ in range(2))
    places = set()
    for index in (0, 3, 1, 2):
        crop = (crops[index].frames.permute(1, 2, 3, 0).numpy() * 255).round().astype(np.uint8)
        found = [
            (path.name, start, y, x)
            for path, frames in whole.items()
            for start in range(36)
            for y in range(SIDE - 15)
            for x in range(SIDE - 15)
            if np.array_equal(crop[0, 0], frames[start, y, x : x + 16])
            and np.array_equal(crop, frames[start : start + 5, y : y + 16, x : x + 16])
        ]
        assert found, index
        places.add(found[0])
    assert len(places) == 4
    assert all(torch.equal(again[index].frames, crops[index].frames) for index in (2, 0))
    other = VideoCrops(videos, CropShape(5, 16), 25.0, seed=3)
    assert not torch.equal(other[0].frames, crops[0].frames)


def test_a_scan_says_what_it_leaves_out_and_why(tmp_path: Path) -> None:
    write_test_video(tmp_path / "deep" / "good.mp4", 30)
    write_test_video(tmp_path / "small.mp4", 30, size_px=16)
    write_test_video(tmp_path / "brief.mp4", 5)
    (tmp_path / "broken.mp4").write_bytes(b"no video at all")
    (tmp_path / "notes.txt").write_text("none either")
    scan = scan_videos(tmp_path, 32, 20 / 25)
    assert [video.path.name for video in scan.videos] == ["good.mp4"]
    reasons = {path.name: reason for path, reason in scan.skipped}
    assert reasons.keys() == {"small.mp4", "brief.mp4", "broken.mp4"}
    assert "16 x 16 px, needs 32" in reasons["small.mp4"]
    assert "0.16 s" in reasons["brief.mp4"] and "0.80" in reasons["brief.mp4"]
    assert "is no video that can be read" in reasons["broken.mp4"]
    assert scan.report().startswith("1 videos, 3 skipped\n") and scan.report().count("\n") == 3
    assert [video.path.name for video in scan_videos(tmp_path, 32, 29 / 25).videos] == ["good.mp4"]
    with pytest.raises(ValueError, match=r"no video in .* can be used: 0 videos, 4 skipped"):
        scan_videos(tmp_path, 65, 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no videos in .*empty; known are \.mp4"):
        scan_videos(tmp_path / "empty", 32, 0)


def test_a_video_that_breaks_off_is_replaced_with_one_warning(tmp_path: Path) -> None:
    write_test_video(tmp_path / "a.mp4", 30)
    good = video_info(tmp_path / "a.mp4")
    lying = VideoInfo(tmp_path / "a.mp4", SIDE, SIDE, 25.0, last_s=90.0)  # a header that promises more
    shape = CropShape(5, 16)
    crops = VideoCrops((lying, good), shape, 25.0, seed=0)
    with pytest.warns(UserWarning, match=r"a\.mp4 is left out: it ends at") as warned:
        frames = [crops[index].frames for index in range(6)]
    assert len(warned) == 1 and all(each.shape == (3, 5, 16, 16) for each in frames)
    with pytest.warns(UserWarning):
        again = VideoCrops((lying, good), shape, 25.0, seed=0)
        assert all(torch.equal(again[index].frames, frames[index]) for index in reversed(range(6)))
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="none of the 1 videos"):
        [VideoCrops((lying,), shape, 25.0, seed=0)[index] for index in range(6)]
    with pytest.raises(ValueError, match="no videos"):
        VideoCrops((), shape, 25.0, seed=0)


def test_videos_are_held_out_by_their_place() -> None:
    videos = tuple(VideoInfo(Path(str(index)), 1, 1, 1.0, 1.0) for index in range(120))
    training, held = hold_out(videos)
    assert [video.path.name for video in held] == ["0", "50", "100"]
    assert {*training, *held} == {*videos} and len(training) == 117
    assert [len(part) for part in hold_out(videos[:2])] == [1, 1]
    with pytest.raises(ValueError, match="at least 2"):
        hold_out(videos[:1])


def test_a_scan_names_what_is_in_hdr(tmp_path: Path) -> None:
    for name, transfer in (("plain", "bt709"), ("pq", "smpte2084"), ("hlg", "arib-std-b67")):
        grey = [np.full((32, 32, 3), 90, np.uint8)] * 3
        write_video(tmp_path / f"{name}.mp4", grey, options={"x264-params": f"transfer={transfer}"})
    first, told, *named = scan_videos(tmp_path, 16, 0.0).report().split("\n")
    assert first == "3 videos, 0 skipped" and told.startswith("2 in HDR, whose levels are taken as they are")
    assert [Path(each.strip()).name for each in named] == ["hlg.mp4", "pq.mp4"]
