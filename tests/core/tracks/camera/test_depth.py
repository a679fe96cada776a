"""Depth for cameras: meaning and scale of values, and the z-buffer against a slow reference and known shadows."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from motionstream_core.tracks.camera.depth import DepthMap
from motionstream_core.tracks.camera.moves import Move
from motionstream_core.tracks.camera.path import CameraPath
from motionstream_core.tracks.camera.seen import camera_tracks
from motionstream_core.tracks.camera.zbuffer import nearest_depth

RNG = np.random.default_rng(3)


def slow_nearest(points: np.ndarray, z: np.ndarray, reach: np.ndarray, height: int, width: int) -> np.ndarray:
    """Every pixel asks every sample."""
    nearest = np.full((height, width), np.inf)
    for j in range(height):
        for i in range(width):
            for (x, y), depth, r in zip(points, z, reach, strict=True):
                if depth > 0 and abs(i + 0.5 - x) < r and abs(j + 0.5 - y) < r:
                    nearest[j, i] = min(nearest[j, i], depth)
    return nearest


@pytest.mark.parametrize("seed", range(6))
def test_the_z_buffer_is_what_every_pixel_finds_for_itself(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((-9, -9), (31, 25), (60, 2))
    points[:8] = np.round(points[:8] * 2) / 2  # on edges and centres of pixels
    z, reach = rng.uniform(-1, 9, 60), rng.uniform(1, 4, 60)
    points[0] = np.nan
    fast = nearest_depth(points, z, reach, 16, 22)
    assert (fast == slow_nearest(points[1:], z[1:], reach[1:], 16, 22)).all()
    assert np.isfinite(fast).mean() > 0.3
    wanted = rng.random((16, 22)) < 0.1
    assert (nearest_depth(points, z, reach, 16, 22, wanted) == fast)[wanted].all()


def box_scene(height: int = 60, width: int = 80) -> DepthMap:
    """A box at distance 2, columns 30 to 49 and rows 15 to 44, before a wall at 6."""
    distance = np.full((height, width), 6.0)
    distance[15:45, 30:50] = 2.0
    return DepthMap(distance)


def every_pixel(height: int = 60, width: int = 80) -> torch.Tensor:
    y, x = np.mgrid[:height, :width] + 0.5
    return torch.from_numpy(np.stack([x.ravel(), y.ravel()], axis=-1)).float()


def test_the_box_hides_the_wall_behind_it() -> None:
    """To the right by 0.3, the box goes 12 px to the left and the wall 4 px: its shadow on the wall is known."""
    path = CameraPath.at_rest(2, 60, 80).moved([Move("truck", 0.3, 1, 0)])  # a focal length of 80 px
    tracks = camera_tracks(path, box_scene(), every_pixel())
    x, y = tracks.points[1].numpy().T
    wall = np.arange(60 * 80) % 80
    on_box = (np.arange(4800) % 80 >= 30) & (np.arange(4800) % 80 < 50) & (np.arange(4800) // 80 >= 15)
    on_box &= np.arange(4800) // 80 < 45
    assert tracks.visibility[1].numpy()[on_box].all()
    hidden = ~on_box & (x > 18) & (x < 38) & (y > 15) & (y < 45)
    near_edge = (np.abs(x - 18) < 1.6) | (np.abs(x - 38) < 1.6) | (np.abs(y - 15) < 1.6) | (np.abs(y - 45) < 1.6)
    expected = ~hidden & (wall >= 4)  # what left the frame is invisible too
    assert (tracks.visibility[1].numpy() == (expected | on_box))[~near_edge].all()
    assert hidden.sum() > 200
    # At rest only a rim of the wall, a pixel wide, falls to the box's samples.
    assert (~tracks.visibility[0]).sum() <= 2 * (20 + 30) + 4


def test_a_point_comes_back_when_the_box_has_passed() -> None:
    path = CameraPath.at_rest(21, 60, 80).moved([Move("truck", 1.0, 0, 20)])
    seen = camera_tracks(path, box_scene(), torch.tensor([[27.0, 30.0]])).visibility[:, 0].numpy()
    truck = np.arange(21) / 20
    wall, left, right = 27 - 80 / 6 * truck, 30 - 40 * truck, 50 - 40 * truck
    hidden = (wall > left) & (wall < right)
    clear = (np.abs(wall - left) > 1.6) & (np.abs(wall - right) > 1.6)
    assert (seen == ~hidden)[clear].all()
    assert seen[0] and not seen[10] and seen[20]


@pytest.mark.parametrize(("forward", "scale"), [(0.5, 1), (0.75, 1), (0.85, 1), (0.5, 5), (0.75, 0.5)])
def test_a_magnified_surface_has_no_holes(forward: float, scale: float) -> None:
    """A screen at 1, columns 30 to 49, grows over the wall at 4, and its samples are pulled apart; none shows between.

    The map has `scale` px of the frame between its samples.
    """
    rows, columns = round(60 / scale), round(80 / scale)
    distance = np.full((rows, columns), 4.0)
    distance[:, round(30 / scale) : round(50 / scale)] = 1.0
    path = CameraPath.at_rest(2, 60, 80).moved([Move("dolly", forward, 1, 0)])
    tracks = camera_tracks(path, DepthMap(distance), every_pixel())
    left, right = (40 + side / (1 - forward) for side in (-10, 10))
    x, y = tracks.points[1].numpy().T
    wall = (np.arange(4800) % 80 < 30) | (np.arange(4800) % 80 >= 50)
    covered = wall & (x > max(left, 0)) & (x < min(right, 80)) & (y > 0) & (y < 60)
    assert covered.sum() > 200
    assert not tracks.visibility[1].numpy()[covered].any()
    assert (tracks.visibility[1] == tracks.in_frame()[1]).numpy()[~wall].all()


@pytest.mark.parametrize("move", [Move("truck", 0.5, 0, 4), Move("dolly", 0.6, 0, 4), Move("roll", 40, 0, 4)])
def test_one_surface_hides_nothing_of_itself(move: Move) -> None:
    """A floor that runs far, and a wave: what stays in the frame stays visible."""
    y, x = np.mgrid[:60, :80] + 0.5
    floor = 60 / (y + 3)  # from one row to the next by up to 29 %
    for distance in (floor, 4 + np.sin(x / 9) * np.cos(y / 7)):
        path = CameraPath.at_rest(5, 60, 80).moved([move], 1.0)
        tracks = camera_tracks(path, DepthMap(distance), every_pixel())
        whole = camera_tracks(path, DepthMap(distance), every_pixel(), occlusion=False)
        lost = (whole.visibility & ~tracks.visibility).float().mean()
        assert lost < 0.002


def test_the_kinds_of_values() -> None:
    values = np.array([[0.0, 0.5, 1.0]])
    assert DepthMap.from_values(values, "near is bright", 2, 8).distance == pytest.approx(np.array([[8, 3.2, 2]]))
    assert DepthMap.from_values(values, "far is bright", 2, 8).distance == pytest.approx(np.array([[2, 5, 8]]))
    assert DepthMap.from_values(values + 3, "metric").distance == pytest.approx(values + 3)
    for bad, words in ((np.array([[1.5]]), "needs 0 to 1"), (np.array([[np.nan, 0.5]]), "needs 0 to 1")):
        with pytest.raises(ValueError, match=words):
            DepthMap.from_values(bad, "near is bright")
    with pytest.raises(ValueError, match="above 0"):
        DepthMap.from_values(values, "metric")
    with pytest.raises(ValueError, match="near is 5 and far is 5"):
        DepthMap.from_values(values, "far is bright", 5, 5)
    with pytest.raises(ValueError, match="'disparity'"):
        DepthMap.from_values(values, "disparity")
    with pytest.raises(ValueError, match="shape"):
        DepthMap(np.ones(3))


def test_depth_between_pixels_is_exact_on_a_plane() -> None:
    """A plane's inverse distance is straight in px, however slanted; across an edge the nearest pixel counts."""
    y, x = np.mgrid[:30, :40] + 0.5
    plane = DepthMap(1 / (0.2 + 0.004 * x - 0.003 * y))
    points = RNG.uniform((4, 4), (396, 296), (200, 2))
    expected = 1 / (0.2 + 0.0004 * points[:, 0] - 0.0003 * points[:, 1])
    points_inside = (points > 5).all(axis=1) & (points < (395, 295)).all(axis=1)
    assert np.abs(plane.at(points, 300, 400) / expected - 1)[points_inside].max() < 1e-9
    edge = DepthMap(np.array([[1.0, 5.0]]))
    assert edge.at(np.array([[0.0, 0.5], [0.9, 0.5], [1.1, 0.5], [9.0, 9.0]]), 1, 2).tolist() == [1, 1, 5, 5]


def test_scale_from_sparse_points() -> None:
    """Distances of unknown unit: the factor is recovered, and with noise it is the one of least squares."""
    truth = RNG.uniform(2, 9, (30, 40))
    points = RNG.integers(0, (40, 30), (50, 2)) + 0.5
    known = truth[points[:, 1].astype(int), points[:, 0].astype(int)]
    made = DepthMap.from_sparse(truth / 3.7, "metric", np.column_stack([points, known]), 30, 40)
    assert made.distance == pytest.approx(truth)
    noisy = known * RNG.uniform(0.8, 1.2, 50)
    made = DepthMap.from_sparse(truth / 3.7, "metric", np.column_stack([points, noisy]), 30, 40)
    (scale,), *_ = np.linalg.lstsq(known[:, None] / 3.7, noisy, rcond=None)
    assert made.distance == pytest.approx(scale * truth / 3.7)


def test_scale_and_shift_of_a_disparity_from_sparse_points() -> None:
    truth = RNG.uniform(2, 9, (15, 20))
    values = (1 / truth - 0.05) / 1.3
    points = RNG.uniform((0, 0), (40, 30), (50, 2))  # px of a frame twice the map's size
    known = truth[(points[:, 1] / 2).astype(int), (points[:, 0] / 2).astype(int)]
    sparse = np.column_stack([points, known])
    outside = np.array([[-5.0, 3.0, 100.0], [41.0, 3.0, 100.0]])  # not of this picture
    made = DepthMap.from_sparse(values, "near is bright", np.concatenate([sparse, outside]), 30, 40)
    assert made.distance == pytest.approx(truth)
    sparse[:, 2] *= RNG.uniform(0.9, 1.1, 50)
    at = values[(points[:, 1] / 2).astype(int), (points[:, 0] / 2).astype(int)]
    slope, shift = np.polyfit(at, 1 / sparse[:, 2], 1)
    noisy = DepthMap.from_sparse(values, "near is bright", sparse, 30, 40)
    assert noisy.distance == pytest.approx(1 / (slope * values + shift))
    distance = DepthMap.from_sparse((truth - 1) / 9, "far is bright", np.column_stack([points, known]), 30, 40)
    assert distance.distance == pytest.approx(truth)


def test_sparse_points_that_fit_nothing_are_refused() -> None:
    values = np.linspace(0, 1, 12).reshape(3, 4)
    with pytest.raises(ValueError, match="1 sparse points lie in the frame"):
        DepthMap.from_sparse(values, "near is bright", np.array([[1.0, 1.0, 2.0], [9.0, 1.0, 2.0]]), 3, 4)
    same = np.array([[0.5, 0.5, 2.0], [0.6, 0.4, 3.0]])
    with pytest.raises(ValueError, match="several depths"):
        DepthMap.from_sparse(values, "near is bright", same, 3, 4)
    reversed_kind = np.array([[0.5, 0.5, 1.0], [3.5, 2.5, 8.0]])  # bright is far
    with pytest.raises(ValueError, match="is the kind 'near is bright' right"):
        DepthMap.from_sparse(values, "near is bright", reversed_kind, 3, 4)
    with pytest.raises(ValueError, match="no scale"):
        DepthMap.from_sparse(values * 0, "metric", same, 3, 4)


def test_a_depth_of_another_size_than_the_frame() -> None:
    """The same scene at half and at double the frame's resolution comes to the same tracks, but for edges."""
    path = CameraPath.at_rest(3, 60, 80).moved([Move("truck", 0.3, 0, 2)])
    points = every_pixel()[::7]
    whole = camera_tracks(path, box_scene(), points)
    for scale in (0.5, 2):
        rows, columns = (np.mgrid[: int(60 * scale), : int(80 * scale)] / scale).astype(int)
        other = camera_tracks(path, DepthMap(box_scene().distance[rows, columns]), points)
        same = (other.visibility == whole.visibility).float().mean()
        assert same > 0.93
        assert math.isclose(float((other.points - whole.points).abs().median()), 0, abs_tol=1e-3)
