"""The preview of tracks: drawn over pictures or a video, with tails, and shown in the node."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor
from torch.nn import functional

from ...motionstream_core.media.video_file import VideoFile
from ...motionstream_core.tracks import Tracks, draw_tracks, payload_size
from ..frame_fit import opaque
from ..host.preview import PreviewProgress, has_client
from ..sockets import advanced, schema
from .footage import steady_images
from .inputs import ALIASES, size_input, tracks_input
from .sizes import over_pictures, sized_tracks

BACKGROUND = 0.12
PREVIEW_CRF = 20


class MotionStreamPreviewTracks(io.ComfyNode):
    """TRACKS drawn over whatever there is, shown as a video in the node."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamPreviewTracks",
            display_name="MotionStream Preview Tracks",
            category="MotionStream/tracks",
            description="Shows what the tracks do, in the node: every visible point with a fading tail, over images, a "
            "video or a plain background.",
            search_aliases=[*ALIASES, "preview", "overlay", "visualize tracks", "show"],
            is_output_node=True,
            inputs=[
                tracks_input(),
                io.Int.Input("tail_frames", default=12, min=0, max=1000, tooltip="Length of the tails; 0: none."),
                io.Float.Input(
                    "fps",
                    default=0.0,
                    min=0.0,
                    max=240.0,
                    step=1.0,
                    tooltip="Frames per second of the preview; 0: the video's, or 16.",
                ),
                size_input("width", "Width in px that the tracks refer to; 0: theirs, or the picture's.", 0),
                size_input("height", "Height in px that the tracks refer to; 0: theirs, or the picture's.", 0),
                io.Float.Input(
                    "radius",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="Radius of the dots in px; 0: from the frame's size and the number of points.",
                    **advanced(),
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="What to draw over: as many frames as the tracks have, or one picture, which is repeated.",
                ),
                io.Video.Input(
                    "video", optional=True, tooltip="What to draw over: a video of as many frames as the tracks have."
                ),
            ],
            outputs=[
                io.Image.Output(
                    "overlay", display_name="overlay", tooltip="The frames with the tracks over them, (T, H, W, 3)."
                ),
                io.Float.Output("shown_fps", display_name="fps", tooltip="Frames per second of the preview."),
            ],
        )

    @classmethod
    def execute(
        cls,
        tracks: Mapping[str, Any],
        tail_frames: int,
        fps: float,
        width: int,
        height: int,
        radius: float,
        images: Tensor | None = None,
        video: Any = None,
    ) -> io.NodeOutput:
        if images is not None and video is not None:
            raise ValueError("both images and video are connected; leave one of them out")
        if video is not None:
            images, own_fps = steady_images(video)
            fps = fps or own_fps
        fps = fps or 16.0
        frames, given = _frames(images, tracks, height, width)
        with PreviewProgress(len(frames)) as progress:
            overlay = draw_tracks(
                frames, given, tail_frames=tail_frames, radius=radius or None, on_frame=lambda done: progress.step(done)
            )
        if not has_client():
            return io.NodeOutput(overlay, fps)
        return io.NodeOutput(overlay, fps, ui={"images": [_saved_video(overlay, fps)], "animated": (True,)})


def _frames(images: Tensor | None, payload: Mapping[str, Any], height: int, width: int) -> tuple[Tensor, Tracks]:
    """What to draw over, as many frames as the tracks have, and the tracks."""
    if images is None:
        if payload_size(payload) is None and not (height and width):
            raise ValueError(
                f"width is {width}, height {height}, and neither images nor video is connected; connect one, or give "
                f"the size that the tracks refer to"
            )
        given = sized_tracks(payload, height, width)
        return torch.full((1, given.height, given.width, 3), BACKGROUND).expand(given.num_frames, -1, -1, -1), given
    frames = opaque(images)
    given = over_pictures(payload, height, width, (frames.shape[1], frames.shape[2]), ("height", "width"))
    if len(frames) == 1:
        frames = frames.expand(given.num_frames, -1, -1, -1)
    if len(frames) != given.num_frames:
        raise ValueError(
            f"there are {len(frames)} frames, but tracks for {given.num_frames}; bring the tracks to {len(frames)} "
            f"with the node MotionStream Retime Tracks"
        )
    return frames, given


def _saved_video(frames: Tensor, fps: float) -> dict[str, Any]:
    """The frames as mp4 in ComfyUI's temporary folder, once per content, as the browser asks for it."""
    digest = hashlib.sha256(f"{tuple(frames.shape)} {fps}".encode())
    for frame in frames:
        digest.update((frame * 255).to(torch.uint8).contiguous().numpy().tobytes())
    name = f"motionstream_{digest.hexdigest()[:16]}.mp4"
    path = Path(folder_paths.get_temp_directory()) / name
    if not path.is_file():
        with VideoFile(path, fps, PREVIEW_CRF, generated=False) as file:
            for frame in frames:  # one by one: each takes several times its size while it is encoded
                mm.throw_exception_if_processing_interrupted()
                file.push(_even(frame[None]))
    return {"filename": name, "subfolder": "", "type": "temp"}


def _even(frames: Tensor) -> Tensor:
    """mp4 needs even sides: the last row and column are repeated, rather than a row of the drawing lost."""
    height, width = frames.shape[1:3]
    return functional.pad(frames.movedim(-1, 1), (0, width % 2, 0, height % 2), mode="replicate").movedim(1, -1)
