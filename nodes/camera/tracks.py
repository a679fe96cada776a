"""The node that turns a camera's motion into tracks, with depth, over object tracks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.tracks import Tracks, to_coordinate_json
from ...motionstream_core.tracks.camera.depth import KINDS, DepthMap
from ...motionstream_core.tracks.camera.parse import CameraFile
from ...motionstream_core.tracks.camera.path import DEFAULT_FOV_DEG, CameraPath
from ...motionstream_core.tracks.camera.seen import camera_grid, seen_by_camera, without_objects
from ...motionstream_core.tracks.camera.zbuffer import TOLERANCE
from ..frame_fit import PICTURE_FITS, Size, fit_box
from ..host.preview import PreviewProgress
from ..sockets import TracksSocket, advanced, schema
from ..tracks.inputs import ALIASES, length_input, tracks_output, video_size_inputs
from ..tracks.sizes import over_frame
from .moves import CAMERA_ALIASES, Camera, CameraSocket

MOVE_UNIT_TOOLTIP = (
    "How far away the point is that the camera looks at: the unit of dolly, truck and pedestal, and the middle of an "
    "orbit. Without a depth it is where the whole picture lies, as a plane. 0: the depth in the middle of the picture, "
    "or 1 without a depth."
)


class MotionStreamCameraTracks(io.ComfyNode):
    """A camera's motion, as tracks of a grid of points over the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamCameraTracks",
            display_name="MotionStream Camera Tracks",
            category="MotionStream/camera",
            description="Shows a model how the camera moves: a grid of points of the picture, placed in space by a "
            "depth map (or on a plane), as the moving camera sees them; nearer things hide what is behind them. "
            "Object tracks keep their motion, and the camera's comes over it.",
            search_aliases=[*CAMERA_ALIASES, *ALIASES, "depth", "parallax", "background motion", "camera control"],
            inputs=[
                CameraSocket.Input("camera", tooltip="From Camera Move or Camera from JSON."),
                *video_size_inputs(),
                length_input(),
                io.Int.Input("rows", default=20, min=0, max=300, tooltip="Rows of the grid of points; 0: no grid."),
                io.Int.Input("columns", default=20, min=0, max=300, tooltip="Columns of the grid; 0: no grid."),
                io.Combo.Input(
                    "depth_kind",
                    options=list(KINDS),
                    default=KINDS[0],
                    tooltip="What the depth's values mean. near is bright: inverse depth from 0 to 1, as most depth "
                    "nodes give it; far is bright: distance from 0 to 1; metric: distances as they are.",
                ),
                io.Float.Input(
                    "near",
                    default=1.0,
                    min=0.001,
                    max=1e6,
                    step=0.1,
                    tooltip="Distance of what is nearest in the depth (not for metric). Only far / near matters, "
                    "unless the camera has poses.",
                ),
                io.Float.Input(
                    "far",
                    default=8.0,
                    min=0.001,
                    max=1e6,
                    step=0.1,
                    tooltip="Distance of what is farthest in the depth (not for metric). The larger, the more near "
                    "things move against the background.",
                ),
                io.Float.Input(
                    "fov",
                    default=round(DEFAULT_FOV_DEG, 2),
                    min=1.0,
                    max=170.0,
                    step=0.01,
                    tooltip="The lens: degrees that the picture's width spans. Poses bring their own.",
                    **advanced(),
                ),
                io.Float.Input(
                    "distance", default=0.0, min=0.0, max=1e6, step=0.1, tooltip=MOVE_UNIT_TOOLTIP, **advanced()
                ),
                io.Float.Input(
                    "pose_scale",
                    default=1.0,
                    min=1e-6,
                    max=1e6,
                    step=0.01,
                    tooltip="Factor from the unit of the poses to that of the depth. Where the poses come with sparse "
                    "points, the depth is fitted to these instead, and near and far are not used.",
                    **advanced(),
                ),
                io.Boolean.Input(
                    "occlusion",
                    default=True,
                    tooltip="Points are invisible while a nearer surface of the depth hides them.",
                    **advanced(),
                ),
                io.Float.Input(
                    "tolerance",
                    default=TOLERANCE,
                    min=0.0,
                    max=0.9,
                    step=0.01,
                    tooltip="By what share of its distance something must be nearer to hide a point.",
                    **advanced(),
                ),
                io.Float.Input(
                    "clearance",
                    default=12.0,
                    min=0.0,
                    max=4096.0,
                    step=0.5,
                    tooltip="Px around every object point that belong to the object: the grid has no points there, "
                    "and the object hides those that it passes. 0: none.",
                    **advanced(),
                ),
                io.Combo.Input(
                    "fit",
                    options=list(PICTURE_FITS),
                    default="crop",
                    tooltip="How a depth of another shape comes to the video's, like the picture: choose what the "
                    "sampler has. crop: scaled until it covers the frame, then cut; stretch: sides by themselves.",
                    **advanced(),
                ),
                io.Image.Input("depth", optional=True, tooltip="The picture's depth from any depth node."),
                io.Mask.Input("depth_mask", optional=True, tooltip="The depth as a mask. Connect this or depth."),
                TracksSocket.Input(
                    "objects",
                    optional=True,
                    tooltip="Tracks of objects, drawn in the picture, in px of the video and as long as it. They move "
                    "at the depth of where they begin.",
                ),
                io.Mask.Input(
                    "object_mask", optional=True, tooltip="Where the objects are: the grid has no points there."
                ),
            ],
            outputs=[
                tracks_output("The objects' tracks, then the grid's, as core's TRACKS. Invisible: outside the frame, "
                              "behind the camera, or hidden."),
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="The same as plain JSON: nested lists of equal length, in px of the video, v 0 or 1.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="How many points there are, and how many can be seen."
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        camera: Camera,
        width: int,
        height: int,
        length: int,
        rows: int,
        columns: int,
        depth_kind: str,
        near: float,
        far: float,
        fov: float,
        distance: float,
        pose_scale: float,
        occlusion: bool,
        tolerance: float,
        clearance: float,
        fit: str,
        depth: Tensor | None = None,
        depth_mask: Tensor | None = None,
        objects: Mapping[str, Any] | None = None,
        object_mask: Tensor | None = None,
    ) -> io.NodeOutput:
        size = (height, width)
        poses = camera.poses(height, width)
        values = _values(depth, depth_mask, size, fit)
        placed = _depth(values, poses, depth_kind, near, far, distance)
        path = _path(camera, poses, size, length, fov, pose_scale).moved(camera.moves, distance or _middle(placed))
        parts: list[Tracks] = []
        if rows and columns:
            with PreviewProgress(length) as progress:
                hiding = {"occlusion": occlusion, "tolerance": tolerance, "report": progress.step}
                parts.append(camera_grid(path, placed, rows, columns, **hiding))
        if object_mask is not None and parts:
            parts[0] = _outside(parts[0], _fitted(_one(object_mask, "object_mask"), size, fit), rows, columns)
        told = ""
        if objects is not None:
            drawn, told = over_frame(objects, size, PICTURE_FITS[fit], "objects")
            if drawn.num_frames != length:
                raise ValueError(
                    f"objects: they have {drawn.num_frames} frames, length is {length}; give both the same"
                )
            seen = seen_by_camera(drawn, path, placed)
            # Objects first: a point's identity is its place in the order, and the grid shall not change theirs.
            parts = [seen, *(without_objects(part, seen, clearance) for part in parts)]
        tracks = Tracks.concatenate(parts) if parts else Tracks.empty(length, height, width)
        return io.NodeOutput(tracks.to_payload(), to_coordinate_json(tracks), _report(tracks, told))


def _path(camera: Camera, poses: CameraFile, size: Size, length: int, fov: float, pose_scale: float) -> CameraPath:
    if poses.poses is None:
        return CameraPath.at_rest(length, *size, fov)
    return poses.poses.rescaled(*size).resampled(length, camera.easing).scaled(pose_scale)


def _depth(
    values: np.ndarray | None, poses: CameraFile, kind: str, near: float, far: float, distance: float
) -> DepthMap:
    try:
        if values is None:
            return DepthMap.constant(distance or 1.0)
        if poses.sparse is not None and poses.poses is not None:
            return DepthMap.from_sparse(values, kind, poses.sparse, poses.poses.height, poses.poses.width)
        return DepthMap.from_values(values, kind, near, far)
    except ValueError as error:
        raise ValueError(f"depth: {error}") from None


def _middle(depth: DepthMap) -> float:
    """The median distance of the middle ninth of the picture."""
    rows, columns = depth.distance.shape
    return float(np.median(depth.distance[rows // 3 : -(-2 * rows // 3), columns // 3 : -(-2 * columns // 3)]))


def _values(depth: Tensor | None, depth_mask: Tensor | None, size: Size, fit: str) -> np.ndarray | None:
    """The depth's values (h w), cut to the video's shape."""
    if depth is not None and depth_mask is not None:
        raise ValueError("depth: both depth and depth_mask are connected; connect one")
    if depth is not None:
        return _fitted(_one(depth[..., :3].mean(dim=-1), "depth"), size, fit)
    return None if depth_mask is None else _fitted(_one(depth_mask, "depth_mask"), size, fit)


def _one(values: Tensor, name: str) -> np.ndarray:
    """The only map (h w) of a batch."""
    maps = values[None] if values.ndim == 2 else values
    if maps.ndim != 3 or len(maps) != 1:
        raise ValueError(f"{name}: shape {tuple(values.shape)}; give the map of one picture (1 h w)")
    return maps[0].detach().cpu().double().numpy()


def _fitted(values: np.ndarray, size: Size, fit: str) -> np.ndarray:
    """What of a map (h w) lies over the frame, by nearest pixels: distances of two things do not mix."""
    left, top, right, bottom = fit_box((values.shape[0], values.shape[1]), size, fit)
    rows, columns = max(1, round(bottom - top)), max(1, round(right - left))
    y = top + (np.arange(rows) + 0.5) * (bottom - top) / rows
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    return values[y.astype(int)[:, None], x.astype(int)]


def _outside(grid: Tracks, mask: np.ndarray, rows: int, columns: int) -> Tracks:
    """The grid's points whose pixel of the picture is not in the mask."""
    y = ((np.arange(rows) + 0.5) * mask.shape[0] / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * mask.shape[1] / columns).astype(int)
    kept = np.flatnonzero(mask[y[:, None], x].ravel() < 0.5)
    return Tracks(grid.points[:, kept], grid.visibility[:, kept], grid.height, grid.width, grid.ids[kept])


def _report(tracks: Tracks, told: str) -> str:
    """What there is, and what was `told` of the objects."""
    after = f"; {told}" if told else ""
    if not tracks.num_tracks:
        return f"no points{after}"
    share = tracks.visibility.double().mean(dim=1)
    return (
        f"{tracks.num_tracks} points over {tracks.num_frames} frames of {tracks.width} x {tracks.height} px; "
        f"{share[0]:.0%} can be seen at first, {share[-1]:.0%} at the end, {share.min():.0%} at the least{after}"
    )
