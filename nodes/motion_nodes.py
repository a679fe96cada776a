"""Motion nodes: tracks encoded for a model, and tracks drawn over frames."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from torch import Tensor

from ..motionstream_core.streaming.conditions import KnownTracks, motion_latents
from ..motionstream_core.tracks import Tracks, draw_tracks
from .clip import SIZE_TOOLTIP, frame_size
from .models import StreamModel, make_ready, running, stream_model
from .native_conditions import TRACK_FRAMES_AT_ONCE, require_track_head
from .preview import PreviewProgress
from .track_inputs import ALIASES, read_tracks, size_input
from .types import ModelSocket, Motion, MotionSocket, TracksSocket, advanced, schema


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
                TracksSocket.Input("tracks", tooltip="The trajectories, in px of the frames or of the size below."),
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
                size_input("track_width", "Width in px that the tracks refer to; 0: the frames' own.", 0, **advanced()),
                size_input(
                    "track_height", "Height in px that the tracks refer to; 0: the frames' own.", 0, **advanced()
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
        given = read_tracks(tracks, track_height or images.shape[1], track_width or images.shape[2])
        frames = images[..., :3]
        if len(frames) == 1:
            frames = frames.expand(given.num_frames, -1, -1, -1)
        with PreviewProgress(len(frames)) as progress:
            overlay = draw_tracks(
                frames, given, tail_frames=tail_frames, radius=radius or None, on_frame=lambda done: progress.step(done)
            )
        return io.NodeOutput(overlay)


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
