"""Cameras from JSON: poses that say what the moves say, and all that is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from motionstream_core.tracks import TrackFormatError
from motionstream_core.tracks.camera.depth import DepthMap
from motionstream_core.tracks.camera.moves import Move
from motionstream_core.tracks.camera.parse import parse_camera
from motionstream_core.tracks.camera.path import CameraPath
from motionstream_core.tracks.camera.seen import camera_grid

STILL = np.eye(4).tolist()
FIRST = {"intrinsics": [80, 80, 40, 30], "camera_to_world": STILL}
DEPTH = DepthMap(np.linspace(3, 9, 4800).reshape(60, 80))


def as_poses(path: CameraPath, world: np.ndarray) -> list[dict[str, Any]]:
    """The path's cameras in a world whose own place is `world` (4 4), camera of the picture to world."""
    poses = []
    for k, rotation, centre in zip(path.intrinsics, path.rotation, path.centre, strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation, centre
        intrinsics = [[k[0], 0, k[2]], [0, k[1], k[3]], [0, 0, 1]]
        poses.append({"intrinsics": intrinsics, "camera_to_world": (world @ pose).tolist()})
    return poses


def test_poses_in_any_world_are_the_moves_they_came_from() -> None:
    path = CameraPath.at_rest(7, 60, 80).moved(
        [Move("orbit", 25, 0, 6), Move("dolly", 0.3, 0, 6, "ease_in"), Move("zoom", 1.4, 0, 6)], 5.0
    )
    world = np.eye(4)
    world[:3, :3] = CameraPath.at_rest(1, 1, 1).moved([Move("pan", 70, 0, 0), Move("roll", -33, 0, 0)]).rotation[0]
    world[:3, 3] = (100, -7, 3)
    read = parse_camera(json.dumps(as_poses(path, world)), 60, 80).poses
    assert read is not None
    expected, found = camera_grid(path, DEPTH, 6, 8), camera_grid(read, DEPTH, 6, 8)
    assert (expected.visibility == found.visibility).all()
    assert (expected.points - found.points).abs().max() < 0.01


def test_the_object_form_names_its_own_size_and_sparse_points() -> None:
    text = json.dumps(
        {"poses": [FIRST, {"camera_to_world": STILL[:3]}], "width": 80, "height": 60, "sparse_points": [[3, 4, 2.5]]}
    )
    read = parse_camera(text, 480, 832)
    assert read.poses is not None
    assert read.sparse is not None
    assert (read.poses.height, read.poses.width, read.poses.num_frames) == (60, 80, 2)
    assert read.poses.intrinsics.tolist() == [[80, 80, 40, 30]] * 2
    assert read.sparse.tolist() == [[3, 4, 2.5]]
    assert read.poses.rescaled(480, 832).intrinsics[1] == pytest.approx([832, 640, 416, 240])


def test_intrinsics_in_shares_of_the_frame_are_read_where_the_poses_say_so() -> None:
    shares = {"intrinsics": [0.5, 0.9, 0.5, 0.5], "camera_to_world": STILL}
    read = parse_camera(json.dumps({"poses": [shares], "width": 1, "height": 1}), 480, 832).poses
    assert read is not None
    assert read.rescaled(480, 832).intrinsics[0] == pytest.approx([416, 432, 416, 240])
    for value in ([shares], {"poses": [shares]}, {"poses": [shares], "width": 832, "height": 480}):
        for size in ((480, 832), (1, 1)):  # the node checks a text before it knows the video's size
            with pytest.raises(TrackFormatError, match=r"poses\[0\]|camera\[0\]") as caught:
                parse_camera(json.dumps(value), *size)
            assert "look like shares of the frame, not px; multiply fx and cx" in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_camera('\ufeff[{"move": "pan", "amount": 3, "start": 0, "duration": 9}]', 60, 80).moves


def test_a_list_of_moves() -> None:
    read = parse_camera('[{"move": "pan", "amount": 3, "start": 0, "duration": 9}]', 60, 80)
    assert read.moves == (Move("pan", 3, 0, 9),)
    assert read.poses is None
    assert parse_camera("[]", 60, 80).moves == ()


def changed(rows: list[list[float]], i: int, j: int, value: Any) -> Any:
    copy = [list(row) for row in rows]
    copy[i][j] = value
    return copy


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "camera: the text"),
        (3, "camera: 3: it must be a list"),
        ({}, "camera: field 'poses' is missing"),
        ({"poses": []}, "camera.poses: []: it must be a list of 1"),
        ({"poses": [FIRST], "fps": 3}, "field 'fps'"),
        ({"poses": [FIRST], "width": 80}, "width and height go together"),
        ({"poses": [FIRST], "width": 0, "height": 60}, "camera.width: 0"),
        ({"poses": [FIRST], "sparse_points": [[1, 2]]}, "camera.sparse_points[0]: [1, 2]"),
        ({"poses": [FIRST], "sparse_points": [[1, 2, 0]]}, "camera.sparse_points[0][2]: 0"),
        ([{"camera_to_world": STILL}], "camera[0]: field 'intrinsics' is missing"),
        ([FIRST, {"intrinsics": [80, 80, 40, 30]}], "camera[1]: field 'camera_to_world' is missing"),
        ([{**FIRST, "fov": 3}], "camera[0]: field 'fov'"),
        ([{**FIRST, "intrinsics": [80, 80]}], "camera[0].intrinsics: [80, 80]"),
        ([{**FIRST, "intrinsics": [80, -80, 40, 30]}], "camera[0].intrinsics[1]: -80"),
        ([{**FIRST, "intrinsics": [[80, 1, 40], [0, 80, 30], [0, 0, 1]]}], "a skew is not read"),
        ([{**FIRST, "camera_to_world": STILL[:2]}], "camera[0].camera_to_world: "),
        ([{**FIRST, "camera_to_world": changed(STILL, 3, 0, 2)}], "perhaps the matrix is transposed"),
        ([{**FIRST, "camera_to_world": changed(STILL, 0, 0, -1)}], "must be a rotation"),
        ([{**FIRST, "camera_to_world": changed(STILL, 1, 1, 1.01)}], "must be a rotation"),
        ([{**FIRST, "camera_to_world": changed(STILL, 1, 3, None)}], "camera[0].camera_to_world[1][3]: None"),
        ([FIRST, 3], "camera[1]: 3"),
        ([{"move": "pan"}], "camera[0]: field 'amount' is missing"),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(value: Any, words: str) -> None:
    with pytest.raises(TrackFormatError) as caught:
        parse_camera(value if isinstance(value, str) else json.dumps(value), 60, 80)
    assert words in str(caught.value)
