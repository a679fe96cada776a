"""The student streamer: a causal model that makes a video chunk by chunk, with flat time and memory per chunk."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from comfy_api.latest import io
from torch import Tensor

from ..motionstream_core.checkpoints import ModelSpec
from ..motionstream_core.geometry import Chunk
from ..motionstream_core.streaming.stream import StreamSettings, stream_chunks
from .clip import Clip, clip_conditions, plan_clip
from .memory import PeakMemory, with_memory_advice
from .models import StreamModel, StreamVae, make_ready
from .preview import PreviewProgress
from .sampling_inputs import clip_inputs
from .stream_clock import StreamClock
from .types import ModelSocket, Motion, advanced, schema, seed_input

ADVICE = "lower length, or width and height, or window_frames"


class MotionStreamStudentStreamer(io.ComfyNode):
    """Image, prompt and motion in; frames out as they come."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamStudentStreamer",
            display_name="MotionStream Student Streamer",
            category="MotionStream/stream",
            description="Streams a video from an image, a prompt and trajectories, a chunk of frames at a time. Every "
            "chunk is previewed as soon as it is there; length does not change the time per chunk, nor the GPU memory.",
            search_aliases=[
                "causal video",
                "self forcing",
                "streaming",
                "real time",
                "image to video",
                "drag",
                "tracks",
            ],
            inputs=[
                ModelSocket.Input("model", tooltip="A student, from Load MotionStream Model."),
                *clip_inputs("Number of frames: 1 + 12 * k for the bundled student (1, 13, 25, 37, 49, ...)."),
                seed_input(),
                io.Int.Input(
                    "sink_frames",
                    default=-1,
                    min=-1,
                    max=1000,
                    tooltip="First latent frames that are remembered for ever; -1: as the checkpoint was trained.",
                    **advanced(),
                ),
                io.Int.Input(
                    "window_frames",
                    default=-1,
                    min=-1,
                    max=1000,
                    tooltip="Last latent frames that are remembered; more takes more memory and time. -1: as the "
                    "checkpoint was trained.",
                    **advanced(),
                ),
                io.Int.Input(
                    "steps",
                    default=-1,
                    min=-1,
                    max=100,
                    tooltip="Denoise steps per chunk, evenly spread; -1 (or 0): the checkpoint's own list.",
                    **advanced(),
                ),
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="All frames, (T, H, W, 3) in 0..1, on the CPU."
                ),
                io.Latent.Output(
                    "latent", display_name="latent", tooltip="The latents [1, C, F, h, w], for MotionStream Decode."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Time to the first generated frame, frames per second, seconds per chunk, peak memory.",
                ),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: StreamModel,
        vae: StreamVae,
        image: Tensor,
        prompt: str,
        width: int,
        height: int,
        length: int,
        fit: str,
        seed: int,
        sink_frames: int,
        window_frames: int,
        steps: int,
        motion: Motion | None = None,
    ) -> io.NodeOutput:
        clip = plan_clip(model, vae, image, motion, role="student", width=width, height=height, length=length, fit=fit)
        settings = stream_settings(model.spec, seed, sink_frames, window_frames, steps)
        result = with_memory_advice(lambda: _stream(model, vae, clip, prompt, settings), ADVICE)
        logging.info("MotionStream: %s", result.report.replace("\n", "; "))
        return io.NodeOutput(result.frames, {"samples": result.latents}, result.report, model.spec.fps)


@dataclass(frozen=True)
class Streamed:
    """A finished stream: frames (t h w 3) and latents (1 c f h w), both on the CPU."""

    frames: Tensor
    latents: Tensor
    report: str


def stream_settings(spec: ModelSpec, seed: int, sink_frames: int, window_frames: int, steps: int) -> StreamSettings:
    """Settings with every value named. Raises ValueError where nothing would be remembered."""
    sink = spec.sink_frames if sink_frames < 0 else sink_frames
    window = spec.window_frames if window_frames < 0 else window_frames
    if sink + window == 0:
        raise ValueError("sink_frames and window_frames are both 0, so no chunk would know the ones before; raise one")
    own = steps <= 0 or steps == len(spec.step_list)
    step_list = spec.step_list if own else tuple(round(1000 * (steps - i) / steps) for i in range(steps))
    return StreamSettings(seed, sink, window, step_list)


def _stream(model: StreamModel, vae: StreamVae, clip: Clip, prompt: str, settings: StreamSettings) -> Streamed:
    spec = model.spec
    num_chunks = spec.chunk_plan.num_chunks(clip.num_latent_frames)
    num_steps = len(settings.step_list or ())
    # All of it at once and first of all: what cannot be held is known before anything is computed.
    frames = torch.empty(spec.vae_stride.num_frames(clip.num_latent_frames), *clip.size, 3)
    parts: list[Tensor] = []
    clock = StreamClock()
    make_ready(model, vae, memory_required=_working_bytes(model, clip, settings))
    memory = PeakMemory(model.device)
    clock.loaded()
    done = 0
    with PreviewProgress(num_chunks * num_steps) as progress:

        def after_step(chunk: Chunk, step: int, num_steps: int) -> None:
            progress.step(chunk.index * num_steps + step + 1)

        chunks = stream_chunks(
            model.loaded,
            clip_conditions(model, vae, clip, prompt),
            vae.decoder(),
            num_latent_frames=clip.num_latent_frames,
            settings=settings,
            callback=after_step,
        )
        logging.info("MotionStream: stream opened, %d chunks", num_chunks)
        try:
            for streamed in chunks:
                frames[done : done + len(streamed.frames)] = streamed.frames
                done += len(streamed.frames)
                parts.append(streamed.latents.float().cpu())
                clock.chunk(generated=streamed.chunk.num_frames > 1 or not spec.pin_first_latent)
                memory.look()
                progress.show(frames[done - 1])
                progress.step((streamed.chunk.index + 1) * num_steps)
        finally:
            chunks.close()
            logging.info("MotionStream: stream closed after %d of %d chunks", len(parts), num_chunks)
    height, width = clip.size
    what = (
        f"{len(frames)} frames of {width} x {height} px in {num_chunks} chunks of {num_steps} steps by {model.name}, "
        f"seed {settings.seed}, sink {settings.sink_frames} and window {settings.window_frames} latent frames"
    )
    report = f"{clock.describe(len(frames))}\npeak memory {memory.describe()}\n{what}"
    return Streamed(frames, torch.cat(parts, dim=2), report)


def _working_bytes(model: StreamModel, clip: Clip, settings: StreamSettings) -> int:
    """A generous guess at what a chunk needs beside the weights: the cache, a block's activations, decoded features."""
    spec, element = model.spec, 4
    height, width = clip.size
    patch = spec.backbone.patch
    frame_tokens = height * width // (spec.vae_stride.space**2 * patch[1] * patch[2])
    remembered = (settings.sink_frames or 0) + (settings.window_frames or 0)
    cache = 2 * spec.backbone.num_layers * remembered * frame_tokens * spec.backbone.dim * element
    tokens = (remembered + spec.chunk_plan.chunk_frames) * frame_tokens
    block = tokens * (8 * spec.backbone.dim + 2 * spec.backbone.ffn_dim) * element
    decoded = spec.chunk_plan.chunk_frames * spec.vae_stride.time * height * width * 64 * 3 * element
    return cache + block + decoded
