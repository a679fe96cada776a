"""Camera motion as tracks: closed forms of every move, poses against moves, depth's scale, objects under the camera."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from motionstream_core.tracks import Canvas, Document, Tracks, parse_document
from motionstream_core.tracks.camera.depth import DepthMap
from motionstream_core.tracks.camera.moves import Move
from motionstream_core.tracks.camera.path import CameraPath
from motionstream_core.tracks.camera.seen import camera_grid, camera_tracks, seen_by_camera

HEIGHT, WIDTH, FOV = 120, 200, 70.0
FOCAL = 100 / math.tan(math.radians(35))
MIDDLE = np.array([100.0, 60.0])
LAYERS = json.loads((Path(__file__).parents[3] / "data" / "camera.json").read_text("utf-8"))["valid"]
DEPTH = DepthMap.constant(4.0)
TOLERANCE_PX = 0.01


def at_rest(num_frames: int = 9) -> CameraPath:
    return CameraPath.at_rest(num_frames, HEIGHT, WIDTH, FOV)


def moved(kind: str, amount: float, easing: str = "linear", distance: float = 4.0) -> CameraPath:
    return at_rest().moved([Move(kind, amount, 0, 8, easing)], distance)


def seen(path: CameraPath, depth: DepthMap, *points: tuple[float, float]) -> np.ndarray:
    """Px (t n 2); every point must be visible throughout."""
    tracks = camera_tracks(path, depth, torch.tensor(points))
    assert tracks.visibility.all()
    return tracks.points.numpy()


def test_pan_of_a_plane() -> None:
    """A point at an angle a from the axis is seen at a - pan, whatever its depth."""
    for depth in (DEPTH, DepthMap(np.linspace(1, 30, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH))):
        found = seen(moved("pan", 20), depth, (150.0, 60.0), (120.0, 60.0))
        for n, x in enumerate((150.0, 120.0)):
            angle = math.atan((x - 100) / FOCAL) - np.radians(20) * np.arange(9) / 8
            assert np.abs(found[:, n, 0] - (100 + FOCAL * np.tan(angle))).max() < TOLERANCE_PX
            assert np.abs(found[:, n, 1] - 60).max() < TOLERANCE_PX


def test_tilt_is_a_pan_of_the_other_axis() -> None:
    found = seen(moved("tilt", 15, "ease_in"), DEPTH, (100.0, 40.0))[:, 0]
    angle = math.atan(20 / FOCAL) - np.radians(15) * (np.arange(9) / 8) ** 2
    assert np.abs(found[:, 1] - (60 - FOCAL * np.tan(angle))).max() < TOLERANCE_PX


def test_roll_turns_the_picture_the_other_way() -> None:
    found = seen(moved("roll", 90), DEPTH, (130.0, 70.0))[:, 0] - MIDDLE
    angle = -np.radians(90) * np.arange(9) / 8
    expected = [np.array([30 * np.cos(a) - 10 * np.sin(a), 30 * np.sin(a) + 10 * np.cos(a)]) for a in angle]
    assert np.abs(found - expected).max() < TOLERANCE_PX


def test_dolly_by_depth() -> None:
    """Half the way to distance 4 is 2 forward: a point at z grows by z / (z - 2)."""
    distance = np.where(np.arange(WIDTH) < 100, 4.0, 10.0) * np.ones((HEIGHT, 1))
    path = moved("dolly", 0.5)
    found = camera_tracks(path, DepthMap(distance), torch.tensor([[80.0, 50.0], [140.0, 75.0]]), occlusion=False)
    gone = 2 * np.arange(9) / 8
    for n, (z, x, y) in enumerate(((4.0, -20.0, -10.0), (10.0, 40.0, 15.0))):
        expected = MIDDLE + np.array([x, y]) * (z / (z - gone))[:, None]
        assert np.abs(found.points[:, n].numpy() - expected).max() < TOLERANCE_PX


def test_truck_and_pedestal_move_near_things_more() -> None:
    distance = np.where(np.arange(WIDTH) < 100, 4.0, 16.0) * np.ones((HEIGHT, 1))
    for kind, direction in (("truck", (-1, 0)), ("pedestal", (0, 1))):
        found = seen(moved(kind, 0.1), DepthMap(distance), (80.0, 50.0), (140.0, 75.0))
        for n, z in enumerate((4.0, 16.0)):
            shift = 0.4 * np.arange(9)[:, None] / 8 * FOCAL / z * np.array(direction)
            assert np.abs(found[:, n] - found[0, n] - shift).max() < TOLERANCE_PX


def test_orbit_about_a_point() -> None:
    """The point stays; another of the plane comes to turn about the vertical through it, by the angle of orbit."""
    found = seen(moved("orbit", 50), DEPTH, (100.0, 60.0), (115.0, 60.0), (100.0, 42.0))
    assert np.abs(found[:, 0] - MIDDLE).max() < TOLERANCE_PX
    angle, side = np.radians(50) * np.arange(9) / 8, 15 / FOCAL * 4
    x, z = side * np.cos(angle), 4 - side * np.sin(angle)
    assert np.abs(found[:, 1, 0] - (100 + FOCAL * x / z)).max() < TOLERANCE_PX
    assert np.abs(found[:, 2] - (100.0, 42.0)).max() < TOLERANCE_PX  # on the axis, so at its distance


def test_zoom_and_the_dolly_zoom() -> None:
    found = seen(moved("zoom", 2), DEPTH, (120.0, 50.0))[:, 0] - MIDDLE
    assert np.abs(found - np.array([20.0, -10.0]) * (2 ** (np.arange(9) / 8))[:, None]).max() < TOLERANCE_PX
    both = at_rest().moved([Move("dolly", -1, 8, 0), Move("zoom", 2, 8, 0)], 4.0)  # twice as far, twice as long
    assert np.abs(seen(both, DEPTH, (120.0, 50.0)) - (120.0, 50.0)).max() < TOLERANCE_PX


def test_a_plane_at_the_default_view_is_the_editors_layer() -> None:
    """The same moves by unprojection at another distance, against the homography's independent vectors."""
    for case in LAYERS:
        document = parse_document(json.dumps(case["document"]), Canvas(1, 1, 1, 1))
        canvas = document.canvas
        path = CameraPath.at_rest(canvas.num_frames, canvas.height, canvas.width).moved(document.camera, 7.5)
        drawn = Document(canvas, document.tracks).sample()
        found = seen_by_camera(drawn, path, DepthMap.constant(7.5))
        expected = np.array(case["points"], dtype=float).reshape(found.points.shape)
        both = found.visibility.numpy()
        inside = ((expected >= 0) & (expected < (canvas.width, canvas.height))).all(axis=-1)
        assert (both == (inside & np.array(case["visibility"], dtype=bool).reshape(both.shape))).all(), case["name"]
        assert np.abs(found.points.numpy() - expected)[both].max(initial=0) < TOLERANCE_PX, case["name"]


def test_objects_keep_their_motion_under_the_camera() -> None:
    """A drawn step of d px at z stays d px under a truck, is d z / (z - gone) under a dolly; hidden stays hidden."""
    start = torch.tensor([[[60.0, 60.0], [97.0, 60.0]]])
    steps = torch.arange(9.0)[:, None, None] * torch.tensor([1.5, -0.5])
    visibility = torch.ones(9, 2, dtype=torch.bool)
    visibility[:3, 1] = False  # first seen at frame 3, right of x = 100
    visibility[6, 0] = False
    tracks = Tracks(start + steps, visibility, HEIGHT, WIDTH, torch.tensor([5, 9]))
    depth = DepthMap(np.where(np.arange(WIDTH) < 100, 4.0, 10.0) * np.ones((HEIGHT, 1)))
    truck = seen_by_camera(tracks, moved("truck", 0.2), depth)
    assert (truck.visibility == visibility).all()
    assert truck.ids.tolist() == [5, 9]
    for n, z in enumerate((4.0, 10.0)):
        shift = -0.8 * np.arange(9) / 8 * FOCAL / z
        assert np.abs((truck.points - tracks.points)[:, n, 0].numpy() - shift).max() < TOLERANCE_PX
    dolly = seen_by_camera(tracks, moved("dolly", 0.5), depth).points.numpy()
    growth = 10 / (10 - 2 * np.arange(9) / 8)
    assert np.abs(dolly[:, 1] - MIDDLE - (tracks.points[:, 1].numpy() - MIDDLE) * growth[:, None]).max() < TOLERANCE_PX
    with pytest.raises(ValueError, match="num_frames is 9, the camera's is 5"):
        seen_by_camera(tracks, at_rest(5), depth)


def test_points_leave_the_frame_and_get_behind_the_camera() -> None:
    path = moved("dolly", 1.5)  # at frame 8 the plane is 2 behind the camera
    tracks = camera_tracks(path, DEPTH, torch.tensor([[100.0, 60.0], [190.0, 60.0]]))
    where = 4 - 6 * np.arange(9) / 8
    assert tracks.visibility[:, 0].tolist() == (where > 0).tolist()
    growth = 4 / np.where(where > 0, where, np.nan)
    assert tracks.visibility[:, 1].tolist() == (90 * growth < 100).tolist()
    assert tracks.points.isfinite().all()
    close = at_rest(3).moved([Move("dolly", 0.9985, 1, 0), Move("dolly", 0.001, 2, 0)], 4.0)
    assert camera_tracks(close, DEPTH, torch.tensor([[100.0, 60.0]])).visibility[:, 0].tolist() == [True, True, False]
    assert (tracks.visibility <= tracks.in_frame()).all()
    behind = camera_grid(at_rest(2).moved([Move("pan", 180, 1, 0)]), DEPTH, 5, 5)
    assert behind.visibility[0].all()
    assert not behind.visibility[1].any()


def test_a_path_for_another_size_sees_the_same() -> None:
    path = moved("orbit", 30)
    small, large = (camera_grid(each, DEPTH, 4, 5) for each in (path, path.rescaled(240, 800)))
    assert np.abs(large.points.numpy() / (4, 2) - small.points.numpy()).max() < TOLERANCE_PX


def test_a_scaled_path_suits_a_scaled_depth() -> None:
    path = moved("truck", 0.3)
    one, other = camera_grid(path, DEPTH, 3, 3), camera_grid(path.scaled(2.5), DepthMap.constant(10.0), 3, 3)
    assert np.abs((one.points - other.points).numpy()).max() < TOLERANCE_PX


def test_resampling_paces_the_path() -> None:
    """Three poses, 60 degrees of pan and 2 to the right, spread over nine frames by an easing."""
    knots = at_rest(3).moved([Move("pan", 60, 0, 2), Move("truck", 0.5, 0, 2), Move("zoom", 4, 0, 2)], 4.0)
    found = knots.resampled(9, "ease_in")
    share = (np.arange(9) / 8) ** 2
    angles = np.degrees(np.arctan2(found.rotation[:, 0, 2], found.rotation[:, 0, 0]))
    assert angles == pytest.approx(60 * share, abs=1e-9)
    assert found.centre[:, 0] == pytest.approx(2 * share)
    assert found.intrinsics[:, 0] == pytest.approx(FOCAL * np.interp(share, [0, 0.5, 1], [1, 2, 4]))
    assert at_rest(1).resampled(4).num_frames == 4
    half = at_rest(2).moved([Move("roll", 180, 1, 0)]).resampled(3)  # half a turn has its axis, and either sense
    assert np.abs(half.rotation[1] @ half.rotation[1] - half.rotation[2]).max() < 1e-9


def test_a_moves_axes_are_the_poses_own() -> None:
    """Poses that have turned 90 degrees to the right: a truck to the right goes backwards."""
    turned = at_rest(2).moved([Move("pan", 90, 1, 0)])
    centre = turned.moved([Move("truck", 1, 1, 0)], 3.0).centre[1]
    assert centre == pytest.approx([0, 0, -3], abs=1e-9)


@pytest.mark.parametrize("fov", [0, 171, float("nan")])
def test_what_is_wrong_is_said(fov: float) -> None:
    with pytest.raises(ValueError, match="fov"):
        CameraPath.at_rest(3, 10, 10, fov)
    with pytest.raises(ValueError, match="num_frames"):
        CameraPath.at_rest(0, 10, 10)
    with pytest.raises(ValueError, match="distance"):
        at_rest().moved([], 0.0)
    with pytest.raises(ValueError, match="easing"):
        at_rest().resampled(4, "bounce")
    with pytest.raises(ValueError, match="points"):
        camera_tracks(at_rest(), DEPTH, torch.tensor([[float("nan"), 1.0]]))
