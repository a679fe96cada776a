"""Cameras from JSON: a list of moves, or of intrinsics and camera-to-world poses. docs/camera.md has the forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..easing import EASINGS
from ..spline import Array
from ..strict_json import choice, count, decoded, fail, fields_of, items_of, number
from ..tracks import TrackFormatError
from .moves import AMOUNTS, MAX_SEED, MOVES, Move
from .path import CameraPath

MAX_MOVES = 100
MAX_POSES = 100_000
UNIT_FRAME = (1, 1)
"""The frame that poses name whose intrinsics are shares of it."""
MIN_FOCAL_PX = 10
"""No picture's focal length is shorter; that of shares is about 1."""
_FAR = 1e9
_ROTATION_ERROR = 1e-3
"""How far R^T R of a pose may be from the identity, entry by entry; poses are rounded when they are written."""


@dataclass(frozen=True)
class CameraFile:
    """What a camera's JSON holds: moves, or poses with perhaps the depths of some points of the picture.

    sparse: (k 3) x and y in px of the poses' frame and depth along z, in the unit of the poses (COLMAP's, say).
    """

    moves: tuple[Move, ...] = ()
    poses: CameraPath | None = None
    sparse: Array | None = None


def parse_camera(text: str, height: int, width: int) -> CameraFile:
    """The CameraFile that `text` spells. Intrinsics are px of `height` x `width`, unless the text names a size.

    Forms: [] or a list of moves {"move", ...}; a list of poses {"intrinsics", "camera_to_world"}; or an object
    {"poses": [...], "width", "height", "sparse_points": [[x, y, depth], ...]}.
    Raises TrackFormatError naming field, value and remedy for everything else.
    """
    value = decoded(text, "camera")
    if isinstance(value, dict):
        return _file(fields_of(value, "camera", ("poses",), ("width", "height", "sparse_points")), height, width)
    if isinstance(value, list) and value and isinstance(value[0], dict) and "move" not in value[0]:
        return CameraFile(poses=_poses(value, "camera", height, width))
    return CameraFile(moves=read_moves(value))


def read_moves(value: Any, place: str = "camera") -> tuple[Move, ...]:
    """The moves of a decoded list: a list of its own, or the layer `camera` of a trajectory document.

    Raises TrackFormatError naming field, value and remedy for anything else.
    """
    moves = tuple(items_of(value, place, _move))
    if len(moves) > MAX_MOVES:
        fail(place, len(moves), f"at most {MAX_MOVES} moves can be combined; leave some out", "number of moves ")
    return moves


def _move(value: Any, place: str) -> Move:
    kind = value.get("move") if isinstance(value, dict) else None
    fields = fields_of(
        value, place, ("move", "amount", "start", "duration"), ("seed",) if kind == "handheld" else ("easing",)
    )
    kind = choice(fields["move"], f"{place}.move", MOVES)
    return Move(
        kind,
        number(fields["amount"], f"{place}.amount", *AMOUNTS[kind]),
        number(fields["start"], f"{place}.start", -1e6, 1e6),
        number(fields["duration"], f"{place}.duration", 0, 1e6),
        choice(fields.get("easing", "linear"), f"{place}.easing", EASINGS),
        count(fields.get("seed", 0), f"{place}.seed", MAX_SEED, low=0),
    )


def _file(fields: dict[str, Any], height: int, width: int) -> CameraFile:
    if ("width" in fields) != ("height" in fields):
        raise TrackFormatError("camera: width and height go together; give both or neither")
    if "width" in fields:
        width = count(fields["width"], "camera.width", 16_384)
        height = count(fields["height"], "camera.height", 16_384)
    sparse = items_of(fields.get("sparse_points", []), "camera.sparse_points", _sparse)
    are_shares = "width" in fields and (height, width) == UNIT_FRAME
    poses = _poses(fields["poses"], "camera.poses", height, width, are_shares)
    return CameraFile(poses=poses, sparse=np.array(sparse) if sparse else None)


def _poses(value: Any, place: str, height: int, width: int, are_shares: bool = False) -> CameraPath:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_POSES:
        fail(place, value, f"it must be a list of 1 to {MAX_POSES} poses")
    intrinsics, poses = [], []
    for index, each in enumerate(value):
        at = f"{place}[{index}]"
        fields = fields_of(each, at, ("camera_to_world",), ("intrinsics",))
        if "intrinsics" in fields:
            intrinsics.append(_intrinsics(fields["intrinsics"], f"{at}.intrinsics", are_shares))
        elif index:
            intrinsics.append(intrinsics[-1])
        else:
            raise TrackFormatError(f"{at}: field 'intrinsics' is missing; the first pose must have it")
        poses.append(_pose(fields["camera_to_world"], f"{at}.camera_to_world"))
    return CameraPath.from_poses(np.array(intrinsics), np.array(poses), height, width)


def _intrinsics(value: Any, place: str, are_shares: bool) -> list[float]:
    """fx, fy, cx, cy from that list, or from the rows of K; in px, unless they are said to be shares of the frame."""
    if not isinstance(value, list) or len(value) not in (3, 4):
        fail(place, value, "give [fx, fy, cx, cy] in px, or the three rows of K")
    if len(value) == 3:
        k = [_row(row, f"{place}[{i}]", 3) for i, row in enumerate(value)]
        if k[0][1] or k[1][0] or k[2] != [0.0, 0.0, 1.0]:
            fail(place, value, "K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]; a skew is not read")
        value = [k[0][0], k[1][1], k[0][2], k[1][2]]
    limits = ((1e-3, 1e6), (1e-3, 1e6), (-1e6, 1e6), (-1e6, 1e6))
    numbers = [number(each, f"{place}[{i}]", *limits[i]) for i, each in enumerate(value)]
    if not are_shares and max(numbers[:2]) < MIN_FOCAL_PX and all(0 <= each <= 1 for each in numbers[2:]):
        fail(
            place,
            value,
            "these look like shares of the frame, not px; multiply fx and cx by the picture's width, fy and cy by its "
            'height, or name their frame: {"poses": [...], "width": 1, "height": 1}',
        )
    return numbers


def _pose(value: Any, place: str) -> Array:
    """(4 4), its rotation made exact."""
    if not isinstance(value, list) or len(value) not in (3, 4):
        fail(place, value, "give three or four rows of four numbers")
    rows = np.array([_row(row, f"{place}[{i}]", 4) for i, row in enumerate(value)])
    if len(rows) == 4 and rows[3].tolist() != [0.0, 0.0, 0.0, 1.0]:
        fail(f"{place}[3]", value[3], "the last row must be [0, 0, 0, 1]; perhaps the matrix is transposed")
    rotation = rows[:3, :3]
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > _ROTATION_ERROR or np.linalg.det(rotation) < 0:
        fail(place, rotation.round(4).tolist(), "its first three columns must be a rotation: of length 1, right-angled")
    left, _, right = np.linalg.svd(rotation)
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = left @ right, rows[:3, 3]
    return pose


def _row(value: Any, place: str, length: int) -> list[float]:
    if not isinstance(value, list) or len(value) != length:
        fail(place, value, f"a row has {length} numbers")
    return [number(each, f"{place}[{i}]", -_FAR, _FAR) for i, each in enumerate(value)]


def _sparse(value: Any, place: str) -> list[float]:
    if not isinstance(value, list) or len(value) != 3:
        fail(place, value, "a sparse point is [x, y, depth]")
    x, y = (number(each, f"{place}[{i}]", -1e6, 1e6) for i, each in enumerate(value[:2]))
    return [x, y, number(value[2], f"{place}[2]", 1e-9, _FAR)]
