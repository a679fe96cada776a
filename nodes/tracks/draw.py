"""Tracks drawn over frames."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.tracks import draw_tracks
from ..frame_fit import opaque
from ..host.preview import PreviewProgress
from ..sockets import TracksSocket, advanced, schema
from ..tracks.inputs import ALIASES, size_input
from .sizes import over_pictures


class MotionStreamDrawTracks(io.ComfyNode):
    """TRACKS drawn over frames."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamDrawTracks",
            display_name="MotionStream Draw Tracks",
            category="MotionStream/tracks",
            description="Draws every visible point and a fading tail over the frames, to see what the model was told.",
            search_aliases=[*ALIASES, "overlay", "visualize tracks"],
            inputs=[
                io.Image.Input(
                    "images", tooltip="The frames, as many as the tracks have samples; a single image is repeated."
                ),
                TracksSocket.Input(
                    "tracks",
                    tooltip="The trajectories, in px of the size that they say, of the one below, or of the frames.",
                ),
                io.Int.Input("tail_frames", default=12, min=0, max=1000, tooltip="Length of the tails; 0: none."),
                io.Float.Input(
                    "radius",
                    default=0.0,
                    min=0.0,
                    max=100.0,
                    step=0.5,
                    tooltip="Radius of the dots in px; 0: from the frame's size and the number of points.",
                    **advanced(),
                ),
                size_input(
                    "track_width", "Width in px that the tracks refer to; 0: theirs, or the frames'.", 0, **advanced()
                ),
                size_input(
                    "track_height", "Height in px that the tracks refer to; 0: theirs, or the frames'.", 0, **advanced()
                ),
            ],
            outputs=[
                io.Image.Output("overlay", display_name="overlay", tooltip="The frames with the tracks over them.")
            ],
        )

    @classmethod
    def execute(
        cls,
        images: Tensor,
        tracks: dict[str, Any],
        tail_frames: int,
        radius: float,
        track_width: int,
        track_height: int,
    ) -> io.NodeOutput:
        pictures, sides = (images.shape[1], images.shape[2]), ("track_height", "track_width")
        given = over_pictures(tracks, track_height, track_width, pictures, sides)
        frames = opaque(images)
        if len(frames) == 1:
            frames = frames.expand(given.num_frames, -1, -1, -1)
        with PreviewProgress(len(frames)) as progress:
            overlay = draw_tracks(
                frames, given, tail_frames=tail_frames, radius=radius or None, on_frame=lambda done: progress.step(done)
            )
        return io.NodeOutput(overlay)
