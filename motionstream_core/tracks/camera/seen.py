"""A camera's motion as tracks: points of a picture, unprojected by their depth and seen again by the moved camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..grid import point_grid
from ..parse import MAX_COORDINATE_PX
from ..spline import Array
from ..tracks import Tracks, assign_ids, require_budget
from .depth import DepthMap
from .path import CameraPath
from .zbuffer import TOLERANCE, Occlusion

NEAR_SHARE = 1e-3
"""A point nearer to the camera than this share of its distance in the picture cannot be seen: it is passed."""


def camera_tracks(
    path: CameraPath,
    depth: DepthMap,
    points: Tensor,
    *,
    occlusion: bool = True,
    tolerance: float = TOLERANCE,
    report: Callable[[int], None] | None = None,
) -> Tracks:
    """What a camera on `path` sees of `points` (n 2) px of the picture, which lie at `depth` and stay where they are.

    Visible is what lies before the camera, within the frame, and, with `occlusion`, behind no nearer surface of the
    depth map by more than `tolerance` (see Occlusion). A constant depth hides nothing. `report` is called with the
    number of frames that occlusion is done with, and may raise.
    Raises ValueError for points of another shape, or that are not finite, and for more than MAX_SAMPLES.
    """
    origin = points.detach().cpu().numpy().astype(np.float64)
    if origin.ndim != 2 or origin.shape[1] != 2 or not np.isfinite(origin).all():
        raise ValueError(f"points has shape {tuple(points.shape)}; it must be (n 2), finite px of the picture")
    require_budget(len(origin), path.num_frames)
    distance = depth.at(origin, path.height, path.width)
    resting = np.broadcast_to(origin, (path.num_frames, *origin.shape))
    placed, z, seen = _placed(path, resting, distance)
    if occlusion and np.ptp(depth.distance) > 0:
        surface = Occlusion(path, depth, tolerance)
        for frame in range(path.num_frames):
            seen[frame] &= ~surface.hidden(placed[frame], origin, distance, frame, z[frame])
            if report:
                report(frame + 1)
    return _tracks(placed, seen, path)


def camera_grid(
    path: CameraPath,
    depth: DepthMap,
    rows: int = 50,
    columns: int = 50,
    *,
    occlusion: bool = True,
    tolerance: float = TOLERANCE,
    report: Callable[[int], None] | None = None,
) -> Tracks:
    """camera_tracks of a grid of `rows` x `columns` points over the picture."""
    points = point_grid(path.height, path.width, rows, columns).points[0]
    return camera_tracks(path, depth, points, occlusion=occlusion, tolerance=tolerance, report=report)


def seen_by_camera(tracks: Tracks, path: CameraPath, depth: DepthMap) -> Tracks:
    """Tracks of objects, drawn in the picture, as a camera on `path` sees them: its motion comes over theirs.

    A point moves on a frontal plane, at the depth that the picture has where the point is first visible (or at its
    first frame, if it never is). It stays hidden where it was drawn hidden, and is hidden behind the camera and outside
    the frame. No surface hides it: the depth map still has the object where it was in the picture, and would.

    Raises ValueError where num_frames, height or width differ from the path's. Ids are kept.
    """
    for name in ("num_frames", "height", "width"):
        if getattr(tracks, name) != getattr(path, name):
            raise ValueError(f"tracks: {name} is {getattr(tracks, name)}, the camera's is {getattr(path, name)}")
    drawn = tracks.points.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0).numpy()
    visible = tracks.visibility.cpu().numpy()
    first = visible.argmax(axis=0)
    distance = depth.at(drawn[first, np.arange(tracks.num_tracks)], path.height, path.width)
    placed, _, seen = _placed(path, drawn, distance)
    return _tracks(placed, seen & visible, path, tracks.ids.cpu())


def without_objects(background: Tracks, objects: Tracks, clearance_px: float) -> Tracks:
    """`background` less what is the objects': two motions at one place contradict each other.

    Points that lie closer than `clearance_px` to an object's visible point in the first frame lie on the object, and
    are left out; others are invisible in the frames in which an object's visible point is as close: it covers them.
    """
    if not clearance_px or not objects.num_tracks:
        return background
    visibility = background.visibility.clone()
    for frame in range(background.num_frames):
        shown = objects.points[frame, objects.visibility[frame]]
        if len(shown):
            near = _distances(background.points[frame], shown).min(dim=1).values < clearance_px
            visibility[frame] &= ~near
    kept = visibility[0] | ~background.visibility[0]
    return Tracks(
        background.points[:, kept],
        visibility[:, kept],
        background.height,
        background.width,
        background.ids[kept.to(background.ids.device)],
    )


def _distances(one: Tensor, other: Tensor) -> Tensor:
    """Px (n m); not by a matrix product, which is off by a quarter of a px."""
    return torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist")


def _placed(path: CameraPath, drawn: Array, distance: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Px (t n 2) and depth (t n) of points drawn (t n 2) at a distance (n), and whether the camera can see them."""
    world = path.unprojected(drawn, np.broadcast_to(distance, drawn.shape[:2]))
    results = [path.projected(world[frame], frame) for frame in range(path.num_frames)]
    placed, z = np.stack([each for each, _ in results]), np.stack([each for _, each in results])
    inside = ((placed >= 0) & (placed < (path.width, path.height))).all(axis=-1)  # nan is not
    return placed, z, inside & (z >= NEAR_SHARE * distance)


def _tracks(placed: Array, seen: NDArray[np.bool_], path: CameraPath, ids: Tensor | None = None) -> Tracks:
    points = np.nan_to_num(placed, nan=0.0).clip(-MAX_COORDINATE_PX, MAX_COORDINATE_PX).astype(np.float32)
    # Rounding to float32 may carry a point onto the frame's border.
    seen = seen & (points < (path.width, path.height)).all(axis=-1)
    ids = assign_ids(points.shape[1]) if ids is None else ids
    return Tracks(torch.from_numpy(points), torch.from_numpy(seen), path.height, path.width, ids)
