"""The camera's nodes without a host: what comes out for a camera, a depth and objects, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

Pack = Callable[[str], Any]
WIDTH, HEIGHT, LENGTH = 80, 60, 9
NODES = ("MotionStreamCameraMove", "MotionStreamCameraFromJSON", "MotionStreamCameraTracks")


def move(pack: Pack, kind: str, amount: float, camera: Any = None, **changes: Any) -> Any:
    inputs = {"start": 0, "duration": LENGTH - 1, "easing": "linear", "shake_seed": 0, **changes}
    return pack("nodes.camera.moves").MotionStreamCameraMove.execute(kind, amount, camera=camera, **inputs).args[0]


def read(pack: Pack, value: Any, camera: Any = None, easing: str = "linear") -> Any:
    text = value if isinstance(value, str) else json.dumps(value)
    return pack("nodes.camera.moves").MotionStreamCameraFromJSON.execute(text, easing, camera).args[0]


def run(pack: Pack, camera: Any, **changes: Any) -> tuple[Any, ...]:
    inputs = {
        "width": WIDTH,
        "height": HEIGHT,
        "length": LENGTH,
        "rows": 6,
        "columns": 8,
        "depth_kind": "near is bright",
        "near": 1.0,
        "far": 8.0,
        "fov": 2 * math.degrees(math.atan(0.5)),
        "distance": 0.0,
        "pose_scale": 1.0,
        "occlusion": True,
        "tolerance": 0.05,
        "clearance": 12.0,
        "fit": "crop",
        **changes,
    }
    return pack("nodes.camera.tracks").MotionStreamCameraTracks.execute(camera, **inputs).args


def points(result: tuple[Any, ...]) -> np.ndarray:
    return result[0]["track_path"].numpy()


def depth_of(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float()[None, :, :, None].expand(-1, -1, -1, 3)


def test_every_socket_explains_itself_and_no_id_is_there_twice(pack: Pack) -> None:
    for name in NODES:
        module = pack("nodes.camera.tracks" if name.endswith("Tracks") else "nodes.camera.moves")
        schema = getattr(module, name).define_schema()
        sockets = [*schema.inputs, *schema.outputs]
        assert all(len(socket.fields["tooltip"]) > 10 for socket in sockets)
        assert len({socket.id for socket in sockets}) == len(sockets)
        assert getattr(module, name) in pack("nodes").NODES


def test_a_truck_on_a_plane(pack: Pack) -> None:
    tracks, text, report = run(pack, move(pack, "truck", 0.1))
    path, seen = tracks["track_path"], tracks["track_visibility"]
    assert (path.dtype, seen.dtype, path.shape) == (torch.float32, torch.bool, (9, 48, 2))
    shift = -0.1 * 80 * np.arange(9)[:, None] / 8  # a focal length of 80 px
    assert np.abs(path[:, :, 0].numpy() - path[0, :, 0].numpy() - shift).max() < 0.01
    assert path[0, :3].tolist() == [[5, 5], [15, 5], [25, 5]]
    assert (seen == (path[..., 0] >= 0)).all()
    lists = json.loads(text)
    assert [len(lists), len(lists[0]), lists[47][0]["v"]] == [48, 9, 1]
    assert (
        report == "48 points over 9 frames of 80 x 60 px; 100% can be seen at first, 88% at the end, 88% at the least"
    )


def test_chained_moves_are_the_moves_of_one_list(pack: Pack) -> None:
    shake = {"move": "handheld", "amount": 2, "start": 0, "duration": 8, "seed": 5}
    chained = move(pack, "handheld", 2, move(pack, "pan", 8, easing="ease_in"), shake_seed=5, easing="ease_out")
    listed = read(
        pack, [{"move": "pan", "amount": 8, "start": 0, "duration": 8, "easing": "ease_in"}], read(pack, [shake])
    )
    assert np.abs(points(run(pack, chained)) - points(run(pack, listed))).max() < 1e-4
    assert np.abs(points(run(pack, chained)) - points(run(pack, move(pack, "pan", 8)))).max() > 1


def test_depth_makes_parallax_and_hides(pack: Pack) -> None:
    """Near is bright: the left half at 1, the right half at 8; in the middle ninth the near half counts as much."""
    values = np.where(np.arange(WIDTH) < 40, 1.0, 0.0) * np.ones((HEIGHT, 1))
    for given in ({"depth": depth_of(values)}, {"depth_mask": torch.from_numpy(values)[None]}):
        result = run(pack, move(pack, "truck", -0.25), distance=1.0, **given)
        shift = (points(result)[-1] - points(result)[0])[:, 0]
        near = points(result)[0, :, 0] < 40
        assert shift[near] == pytest.approx(np.full(24, 20.0), abs=0.01)
        assert shift[~near] == pytest.approx(np.full(24, 2.5), abs=0.01)
        seen = result[0]["track_visibility"][-1].numpy()
        assert seen[near].all()
        assert (seen[~near] == (points(result)[-1, ~near, 0] > 60)).all()
        free = run(pack, move(pack, "truck", -0.25), distance=1.0, occlusion=False, **given)
        assert free[0]["track_visibility"].all()


def test_the_unit_of_a_move_is_the_middle_of_the_picture(pack: Pack) -> None:
    values = np.full((HEIGHT, WIDTH), 1.0)
    values[20:40, 26:54] = 4.0
    found = run(pack, move(pack, "truck", 0.25), depth=depth_of(values), depth_kind="metric", occlusion=False)
    middle = np.abs(points(found)[0] - (40, 30)).max(axis=1) < 10
    assert (points(found)[-1] - points(found)[0])[middle, 0] == pytest.approx(-20, abs=0.01)
    other = run(pack, move(pack, "truck", 0.25), depth=depth_of(values), depth_kind="metric", distance=2.0)
    assert (points(other)[-1] - points(other)[0])[middle, 0] == pytest.approx(-10, abs=0.01)


def test_a_depth_of_another_shape_is_cut_like_the_picture(pack: Pack) -> None:
    """A map twice as wide as the video's shape: crop keeps its middle, stretch all of it."""
    values = np.where(np.arange(160) < 80, 1.0, 2.0) * np.ones((60, 1))
    values[:, :40] = 9.0
    crop, stretch = (
        points(run(pack, move(pack, "truck", 0.1), depth=depth_of(values), depth_kind="metric", distance=1.0, fit=fit))
        for fit in ("crop", "stretch")
    )
    assert (crop[-1] - crop[0])[0, 0] == pytest.approx(-8, abs=0.01)
    assert (stretch[-1] - stretch[0])[0, 0] == pytest.approx(-8 / 9, abs=0.01)


def test_objects_go_under_the_camera_and_clear_the_grid(pack: Pack) -> None:
    x = torch.linspace(30, 40, LENGTH)
    drawn = {"track_path": torch.stack([x, torch.full_like(x, 30)], dim=-1)[:, None]}
    tracks, _, _ = run(pack, move(pack, "truck", 0.1), objects=drawn)
    alone = run(pack, move(pack, "truck", 0.1), rows=0, objects=drawn)[0]
    assert (alone["track_path"][:, 0] == tracks["track_path"][:, 0]).all()
    assert alone["track_path"][:, 0, 0].numpy() == pytest.approx(x.numpy() - np.arange(9), abs=0.01)
    grid = tracks["track_path"][:, 1:]
    away = (grid[0] - torch.tensor([30.0, 30.0])).norm(dim=-1)
    assert grid.shape[1] == 48 - 4  # four points of the grid, 10 px apart, lie within 12 px of (30, 30)
    assert away.min() > 12
    hidden = (grid - tracks["track_path"][:, :1]).norm(dim=-1) < 12
    assert hidden.any()
    assert not tracks["track_visibility"][:, 1:][hidden].any()
    assert run(pack, move(pack, "truck", 0.1), objects=drawn, clearance=0.0)[0]["track_path"].shape[1] == 49
    mask = torch.zeros(1, 120, 160)
    mask[:, :60] = 1  # the upper half
    masked = run(pack, move(pack, "truck", 0.1), object_mask=mask)[0]["track_path"]
    assert masked.shape[1] == 24
    assert masked[0, :, 1].min() > 30


def poses(scale: float) -> list[dict[str, Any]]:
    made = []
    for x in (0.0, 1.0, 2.0):
        pose = np.eye(4)
        pose[0, 3] = x * scale
        made.append({"intrinsics": [80, 80, 40, 30], "camera_to_world": pose.tolist()})
    return made


def test_poses_are_spread_over_the_video_and_take_moves(pack: Pack) -> None:
    found = points(run(pack, read(pack, poses(1)), distance=10.0))
    assert (found[:, 0, 0] - 5) == pytest.approx(-16 * np.arange(9) / 8, abs=0.01)
    eased = points(run(pack, read(pack, poses(1), easing="ease_in"), distance=10.0))
    assert (eased[:, 0, 0] - 5) == pytest.approx(-16 * (np.arange(9) / 8) ** 2, abs=0.01)
    back = points(run(pack, move(pack, "truck", -0.2, read(pack, poses(1))), distance=10.0))
    assert np.abs(back - back[0]).max() < 0.01
    scaled = points(run(pack, read(pack, poses(0.1)), distance=10.0, pose_scale=10.0))
    assert np.abs(scaled - found).max() < 0.01
    larger = {"poses": poses(1), "width": 40, "height": 30}  # the same px mean twice the angle
    assert points(run(pack, read(pack, larger), distance=10.0))[-1, 0, 0] - 5 == pytest.approx(-32, abs=0.01)


def test_sparse_points_set_the_depths_scale(pack: Pack) -> None:
    values = np.where(np.arange(WIDTH) < 40, 0.8, 0.3) * np.ones((HEIGHT, 1))  # 1 / z = 0.5 v + 0.1
    sparse = [[10, 10, 2.0], [70, 10, 4.0], [12, 50, 2.0]]
    camera = read(pack, {"poses": poses(0.5), "sparse_points": sparse})
    found = points(run(pack, camera, depth=depth_of(values)))
    shift = (found[-1] - found[0])[:, 0]
    near = found[0, :, 0] < 40
    assert shift[near] == pytest.approx(-40, abs=0.01)
    assert shift[~near] == pytest.approx(-20, abs=0.01)


def test_what_is_wrong_is_said(pack: Pack) -> None:
    nodes = pack("nodes.camera.moves")
    plain, values = move(pack, "pan", 3), depth_of(np.full((HEIGHT, WIDTH), 0.5))
    assert "amount: 0: for zoom" in nodes.MotionStreamCameraMove.validate_inputs("zoom", 0)
    assert nodes.MotionStreamCameraMove.validate_inputs("zoom", 2.0) is True
    assert nodes.MotionStreamCameraMove.validate_inputs("pan", None) is True
    said = nodes.MotionStreamCameraFromJSON.validate_inputs('[{"move": "fly", "amount": 1, "start": 0, "duration": 1}]')
    assert said.startswith("text: camera[0].move: 'fly'")
    assert nodes.MotionStreamCameraFromJSON.validate_inputs("[]") is True
    with pytest.raises(ValueError, match=r"text: the text '\{' is not JSON"):
        read(pack, "{")
    with pytest.raises(ValueError, match="two lists"):
        read(pack, poses(1), read(pack, poses(1)))
    with pytest.raises(ValueError, match="connect one"):
        run(pack, plain, depth=values, depth_mask=values[..., 0])
    with pytest.raises(ValueError, match=r"depth: shape \(2, 60, 80\)"):
        run(pack, plain, depth=values.expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match="depth: the depth has values from 4 to 4"):
        run(pack, plain, depth=values * 8)
    with pytest.raises(ValueError, match="objects: they have 3 frames, length is 9"):
        run(pack, plain, objects={"track_path": torch.zeros(3, 1, 2)})
    with pytest.raises(ValueError, match="objects: track_path"):
        run(pack, plain, objects={"track_path": torch.zeros(3, 1)})


def test_a_cancel_ends_it(pack: Pack, host: Any) -> None:
    values = np.where(np.arange(WIDTH) < 40, 1.0, 0.0) * np.ones((HEIGHT, 1))
    camera = move(pack, "truck", 0.1)
    run(pack, camera, depth=depth_of(values))
    assert [done for done, _ in host.updates] == [*range(1, LENGTH + 1), LENGTH]
    host.interrupted = True
    with pytest.raises(BaseException) as caught:
        run(pack, camera, depth=depth_of(values))
    assert type(caught.value).__name__ == "Interrupt"


def test_nothing_to_show(pack: Pack) -> None:
    tracks, text, report = run(pack, pack("nodes.camera.moves").Camera(), rows=0)
    assert (tracks["track_path"].shape, text, report) == ((9, 0, 2), "[]", "no points")
