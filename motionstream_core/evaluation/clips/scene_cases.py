"""The camera test: a photographed scene's own cameras as tracks of points of its first photograph.

With a depth map of that photograph, brought to the reconstruction's scale by its sparse points, a grid of points is
unprojected and seen again from every camera, nearer surfaces hiding farther ones. Without one, the reconstruction's own
points are the tracks, visible where COLMAP saw them.

    <scene>/depth/<photograph>.npy   distances along z, of unknown scale (h w)
    <scene>/depth/<photograph>.png   inverse depth, near is bright, of unknown scale and shift, 8 or 16 bit
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ...media.picture import read_levels
from ...tracks import Tracks
from ...tracks.camera.depth import DepthMap
from ...tracks.camera.path import CameraPath
from ...tracks.camera.seen import camera_grid
from .cases import Protocol
from .colmap import Array, ColmapPhoto, Reconstruction, read_reconstruction
from .datasets import Footage, PictureFrames, scene_photographs


def scene_tracks(footage: Footage, indices: Sequence[int], protocol: Protocol) -> tuple[Tracks, list[str]]:
    """Tracks of the scene's photographs `indices`, in px of the protocol's frame, and what readers should know.

    Raises ValueError or FileNotFoundError, naming the file, for a scene that is not whole.
    """
    reconstruction = read_reconstruction(footage.path / "sparse" / "0")
    files = scene_photographs(footage.path)
    photos = [reconstruction.photos[index] for index in indices]
    source = PictureFrames((files[indices[0]],))
    path = camera_path(photos, source.height, source.width, protocol.frame_size)
    sparse, tracks = sparse_points(reconstruction, photos, path)
    notes = []
    if any(np.abs(photo.camera.distortion).max(initial=0) > 0 for photo in photos):
        notes.append("the cameras' lens distortion is not applied; undistort the photographs for exact tracks")
    depth = _depth_file(footage.path, files[indices[0]].stem)
    if depth is None:
        notes.append(
            f"no depth map: the tracks are the {tracks.num_tracks} points of the reconstruction in the first view"
        )
        return tracks, notes
    kind = "metric" if depth.suffix == ".npy" else "near is bright"
    values = _depth_values(depth, source.height, source.width, protocol.frame_size)
    surface = DepthMap.from_sparse(values, kind, sparse, path.height, path.width)
    notes.append(f"depth from {depth.name}, scaled by {len(sparse)} points")
    return camera_grid(path, surface, protocol.grid, protocol.grid), notes


def camera_path(photos: Sequence[ColmapPhoto], height: int, width: int, frame_size: tuple[int, int]) -> CameraPath:
    """The photographs' cameras for pictures of `height` x `width` px that are fitted into a frame (`streaming.fit`)."""
    scale = max(frame_size[0] / height, frame_size[1] / width)
    intrinsics, poses = [], []
    for photo in photos:
        to_picture = np.array([width / photo.camera.width, height / photo.camera.height] * 2)
        own = photo.camera.intrinsics * to_picture
        middle = (own[2:] - np.array([width, height]) / 2) * scale + np.array(frame_size[::-1]) / 2
        intrinsics.append(np.concatenate([own[:2] * scale, middle]))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = photo.rotation.T, -photo.rotation.T @ photo.translation
        poses.append(pose)
    return CameraPath.from_poses(np.stack(intrinsics), np.stack(poses), *frame_size)


def sparse_points(
    reconstruction: Reconstruction, photos: Sequence[ColmapPhoto], path: CameraPath
) -> tuple[Array, Tracks]:
    """The points that the first photograph saw: x, y px of the frame and distance (k 3) there, and as tracks.

    Points that the crop cut off are left out.
    """
    first = photos[0]
    seen = reconstruction.points[first.seen] @ first.rotation.T + first.translation
    views = [path.projected(seen, frame) for frame in range(path.num_frames)]
    points, depth = np.stack([each for each, _ in views]), np.stack([each for _, each in views])
    observed = np.stack([np.isin(first.seen, photo.seen) for photo in photos])
    inside = ((points >= 0) & (points < (path.width, path.height))).all(-1) & (depth > 0)
    kept = inside[0]
    sparse = np.concatenate([points[0, kept], depth[0, kept, None]], axis=1)
    placed = torch.from_numpy(np.nan_to_num(points[:, kept]).astype(np.float32))
    # rounding to float32 may carry a point onto the frame's border
    before_border = (placed < torch.tensor([path.width, path.height])).all(-1)
    visible = torch.from_numpy((observed & inside)[:, kept]) & before_border
    return sparse, Tracks(placed, visible, path.height, path.width)


def _depth_file(scene: Path, stem: str) -> Path | None:
    return next((each for suffix in (".npy", ".png") if (each := scene / "depth" / f"{stem}{suffix}").is_file()), None)


def _depth_values(path: Path, height: int, width: int, frame_size: tuple[int, int]) -> Array:
    """The map's values at the pixel centres of the frame, for a map that covers a picture of `height` x `width` px."""
    if path.suffix == ".npy":
        values = np.load(path, allow_pickle=False).astype(np.float64).squeeze()
    else:
        values = read_levels(path)
    if values.ndim != 2:
        raise ValueError(f"{path} has shape {values.shape}; it must be one map (height, width)")
    scale = max(frame_size[0] / height, frame_size[1] / width)
    places = []
    for side, frame, rows in zip((height, width), frame_size, values.shape, strict=True):
        at = ((np.arange(frame) + 0.5 - frame / 2) / scale + side / 2) * rows / side
        places.append(at.astype(int).clip(0, rows - 1))
    return values[np.ix_(*places)]
