"""Camera paths: the intrinsics and pose of every frame, from moves, from a list of poses, or both, one over the other.

Conventions (docs/camera.md): OpenCV axes, x right, y down, z forward; px continuous, the centre of column i at i + 0.5;
poses are camera to world. The world of a path is the camera that took the picture: there, nothing has moved yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..easing import EASINGS, eased
from ..spline import Array
from .moves import Move, poses_of

DEFAULT_FOV_DEG = math.degrees(2 * math.atan(0.5))
"""53.13 degrees across: a focal length of the picture's width, which the editor's camera layer has."""


@dataclass(frozen=True)
class CameraPath:
    """One camera per frame, seen from the camera of the picture.

    height, width: px of the frame that intrinsics refer to.
    picture: fx, fy, cx, cy in px (4) of the camera that took the picture; it stands at the origin, unturned.
    intrinsics: fx, fy, cx, cy in px (t 4). rotation (t 3 3) and centre (t 3): camera to world; distances in the unit
        of the depth that the path will be used with.
    """

    height: int
    width: int
    picture: Array
    intrinsics: Array
    rotation: Array
    centre: Array

    @property
    def num_frames(self) -> int:
        return len(self.centre)

    @classmethod
    def at_rest(cls, num_frames: int, height: int, width: int, fov_deg: float = DEFAULT_FOV_DEG) -> CameraPath:
        """A camera that stays. `fov_deg` is its field of view across the width; pixels are square.

        Raises ValueError for a field of view outside 1 to 170 degrees, and for less than one frame.
        """
        if not 1 <= fov_deg <= 170:
            raise ValueError(f"fov is {fov_deg} degrees; it must be from 1 to 170")
        if num_frames < 1:
            raise ValueError(f"num_frames is {num_frames}; it must be at least 1")
        focal = width / 2 / math.tan(math.radians(fov_deg) / 2)
        picture = np.array([focal, focal, width / 2, height / 2])
        unturned = np.tile(np.eye(3), (num_frames, 1, 1))
        return cls(height, width, picture, np.tile(picture, (num_frames, 1)), unturned, np.zeros((num_frames, 3)))

    @classmethod
    def from_poses(cls, intrinsics: Array, camera_to_world: Array, height: int, width: int) -> CameraPath:
        """Poses (t 4 4) with intrinsics fx, fy, cx, cy (t 4); the first is the picture's."""
        back, start = camera_to_world[0, :3, :3].T, camera_to_world[0, :3, 3]
        rotation, centre = back @ camera_to_world[:, :3, :3], (camera_to_world[:, :3, 3] - start) @ back.T
        return cls(height, width, intrinsics[0], intrinsics, rotation, centre)

    def moved(self, moves: Sequence[Move], distance: float = 1.0) -> CameraPath:
        """The path with `moves` in the axes of its own camera, over frames 0 to t - 1.

        `distance` is the unit of dolly, truck and pedestal, and how far before the camera the point of orbit lies.
        Raises ValueError where it is not above 0.
        """
        if not (distance > 0 and math.isfinite(distance)):
            raise ValueError(f"distance is {distance}; it must be above 0, in the unit of the depth")
        poses = poses_of(moves, np.arange(self.num_frames, dtype=np.float64))
        centre = self.centre + (self.rotation @ (distance * poses.centre)[..., None])[..., 0]
        intrinsics = self.intrinsics.copy()
        intrinsics[:, :2] *= poses.zoom[:, None]
        return replace(self, intrinsics=intrinsics, rotation=self.rotation @ poses.rotation, centre=centre)

    def resampled(self, num_frames: int, easing: str = "linear") -> CameraPath:
        """The whole path over `num_frames` frames, first pose on first frame and last on last, paced by `easing`.

        Between two poses the camera goes straight and turns evenly about one axis; intrinsics are interpolated.
        """
        if easing not in EASINGS:
            raise ValueError(f"easing is {easing!r}; it must be one of {', '.join(EASINGS)}")
        at = eased(np.linspace(0, 1, num_frames), easing) * (self.num_frames - 1)
        index = np.minimum(at.astype(int), max(0, self.num_frames - 2))
        after, share = np.minimum(index + 1, self.num_frames - 1), at - index

        def between(values: Array) -> Array:
            return values[index] + share[:, None] * (values[after] - values[index])

        steps = self.rotation[index].transpose(0, 2, 1) @ self.rotation[after]
        rotated = np.stack([_part_of(step, part) for step, part in zip(steps, share, strict=True)])
        return replace(
            self,
            intrinsics=between(self.intrinsics),
            rotation=self.rotation[index] @ rotated,
            centre=between(self.centre),
        )

    def scaled(self, factor: float) -> CameraPath:
        """The same path in another unit of length: distances times `factor`."""
        return replace(self, centre=self.centre * factor)

    def rescaled(self, height: int, width: int) -> CameraPath:
        """The same cameras for a frame of `height` x `width` px, each axis by itself."""
        factors = np.array([width / self.width, height / self.height] * 2)
        return replace(
            self, height=height, width=width, picture=self.picture * factors, intrinsics=self.intrinsics * factors
        )

    def unprojected(self, points: Array, depth: Array) -> Array:
        """World points (... 3) of points (... 2) px of the picture at `depth` (...), along z."""
        focal, middle = self.picture[:2], self.picture[2:]
        return np.concatenate([(points - middle) / focal * depth[..., None], depth[..., None]], axis=-1)

    def projected(self, world: Array, frame: int) -> tuple[Array, Array]:
        """Px (n 2) and depth along z (n) of world points (n 3) at `frame`; px are nan where depth is not above 0."""
        seen = (world - self.centre[frame]) @ self.rotation[frame]
        depth = seen[:, 2]
        inverse = 1 / np.where(depth > 0, depth, np.nan)
        return self.intrinsics[frame, 2:] + self.intrinsics[frame, :2] * seen[:, :2] * inverse[:, None], depth


def _part_of(rotation: Array, share: float) -> Array:
    """The rotation (3 3) about the same axis by `share` of the angle."""
    vector = np.array(
        [rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]
    )
    sine, cosine = np.linalg.norm(vector) / 2, (np.trace(rotation) - 1) / 2
    angle = math.atan2(sine, cosine)
    if sine > 1e-9:
        axis = vector / (2 * sine)
    elif cosine > 0:
        return np.eye(3)
    else:  # half a turn: the axis is the eigenvector of 1
        axis = np.linalg.svd(rotation - np.eye(3))[2][-1]
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    part = angle * share
    return np.eye(3) + math.sin(part) * cross + (1 - math.cos(part)) * cross @ cross
