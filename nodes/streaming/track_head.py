"""Motion nodes: tracks encoded for a model, and tracks drawn over frames."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.streaming.conditions import KnownTracks, motion_latents
from ...motionstream_core.tracks import Tracks
from ..host.conditioning import TRACK_FRAMES_AT_ONCE, require_track_head
from ..host.model import StreamModel, make_ready, running, stream_model
from ..sockets import ModelSocket, Motion, MotionSocket, TracksSocket, schema
from ..tracks.inputs import ALIASES, size_input
from .request import SIZE_TOOLTIP, frame_size


class MotionStreamTrackHead(io.ComfyNode):
    """TRACKS to the motion embedding of a model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamTrackHead",
            display_name="MotionStream Track Head",
            category="MotionStream/tracks",
            description="Encodes trajectories with a model's own track head, for that model's sampler.",
            search_aliases=[*ALIASES, "motion embedding", "track encoder"],
            inputs=[
                ModelSocket.Input("model", tooltip="The model that is to follow the tracks."),
                TracksSocket.Input(
                    "tracks",
                    tooltip="Trajectories in px of the video, from this pack or any node that gives TRACKS. As many "
                    "samples as the video has frames (1 + 4 * k). A missing visibility means visible.",
                ),
                size_input("width", SIZE_TOOLTIP.format(side="Width") + " The sampler's must be the same.", 0, step=8),
                size_input(
                    "height", SIZE_TOOLTIP.format(side="Height") + " The sampler's must be the same.", 0, step=8
                ),
            ],
            outputs=[
                MotionSocket.Output(
                    "motion", display_name="motion", tooltip="The motion, for the Student Streamer or Teacher Sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, model: Any, tracks: dict[str, Any], width: int, height: int) -> io.NodeOutput:
        view = stream_model(model)
        require_track_head(view.spec, "model")
        size = frame_size(view.spec, height, width)
        try:
            given = Tracks.from_payload(tracks, *size)
            num_latent_frames = view.spec.vae_stride.num_latent_frames(given.num_frames)
        except ValueError as error:
            raise ValueError(f"tracks: {error}") from None
        return io.NodeOutput(Motion(_encode(view, given, num_latent_frames), given))


@torch.inference_mode()
def _encode(model: StreamModel, tracks: Tracks, num_latent_frames: int) -> Tensor:
    """Motion latents (1 c f h w) on the CPU, a few latent frames at a time, lest a long clip's maps fill memory."""
    make_ready(model)
    source, size, parts = KnownTracks(tracks), (tracks.height, tracks.width), []
    with running(model) as loaded:
        for start in range(0, num_latent_frames, TRACK_FRAMES_AT_ONCE):
            mm.throw_exception_if_processing_interrupted()
            stop = min(start + TRACK_FRAMES_AT_ONCE, num_latent_frames)
            parts.append(motion_latents(loaded.model, model.spec, source, start, stop, size).float().cpu())
    return torch.cat(parts, dim=2)
