"""MotionStream Track Head: a node of older workflows, which hands tracks on."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ...motionstream_core.tracks import payload_size
from ..host.conditioning import require_track_head
from ..host.model import stream_model
from ..sockets import ModelSocket, Motion, MotionSocket, TracksSocket, schema
from ..tracks.inputs import size_input
from ..tracks.sizes import read_tracks, require_named_inside
from .request import SIZE_TOOLTIP, frame_size


class MotionStreamTrackHead(io.ComfyNode):
    """TRACKS as they are, checked for a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTrackHead",
            display_name="MotionStream Track Head",
            category="MotionStream/tracks",
            description="No longer needed: connect TRACKS straight to the sampler's motion. Kept for saved workflows: "
            "it checks the tracks and hands them on.",
            is_deprecated=True,
            inputs=[
                ModelSocket.Input("model", tooltip="The model that is to follow the tracks."),
                TracksSocket.Input(
                    "tracks",
                    tooltip="Trajectories in px of the video, from this pack or any node that gives TRACKS. "
                    "A missing visibility means visible.",
                ),
                size_input("width", SIZE_TOOLTIP.format(side="Width") + " The sampler's must be the same.", 0, step=8),
                size_input(
                    "height", SIZE_TOOLTIP.format(side="Height") + " The sampler's must be the same.", 0, step=8
                ),
            ],
            outputs=[
                MotionSocket.Output("motion", display_name="motion", tooltip="The same tracks, for a sampler's motion.")
            ],
        )

    @classmethod
    def execute(cls, model: Any, tracks: dict[str, Any], width: int, height: int) -> io.NodeOutput:
        spec = stream_model(model).spec
        require_track_head(spec, "model")
        held = read_tracks(tracks, size=frame_size(spec, height, width))
        if payload_size(tracks) is None:
            require_named_inside(held, "tracks")
        return io.NodeOutput(Motion(held))
