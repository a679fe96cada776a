"""The three layouts of a dataset, and how a clip of one becomes a case."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from motionstream_core.evaluation.clips.cases import Protocol, frame_indices, read_clip
from motionstream_core.evaluation.clips.datasets import find_footage
from motionstream_core.media.video_file import VideoFile
from tests.core.media.video_files import write_video


def picture(path: Path, grey: int, size: tuple[int, int] = (40, 20)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), grey, np.uint8)).save(path)


def video(path: Path, num_frames: int = 3, fps: float = 16) -> None:
    with VideoFile(path, fps) as file:
        file.push(torch.linspace(0, 1, num_frames).view(-1, 1, 1, 1).expand(-1, 16, 32, 3))


def test_davis_with_its_lists(tmp_path: Path) -> None:
    for clip in ("cow", "bear", "dance"):
        for frame in range(3):
            picture(tmp_path / f"JPEGImages/480p/{clip}/{frame:05}.jpg", 10 * frame)
    picture(tmp_path / "JPEGImages/Full-Resolution/bear/00000.jpg", 0)
    lists = tmp_path / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("bear\ndance\n", "utf-8-sig")  # as Windows' editors save it
    found = find_footage(tmp_path)
    assert [(each.name, each.layout, each.fps) for each in found] == [
        ("bear", "davis", 24.0),
        ("cow", "davis", 24.0),
        ("dance", "davis", 24.0),
    ]
    source, fps = found[1].open()
    assert (source.num_frames, source.height, source.width, fps) == (3, 20, 40, 24.0)
    assert source.read(1, 3).mean(axis=(1, 2, 3)).round().tolist() == [10, 20]
    assert [each.name for each in find_footage(tmp_path, "val")] == ["bear", "dance"]
    with pytest.raises(FileNotFoundError, match=r"ImageSets/\*/train\.txt"):
        find_footage(tmp_path, "train")


def test_videos_below_a_folder_with_captions(tmp_path: Path) -> None:
    for name in ("b.mp4", "deep/a.mp4", "deep/c.mp4"):
        video(tmp_path / name)
    (tmp_path / "b.txt").write_text("a  cat\n", "utf-8-sig")  # as Windows' editors save it
    (tmp_path / "captions.json").write_text(json.dumps({"deep_a": "a dog"}), "utf-8-sig")
    found = find_footage(tmp_path)
    assert [(each.name, each.caption) for each in found] == [("b", "a cat"), ("deep_a", "a dog"), ("deep_c", None)]
    assert found[0].open()[1] == 16
    (tmp_path / "captions.json").write_text(json.dumps({"deep_x": "a dog"}), "utf-8")
    with pytest.raises(ValueError, match="'deep_x', which is no clip"):
        find_footage(tmp_path)
    (tmp_path / "captions.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match="object of captions"):
        find_footage(tmp_path)
    (tmp_path / "captions.json").write_text("{", "utf-8")
    with pytest.raises(ValueError, match=r"captions\.json is no JSON"):
        find_footage(tmp_path)
    (tmp_path / "captions.json").unlink()
    (tmp_path / "b.txt").write_bytes(b"a c\xe2t")
    with pytest.raises(ValueError, match=r"b\.txt: this is no UTF-8"):
        find_footage(tmp_path)


def test_what_is_done_to_a_videos_frames_is_told(tmp_path: Path) -> None:
    grey = [np.full((32, 48, 3), 90, np.uint8)] * 3
    write_video(tmp_path / "a.mp4", grey, options={"x264-params": "transfer=arib-std-b67"})
    write_video(tmp_path / "b.mp4", grey)
    hdr, plain = find_footage(tmp_path)
    assert hdr.told() == ["HDR: its levels are taken as they are, paler than a player shows them"]
    assert plain.told() == []


def test_no_two_videos_share_a_name(tmp_path: Path) -> None:
    for name in ("a/b.mp4", "a_b.mp4", "c.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        video(tmp_path / name)
    assert sorted(each.name for each in find_footage(tmp_path)) == ["a__b.mp4", "a_b.mp4", "c"]
    video(tmp_path / "...mp4")  # its name without the suffix is the folder above
    with pytest.raises(ValueError, match="rename them"):
        find_footage(tmp_path)


def test_a_folder_of_nothing_says_what_it_may_hold(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"JPEGImages.*sparse/0.*\.mp4"):
        find_footage(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        find_footage(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="split 'val' is for DAVIS"):
        find_footage(tmp_path, "val")


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "JPEGImages/480p/a/0.jpg", 0)
    picture(tmp_path / "JPEGImages/480p/a/1.jpg", 0, (20, 20))
    (clip,) = find_footage(tmp_path)
    with pytest.raises(ValueError, match=r"1\.jpg is 20x20 px, the first picture 40x20"):
        clip.open()[0].read(0, 2)


def test_faster_footage_is_sampled_in_time() -> None:
    protocol = Protocol((16, 16), max_frames=6, fps=16.0)
    assert frame_indices(100, 24.0, protocol) == [0, 2, 3, 4, 6, 8]  # k * 1.5, halves to the even frame
    assert frame_indices(100, 32.0, protocol) == [0, 2, 4, 6, 8, 10]
    assert frame_indices(7, 32.0, protocol) == [0, 2, 4, 6]
    assert frame_indices(100, 8.0, protocol) == [0, 1, 2, 3, 4, 5]  # slower footage is not drawn out
    assert frame_indices(100, None, protocol) == [0, 1, 2, 3, 4, 5]
    assert frame_indices(100, 32.0, Protocol((16, 16), 6, None)) == [0, 1, 2, 3, 4, 5]


def test_a_case_is_cut_to_whole_chunks_and_cropped_about_its_middle(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 200  # the middle third is all that a square frame shows
    for frame in range(6):
        path = tmp_path / f"JPEGImages/480p/a/{frame}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(wide).save(path)
    (clip,) = find_footage(tmp_path)
    protocol = Protocol((10, 10), 81, None)
    frames, indices = read_clip(clip, protocol, lambda count: (count - 1) // 4 * 4 + 1)
    assert frames.shape == (5, 10, 10, 3) and indices == [0, 1, 2, 3, 4]
    assert frames.min() > 150 and (frames[:, :, 3:7] > 190).all()  # the filter reaches a little beyond the crop
    with pytest.raises(ValueError, match="it has 6 frames"):
        read_clip(clip, protocol, lambda count: 0)


def test_frames_may_be_spread_over_the_whole_clip(tmp_path: Path) -> None:
    """As the paper has DAVIS: first and last frame stay, the others stand evenly between them."""
    for frame in range(100):
        picture(tmp_path / f"JPEGImages/480p/bear/{frame:05}.jpg", 2 * frame)
    clip = find_footage(tmp_path)[0]
    protocol = Protocol((10, 10), 81, 16.0, spread=True)
    frames, indices = read_clip(clip, protocol, lambda n: 1 + 12 * ((n - 1) // 12))
    assert len(indices) == 73 and (indices[0], indices[-1]) == (0, 99)
    steps = np.diff(indices)
    assert set(steps.tolist()) == {1, 2} and abs(indices[36] - 49.5) <= 0.5
    assert frames[-1].mean() == pytest.approx(198, abs=2)
    short = Protocol((10, 10), 121, 16.0, spread=True)
    assert read_clip(clip, short, lambda n: n)[1] == list(range(100))
