"""A COLMAP reconstruction, binary or text: cameras, photographs with their poses, and the points that they saw.

Format: colmap/colmap, src/colmap/scene/reconstruction_io (documented at colmap.github.io/format.html). Pixels are
continuous, the centre of the first at 0.5; a pose takes world points into the camera, x right, y down, z forward.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
# Number and name, with how the parameters give fx, fy, cx, cy; what follows them is distortion.
MODELS = {
    0: ("SIMPLE_PINHOLE", (0, 0, 1, 2)),
    1: ("PINHOLE", (0, 1, 2, 3)),
    2: ("SIMPLE_RADIAL", (0, 0, 1, 2)),
    3: ("RADIAL", (0, 0, 1, 2)),
    4: ("OPENCV", (0, 1, 2, 3)),
    6: ("FULL_OPENCV", (0, 1, 2, 3)),
}
NUM_PARAMETERS = {0: 3, 1: 4, 2: 4, 3: 5, 4: 8, 5: 8, 6: 12, 7: 5, 8: 4, 9: 5, 10: 12}


@dataclass(frozen=True)
class ColmapCamera:
    """intrinsics: fx, fy, cx, cy in px of `height` x `width`. distortion: what the lens does beside, () for nothing."""

    height: int
    width: int
    intrinsics: Array
    distortion: tuple[float, ...]


@dataclass(frozen=True)
class ColmapPhoto:
    """rotation (3 3) and translation (3) take the world into the camera. seen: indices of the points it saw."""

    name: str
    camera: ColmapCamera
    rotation: Array
    translation: Array
    seen: NDArray[np.int64]


@dataclass(frozen=True)
class Reconstruction:
    """photos in the order of their names; points (n 3) in the world."""

    photos: tuple[ColmapPhoto, ...]
    points: Array


def read_reconstruction(folder: str | Path) -> Reconstruction:
    """What lies in a folder such as `sparse/0`: cameras, images and points3D, as .bin or as .txt.

    Raises FileNotFoundError naming the file that is missing, ValueError for a camera that is no pinhole with a lens
    (fisheye models) and for files that break off.
    """
    folder = Path(folder)
    binary = (folder / "cameras.bin").is_file()
    suffix = ".bin" if binary else ".txt"
    paths = [folder / f"{name}{suffix}" for name in ("cameras", "images", "points3D")]
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"there is no {path}; a COLMAP model has cameras, images and points3D")
    try:
        cameras = dict(_cameras_bin(paths[0]) if binary else _cameras_txt(paths[0]))
        images = list(_images_bin(paths[1]) if binary else _images_txt(paths[1]))
        points = dict(_points_bin(paths[2]) if binary else _points_txt(paths[2]))
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"{folder} is no whole COLMAP model ({suffix}): {error!r}") from error
    index = {identity: place for place, identity in enumerate(points)}
    photos = []
    for name, camera, quaternion, translation, seen in sorted(images, key=lambda each: each[0]):
        if camera not in cameras:
            raise ValueError(f"{paths[1]}: {name} is of camera {camera}, which {paths[0].name} does not have")
        known = np.array(sorted({index[each] for each in seen if each in index}), np.int64)
        photos.append(ColmapPhoto(name, cameras[camera], _rotation(quaternion), np.array(translation), known))
    if not photos:
        raise ValueError(f"{paths[1]} names no photograph")
    return Reconstruction(tuple(photos), np.array(list(points.values()), np.float64).reshape(-1, 3))


def registered_names(folder: str | Path) -> list[str]:
    """The photographs that the reconstruction placed, in the order of their names."""
    return [photo.name for photo in read_reconstruction(folder).photos]


_Image = tuple[str, int, tuple[float, ...], tuple[float, ...], list[int]]


def _camera(model: int, width: int, height: int, parameters: tuple[float, ...]) -> ColmapCamera:
    if model not in MODELS:
        known = ", ".join(name for name, _ in MODELS.values())
        raise ValueError(f"camera model {model} is not known here; undistort the photographs first, known are {known}")
    _, order = MODELS[model]
    rest = parameters[max(order) + 1 :]
    return ColmapCamera(height, width, np.array([parameters[each] for each in order]), tuple(rest))


def _cameras_bin(path: Path) -> Iterator[tuple[int, ColmapCamera]]:
    data, at = path.read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", data)[0]):
        identity, model, width, height = struct.unpack_from("<iiQQ", data, at)
        count = NUM_PARAMETERS.get(model, 0)
        parameters = struct.unpack_from(f"<{count}d", data, at + 24)
        yield identity, _camera(model, width, height, parameters)
        at += 24 + 8 * count


def _cameras_txt(path: Path) -> Iterator[tuple[int, ColmapCamera]]:
    numbers = {name: number for number, (name, _) in MODELS.items()}
    for line in _lines(path):
        identity, name, width, height, *parameters = line.split()
        model = numbers.get(name)
        if model is None:
            raise ValueError(f"camera model {name} is not known here; undistort the photographs first")
        yield int(identity), _camera(model, int(width), int(height), tuple(map(float, parameters)))


def _images_bin(path: Path) -> Iterator[_Image]:
    data, at = path.read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", data)[0]):
        _, *pose, camera = struct.unpack_from("<i7di", data, at)
        end = data.find(b"\0", at + 64)
        name = data[at + 64 : end].decode("utf-8")
        count = struct.unpack_from("<Q", data, end + 1)[0]
        if end < 0 or end + 9 + 24 * count > len(data):
            raise IndexError(f"{path.name} ends within {name!r}")
        seen = np.frombuffer(data, np.dtype("<f8,<f8,<i8"), count, end + 9)["f2"]
        yield name, camera, tuple(pose[:4]), tuple(pose[4:]), [int(each) for each in seen]
        at = end + 9 + 24 * count


def _images_txt(path: Path) -> Iterator[_Image]:
    # the second line of a photograph, its points, may be empty
    lines = [line.strip() for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    for line, seen in zip(lines[::2], [*lines[1::2], ""], strict=False):
        if not line:
            continue
        _, *pose, camera, name = line.split(maxsplit=9)
        values = tuple(map(float, pose))
        yield name, int(camera), values[:4], values[4:], [int(each) for each in seen.split()[2::3]]


def _points_bin(path: Path) -> Iterator[tuple[int, tuple[float, ...]]]:
    data, at = path.read_bytes(), 8
    for _ in range(struct.unpack_from("<Q", data)[0]):
        identity, x, y, z = struct.unpack_from("<Q3d", data, at)
        count = struct.unpack_from("<Q", data, at + 43)[0]  # after the colour (3 bytes) and the error (8)
        yield identity, (x, y, z)
        at += 51 + 8 * count


def _points_txt(path: Path) -> Iterator[tuple[int, tuple[float, ...]]]:
    for line in _lines(path):
        identity, x, y, z = line.split(maxsplit=4)[:4]
        yield int(identity), (float(x), float(y), float(z))


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text("utf-8").splitlines() if line.strip() and not line.startswith("#")]


def _rotation(quaternion: tuple[float, ...]) -> Array:
    """(3 3) of w, x, y, z."""
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
