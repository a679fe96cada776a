"""The camera test: COLMAP's files as their documentation has them, and tracks against cameras in closed form."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motionstream_core.evaluation.clips.cases import Protocol
from motionstream_core.evaluation.clips.colmap import read_reconstruction
from motionstream_core.evaluation.clips.datasets import find_footage, scene_photographs
from motionstream_core.evaluation.clips.scene_cases import scene_tracks

HEIGHT, WIDTH, FOCAL = 60, 80, 100.0
STEP = 0.1  # the camera goes right by this from photograph to photograph
POINTS = {7: (0.0, 0.0, 2.0), 9: (0.4, -0.2, 2.0), 12: (-0.5, 0.3, 4.0)}
SEEN = ([7, 9, 12], [7, 12], [7, 9])  # by each photograph
NAMES = ["a.png", "b.png", "c.png"]
PROTOCOL = Protocol((30, 40), 81, None, 4)


def pose(index: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Quaternion and translation of a camera at (STEP * index, 0, 0) that does not turn."""
    return (1.0, 0.0, 0.0, 0.0), (-STEP * index, 0.0, 0.0)


def write_text(folder: Path, model: str = "SIMPLE_PINHOLE", parameters: str = f"{FOCAL} 40 30") -> None:
    folder.mkdir(parents=True)
    (folder / "cameras.txt").write_text(f"# cameras\n1 {model} {WIDTH} {HEIGHT} {parameters}\n", "utf-8")
    lines = ["# images"]
    for index, name in enumerate(NAMES):
        values = " ".join(map(str, (*pose(index)[0], *pose(index)[1])))
        lines += [f"{index + 1} {values} 1 {name}", " ".join(f"1.0 2.0 {each}" for each in [*SEEN[index], -1])]
    (folder / "images.txt").write_text("\n".join(lines) + "\n", "utf-8")
    points = [f"{identity} {x} {y} {z} 255 0 0 0.5 1 0" for identity, (x, y, z) in POINTS.items()]
    (folder / "points3D.txt").write_text("# points\n" + "\n".join(points) + "\n", "utf-8")


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True)
    camera = struct.pack("<iiQQ3d", 1, 0, WIDTH, HEIGHT, FOCAL, 40, 30)
    (folder / "cameras.bin").write_bytes(struct.pack("<Q", 1) + camera)
    images = struct.pack("<Q", 3)
    for index, name in enumerate(NAMES):
        images += struct.pack("<i7di", index + 1, *pose(index)[0], *pose(index)[1], 1) + name.encode() + b"\0"
        observed = [*SEEN[index], -1]
        images += struct.pack("<Q", len(observed)) + b"".join(struct.pack("<ddq", 1.0, 2.0, each) for each in observed)
    (folder / "images.bin").write_bytes(images)
    points = struct.pack("<Q", len(POINTS))
    for identity, place in POINTS.items():
        points += struct.pack("<Q3d3BdQ", identity, *place, 255, 0, 0, 0.5, 1) + struct.pack("<ii", 1, 0)
    (folder / "points3D.bin").write_bytes(points)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    write_text(tmp_path / "fern" / "sparse" / "0")
    (tmp_path / "fern" / "images").mkdir()
    for name in [*NAMES, "unplaced.png"]:
        Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(tmp_path / "fern" / "images" / name)
    return tmp_path / "fern"


def test_text_and_binary_say_the_same(tmp_path: Path) -> None:
    write_text(tmp_path / "text")
    write_binary(tmp_path / "binary")
    for folder in ("text", "binary"):
        read = read_reconstruction(tmp_path / folder)
        assert [photo.name for photo in read.photos] == NAMES
        assert read.points.tolist() == [list(place) for place in POINTS.values()]
        photo = read.photos[2]
        assert photo.seen.tolist() == [0, 1] and photo.translation.tolist() == [-0.2, 0, 0]
        assert np.array_equal(photo.rotation, np.eye(3))
        assert photo.camera.intrinsics.tolist() == [FOCAL, FOCAL, 40, 30] and photo.camera.distortion == ()


def test_a_quaternion_turns_as_colmap_says(tmp_path: Path) -> None:
    write_text(tmp_path / "text")
    half = np.sqrt(0.5)
    file = tmp_path / "text" / "images.txt"
    file.write_text(file.read_text("utf-8").replace("1 1.0 0.0 0.0 0.0", f"1 {half} 0 0 {half}", 1), "utf-8")
    # a quarter turn about z takes x to y
    turned = read_reconstruction(tmp_path / "text").photos[0].rotation @ np.array([1.0, 0, 0])
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-12)


def test_a_model_that_is_not_whole_or_not_known_is_refused(tmp_path: Path) -> None:
    write_text(tmp_path / "a")
    (tmp_path / "a" / "points3D.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"points3D\.txt"):
        read_reconstruction(tmp_path / "a")
    write_text(tmp_path / "b", "OPENCV_FISHEYE", "1 1 1 1 0 0 0 0")
    with pytest.raises(ValueError, match="OPENCV_FISHEYE is not known"):
        read_reconstruction(tmp_path / "b")
    write_binary(tmp_path / "c")
    file = tmp_path / "c" / "images.bin"
    file.write_bytes(file.read_bytes()[:150])
    with pytest.raises(ValueError, match="no whole COLMAP model"):
        read_reconstruction(tmp_path / "c")
    write_text(tmp_path / "d")
    file = tmp_path / "d" / "images.txt"
    file.write_text(file.read_text("utf-8").replace(f" 1 {NAMES[0]}", f" 7 {NAMES[0]}"), "utf-8")
    with pytest.raises(ValueError, match="is of camera 7"):
        read_reconstruction(tmp_path / "d")


@pytest.mark.parametrize("name", ["../secret.png", "/secret.png"])
def test_photographs_stay_in_their_folder(scene: Path, name: str) -> None:
    file = scene / "sparse" / "0" / "images.txt"
    if not file.is_file():
        (scene / "sparse" / "0" / "images.bin").rename(scene / "unused.bin")
        for kind in ("cameras", "points3D"):
            (scene / "sparse" / "0" / f"{kind}.bin").unlink()
        (scene / "sparse" / "0").rmdir()
        write_text(scene / "sparse" / "0")
    file.write_text(file.read_text("utf-8").replace(NAMES[0], name), "utf-8")
    with pytest.raises(ValueError, match="lies outside"):
        scene_photographs(scene)


def test_photographs_are_those_that_colmap_placed(scene: Path) -> None:
    assert [path.name for path in scene_photographs(scene)] == NAMES
    (found,) = find_footage(scene.parent)
    assert (found.name, found.layout) == ("fern", "scenes") and found.open()[0].num_frames == 3
    assert find_footage(scene)[0].name == "fern"
    (scene / "images" / "b.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks b\.png"):
        scene_photographs(scene)
    for name in ("a.png", "c.png"):
        (scene / "images" / name).unlink()
    for number in range(2):  # LLFF's reduced folders have names of their own, and as many pictures
        Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(scene / "images" / f"image{number}.png")
    assert [path.name for path in scene_photographs(scene)] == ["image0.png", "image1.png", "unplaced.png"]


def test_without_depth_the_reconstructions_points_are_the_tracks(scene: Path) -> None:
    (found,) = find_footage(scene)
    tracks, notes = scene_tracks(found, [0, 1, 2], PROTOCOL)
    assert "no depth map" in notes[0] and (tracks.height, tracks.width) == (30, 40)
    for frame in range(3):
        for index, (x, y, z) in enumerate(POINTS.values()):
            # half size: focal length 50, middle (20, 15)
            expected = [20 + 50 * (x - STEP * frame) / z, 15 + 50 * y / z]
            np.testing.assert_allclose(tracks.points[frame, index].numpy(), expected, rtol=1e-5)
    assert tracks.visibility.tolist() == [[True, True, True], [True, False, True], [True, True, False]]


def test_a_crop_moves_the_cameras_middle(scene: Path) -> None:
    (found,) = find_footage(scene)
    tracks, _ = scene_tracks(found, [0, 1], Protocol((60, 60), 81, None, 4))
    # ten px are cut off at either side; what lies within 30 px of the middle is left
    np.testing.assert_allclose(tracks.points[0].numpy(), [[30, 30], [50, 20], [17.5, 37.5]], rtol=1e-5)


def test_with_depth_a_grid_moves_by_parallax(scene: Path) -> None:
    """A wall at 2 on the right and one at 4 on the left, in a unit of its own; the points give the scale."""
    depth = np.where(np.arange(WIDTH)[None] < WIDTH // 2, 4.0, 2.0).repeat(HEIGHT, 0) * 7.5
    (scene / "depth").mkdir()
    np.save(scene / "depth" / "a.npy", depth)
    (found,) = find_footage(scene)
    tracks, notes = scene_tracks(found, [0, 2], PROTOCOL)
    assert "depth from a.npy, scaled by 3 points" in notes
    assert tracks.num_tracks == 16
    start, moved = tracks.points[0], tracks.points[1] - tracks.points[0]
    z = np.where(start[:, 0].numpy() < 20, 4.0, 2.0)
    np.testing.assert_allclose(moved[:, 0].numpy(), -50 * 2 * STEP / z, rtol=1e-4)
    assert moved[:, 1].abs().max() < 1e-4


def test_a_picture_of_depth_is_inverse_and_knows_no_scale(scene: Path) -> None:
    (scene / "depth").mkdir()
    near = np.where(np.arange(WIDTH)[None] < WIDTH // 2, 40, 200).repeat(HEIGHT, 0)  # 1 / z = 1/4 and 1/2
    Image.fromarray(near.astype(np.uint8)).save(scene / "depth" / "a.png")
    (found,) = find_footage(scene)
    tracks, _ = scene_tracks(found, [0, 2], PROTOCOL)
    moved = tracks.points[1, :, 0] - tracks.points[0, :, 0]
    z = np.where(tracks.points[0, :, 0].numpy() < 20, 4.0, 2.0)
    np.testing.assert_allclose(moved.numpy(), -50 * 2 * STEP / z, rtol=1e-4)


def test_distortion_is_named(tmp_path: Path, scene: Path) -> None:
    cameras = scene / "sparse" / "0" / "cameras.txt"
    cameras.write_text(f"1 SIMPLE_RADIAL {WIDTH} {HEIGHT} {FOCAL} 40 30 0.02\n", "utf-8")
    _, notes = scene_tracks(find_footage(scene)[0], [0, 1], PROTOCOL)
    assert "distortion is not applied" in notes[0]
