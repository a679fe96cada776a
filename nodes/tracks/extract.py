"""Motion out of a video: points tracked through it, and the tracks laid over another image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from comfy_api.latest import io
from torch import Tensor
from torch.nn import functional

from ...motionstream_core.media.frames import FrameSource
from ...motionstream_core.tracks import Placement, TrackFormatError, Tracks, read_points
from ...motionstream_core.tracks.extract.timing import at_even_times
from ...motionstream_core.tracks.extract.tracker import Queries, grid_queries, mask_queries
from ...motionstream_core.tracks.select import MASK_THRESHOLD
from ...motionstream_core.tracks.transfer import FITS, only_in, over_time, transfer
from ..host.preview import PreviewProgress
from ..sockets import TracksSocket, advanced, schema
from .footage import footage
from .inputs import ALIASES, length_input, size_input, units_input
from .sizes import over_frame, sized_tracks
from .trackers import AUTO, TRACKER_TOOLTIP, TRACKERS, checkpoint_options, load_tracker, register_folder

PROGRESS_STEPS = 1000
TIMES = ("stretch", "seconds", "frames")

register_folder()


class MotionStreamExtractTracks(io.ComfyNode):
    """VIDEO or IMAGE batch to TRACKS."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamExtractTracks",
            display_name="MotionStream Extract Tracks",
            category="MotionStream/tracks",
            description="Follows points through a video: a grid of them, those in a mask, or given ones, from any "
            "frame in both directions. Says of every point and frame whether it is seen. Long videos take no more "
            "memory, but for cotracker3 offline, which holds all of them.",
            search_aliases=[
                *ALIASES,
                "point tracking",
                "cotracker",
                "optical flow",
                "motion transfer",
                "video to tracks",
            ],
            inputs=[
                io.Combo.Input("tracker", options=list(TRACKERS), default=TRACKERS[0], tooltip=TRACKER_TOOLTIP),
                io.Int.Input("rows", default=50, min=1, max=300, tooltip="Rows of the grid of points."),
                io.Int.Input("columns", default=50, min=1, max=300, tooltip="Columns of the grid of points."),
                io.Int.Input(
                    "query_frame",
                    default=0,
                    min=-1,
                    max=1_000_000,
                    tooltip="The frame in which the points are taken; they are followed from there to both ends. "
                    "-1: the last frame.",
                ),
                io.String.Input(
                    "coordinates",
                    default="",
                    multiline=True,
                    placeholder='[{"x": 20, "y": 64}, {"x": 90, "y": 30}]',
                    tooltip="Points to follow instead of a grid, as JSON in px of the video: where they are in "
                    "query_frame, as points editors give them, or one list per point, of which the first sample "
                    "counts. Empty: the grid.",
                    **advanced(),
                ),
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoint_options(),
                    default=AUTO,
                    tooltip="CoTracker3's weights, from models/cotracker. auto: scaled_offline.pth or "
                    "scaled_online.pth, as the tracker needs.",
                    **advanced(),
                ),
                io.Float.Input(
                    "images_fps",
                    default=16.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of `images`, which do not say it themselves. A video does.",
                    **advanced(),
                ),
                io.Video.Input("video", optional=True, tooltip="The video. Connect this or images."),
                io.Image.Input("images", optional=True, tooltip="The frames. Connect this or video."),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Keeps the grid to a region of the query frame. One mask, or one for each frame of the "
                    "video; of another size it is scaled.",
                ),
                TracksSocket.Input(
                    "points",
                    optional=True,
                    tooltip="Points to follow instead of a grid, in px of the video or of the size that they say, laid "
                    "middle on middle: where these tracks are at query_frame (their last frame, if they are shorter) "
                    "and visible.",
                ),
                units_input(),
            ],
            outputs=[
                TracksSocket.Output("tracks", display_name="tracks", tooltip="The tracks, as core's TRACKS."),
                io.Int.Output(
                    "width",
                    display_name="width",
                    tooltip="Width of the video in px, as displayed: what TRACKS refers to.",
                ),
                io.Int.Output("height", display_name="height", tooltip="Height of the video in px, as displayed."),
                io.Int.Output("length", display_name="length", tooltip="Number of frames of the tracks."),
                io.Float.Output(
                    "fps",
                    display_name="fps",
                    tooltip="Frames per second of the tracks: steady, whatever the video's own times are.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What tracked, its licence, how much was followed, and how the video is shown.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        tracker: str,
        rows: int,
        columns: int,
        query_frame: int,
        coordinates: str,
        checkpoint: str,
        images_fps: float,
        video: Any = None,
        images: Tensor | None = None,
        mask: Tensor | None = None,
        points: Mapping[str, Any] | None = None,
        units: str = "auto",
    ) -> io.NodeOutput:
        reference = footage(video, images, images_fps)
        source = reference.frames
        frame = source.num_frames - 1 if query_frame < 0 else query_frame
        if frame >= source.num_frames:
            raise ValueError(f"query_frame is {frame}, but the video's frames are 0 to {source.num_frames - 1}")
        shown_mask = None if mask is None else reference.mask_as_shown(mask if mask.ndim == 3 else mask[None])
        queries, told = _queries(source, frame, rows, columns, coordinates, shown_mask, points, units)
        hosted = load_tracker(tracker, checkpoint)
        with PreviewProgress(PROGRESS_STEPS) as progress:
            progress.step(0)
            tracks = hosted.tracker.track(
                source, queries, lambda done, total: progress.step(PROGRESS_STEPS * done // max(1, total))
            )
        tracks = at_even_times(tracks, source)
        report = (
            f"{tracks.num_tracks} points over {tracks.num_frames} frames of {tracks.width} x {tracks.height} px by "
            f"{hosted.about}; seen in {float(tracks.visibility.float().mean()):.0%} of all frames"
        )
        if told:
            report += f"; {told}"
        if reference.told:
            report += f"; the video: {reference.told}"
        size = (tracks.width, tracks.height, tracks.num_frames)
        return io.NodeOutput(tracks.to_payload(), *size, source.fps, report)


class MotionStreamTransferTracks(io.ComfyNode):
    """TRACKS of a reference video over a target image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def knob(name: str, default: float, reach: float, step: float, tooltip: str) -> io.Float.Input:
            return io.Float.Input(name, default=default, min=-reach, max=reach, step=step, tooltip=tooltip)

        return schema(
            node_id="MotionStreamTransferTracks",
            display_name="MotionStream Transfer Tracks",
            category="MotionStream/tracks",
            description="Lays the tracks of a reference video over another image and another length, so that the new "
            "video moves as the reference does.",
            search_aliases=[*ALIASES, "motion transfer", "retarget", "reference video"],
            inputs=[
                TracksSocket.Input("tracks", tooltip="The reference's tracks, from MotionStream Extract Tracks."),
                size_input("source_width", "Width of the reference video in px; 0: as the tracks say.", 0),
                size_input("source_height", "Height of the reference video in px; 0: as the tracks say.", 0),
                size_input("width", "Width of the new video in px."),
                size_input("height", "Height of the new video in px."),
                length_input(),
                io.Combo.Input(
                    "fit",
                    options=list(FITS),
                    default=FITS[0],
                    tooltip="How the reference's frame lies over the new one. fit: all of it inside; fill: covering "
                    "it; stretch: sides by themselves; pixels: px on px. Always middle on middle.",
                ),
                io.Float.Input(
                    "scale",
                    default=1.0,
                    min=0.01,
                    max=100.0,
                    step=0.01,
                    tooltip="After the fit: the tracks' size, about the middle of the new frame.",
                ),
                knob("rotation", 0.0, 360.0, 1.0, "After the fit: turn in degrees, clockwise, about the middle."),
                knob("offset_x", 0.0, 16384.0, 1.0, "After the fit: shift to the right, in px of the new video."),
                knob("offset_y", 0.0, 16384.0, 1.0, "After the fit: shift downwards, in px of the new video."),
                io.Combo.Input(
                    "time",
                    options=list(TIMES),
                    default=TIMES[0],
                    tooltip="stretch: the whole reference over the whole video; seconds: its own speed, by the two "
                    "frame rates; frames: frame by frame. Where the reference ends first, points are let go.",
                ),
                io.Float.Input(
                    "source_fps",
                    default=16.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of the reference, for time = seconds.",
                    **advanced(),
                ),
                io.Float.Input(
                    "fps",
                    default=16.0,
                    min=0.01,
                    max=1000.0,
                    step=0.01,
                    tooltip="Frames per second of the new video, for time = seconds. The bundled model's are 16.",
                    **advanced(),
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Keeps only tracks that begin on it in the first frame: mark in the new image what shall "
                    "move. Of another size it is scaled.",
                ),
            ],
            outputs=[
                TracksSocket.Output(
                    "transferred_tracks",
                    display_name="tracks",
                    tooltip="The tracks in px of the new video, as core's TRACKS.",
                ),
                io.Int.Output("num_frames", display_name="length", tooltip="The new video's number of frames."),
            ],
        )

    @classmethod
    def execute(
        cls,
        tracks: Mapping[str, Any],
        source_width: int,
        source_height: int,
        width: int,
        height: int,
        length: int,
        fit: str,
        scale: float,
        rotation: float,
        offset_x: float,
        offset_y: float,
        time: str,
        source_fps: float,
        fps: float,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        given = sized_tracks(tracks, source_height, source_width, sides=("source_height", "source_width"))
        placement = Placement(scale, scale, rotation, offset_x, offset_y)
        laid = transfer(over_time(given, length, time, source_fps, fps), height, width, fit, placement)
        if not laid.num_tracks:
            raise ValueError("tracks: none of them is seen anywhere in the new frame; check fit, scale and offset")
        if mask is not None:
            laid = only_in(laid, _one_mask(mask, 0))
        return io.NodeOutput(laid.to_payload(), length)


def _queries(
    source: FrameSource,
    frame: int,
    rows: int,
    columns: int,
    coordinates: str,
    mask: Tensor | None,
    points: Mapping[str, Any] | None,
    units: str,
) -> tuple[Queries, str]:
    """Queries (n 3) in `frame` by whichever input says where, and how that was read, in words."""
    height, width = source.height, source.width
    if coordinates.strip() and points is not None:
        raise ValueError("coordinates and points both say which points to follow; give one of them")
    if points is not None or coordinates.strip():
        if mask is not None:
            raise ValueError("mask keeps the grid to a region, but the points are given; leave the mask out")
        if points is not None:
            given, told = over_frame(points, (height, width), "fit", "points")
        else:
            given, told = _parsed(coordinates, height, width, units)
        row = min(frame, given.num_frames - 1)
        kept = (given.visibility & given.in_frame())[row]
        if not kept.any():
            raise ValueError(f"none of the {given.num_tracks} given points is visible in the video's frame at {row}")
        place = given.points[row, kept].numpy()
        return np.concatenate([np.full((len(place), 1), frame, np.float32), place], axis=1), told
    if mask is None:
        return grid_queries(height, width, rows, columns, frame), ""
    scaled = functional.interpolate(_one_mask(mask, frame)[None, None], (height, width), mode="nearest-exact")
    return mask_queries((scaled[0, 0] >= MASK_THRESHOLD).numpy(), rows, columns, frame), ""


def _parsed(coordinates: str, height: int, width: int, units: str) -> tuple[Tracks, str]:
    remedy = "give points in px of the video, or choose units"
    try:
        read = read_points(coordinates, height=height, width=width, units=units, remedy=remedy)
    except TrackFormatError as error:
        raise TrackFormatError(f"coordinates: {error}") from None
    return read.tracks, f"coordinates: {read.told}"


def _one_mask(mask: Tensor, frame: int) -> Tensor:
    """The mask (h w) of a frame, float on the CPU: a single one serves every frame."""
    masks = (mask if mask.ndim == 3 else mask[None]).detach().cpu().float()
    if masks.ndim != 3 or (len(masks) > 1 and frame >= len(masks)):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be one mask, or one for each frame of the video")
    return masks[min(frame, len(masks) - 1)]
