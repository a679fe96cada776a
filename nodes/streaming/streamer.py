"""The student streamer: a causal model that makes a video chunk by chunk, with flat time and memory per chunk."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator
from typing import Any

import comfy.model_management as mm
import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.geometry import Chunk
from ...motionstream_core.streaming.rollout import StepCallback
from ...motionstream_core.streaming.stream import StreamedChunk, StreamSettings, stream_chunks
from ..host.conditioning import Conditioning
from ..host.memory import PeakMemory, with_memory_advice
from ..host.model import StreamModel, make_ready, running, stream_model
from ..host.preview import PreviewProgress
from ..host.vae import Vae, stream_vae
from ..sockets import ModelSocket, advanced, schema, seed_input
from .clock import StreamClock
from .inputs import clip_inputs, clip_vision_input, positive_input
from .output import ENDLESS_PREFIX, SavedStream, StreamOutput
from .request import Clip, GivenMotion, Text, clip_conditions, plan_clip, read_text

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
            "chunk is previewed, and saved if asked, as soon as it is there; length does not change the time per "
            "chunk, nor the GPU memory. With length 0 it runs until it is cancelled.",
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
                *clip_inputs(
                    "Number of frames: 1 + 12 * k for the bundled student (1, 13, 25, 37, 49, ...). 0: until it is "
                    "cancelled; the frames then go to a file, which is whole when you cancel.",
                    0,
                ),
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
                positive_input(),
                clip_vision_input(),
                io.String.Input(
                    "save_as",
                    default="",
                    optional=True,
                    tooltip="Writes an mp4 while the stream runs: name below ComfyUI's output folder, a number is "
                    "added. A cancelled stream keeps what it has as .partial.mp4. Empty: no file (length 0: "
                    f"{ENDLESS_PREFIX}).",
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
                io.String.Output("file", display_name="file", tooltip="Path of the saved mp4; empty without save_as."),
            ],
            is_output_node=True,  # a stream that only goes to a file needs no node after it
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        vae: Any,
        prompt: str,
        width: int,
        height: int,
        length: int,
        fit: str,
        seed: int,
        sink_frames: int,
        window_frames: int,
        steps: int,
        image: Tensor | None = None,
        motion: GivenMotion | None = None,
        positive: Conditioning | None = None,
        clip_vision_output: Any = None,
        save_as: str = "",
    ) -> io.NodeOutput:
        view, coder = stream_model(model), stream_vae(vae)
        clip = plan_clip(
            view,
            coder,
            image,
            motion,
            role="student",
            width=width,
            height=height,
            length=length,
            fit=fit,
            positive=positive,
        )
        settings = stream_settings(view.spec, seed, sink_frames, window_frames, steps)
        text = read_text(view, prompt, positive, "positive", clip_vision_output)
        prefix = save_as.strip() or (ENDLESS_PREFIX if clip.num_latent_frames is None else "")
        saved = SavedStream.at(prefix, clip.size) if prefix else None
        streamed, report = with_memory_advice(lambda: _stream(view, coder, clip, text, settings, saved), ADVICE)
        logging.info("MotionStream: %s", report.replace("\n", "; "))
        latents = model.model.latent_format.process_out(streamed.latents)
        path, shown = ("", None) if saved is None else (str(saved.path), saved.shown())
        return io.NodeOutput(streamed.frames, {"samples": latents}, report, view.spec.fps, path, ui=shown)


def stream_settings(spec: ModelSpec, seed: int, sink_frames: int, window_frames: int, steps: int) -> StreamSettings:
    """Settings with every value named. Raises ValueError where nothing would be remembered."""
    sink = spec.sink_frames if sink_frames < 0 else sink_frames
    window = spec.window_frames if window_frames < 0 else window_frames
    if sink + window == 0:
        raise ValueError("sink_frames and window_frames are both 0, so no chunk would know the ones before; raise one")
    own = steps <= 0 or steps == len(spec.step_list)
    step_list = spec.step_list if own else tuple(round(1000 * (steps - i) / steps) for i in range(steps))
    return StreamSettings(seed, sink, window, step_list)


@torch.inference_mode()
def _stream(
    model: StreamModel, vae: Vae, clip: Clip, text: Text, settings: StreamSettings, saved: SavedStream | None
) -> tuple[StreamOutput, str]:
    """The stream and its report. A stream without end ends when the user cancels: its file is whole then."""
    spec, count = model.spec, clip.num_latent_frames
    output = StreamOutput(clip.size, None if count is None else spec.vae_stride.num_frames(count))
    clock = StreamClock()
    make_ready(vae)
    conditions = clip_conditions(model, vae, clip)
    make_ready(model, vae, memory_required=working_bytes(model, clip, settings))
    memory = PeakMemory(model.device)
    clock.loaded()
    stopped: BaseException | None = None
    with contextlib.ExitStack() as stack:
        loaded = stack.enter_context(running(model))
        progress = stack.enter_context(PreviewProgress(_num_steps(spec, clip, settings)))
        file = None if saved is None else stack.enter_context(saved.open(spec.fps))
        conditions.context = text.context(model)
        chunks = stream_chunks(
            loaded,
            conditions,
            vae.decoder(),
            num_latent_frames=count,
            settings=settings,
            callback=_step_callback(progress, clip),
        )
        try:
            for streamed in _logged(chunks, None if count is None else spec.chunk_plan.num_chunks(count)):
                output.push(streamed.frames, streamed.latents)
                if file is not None:
                    file.push(streamed.frames)
                clock.chunk(generated=streamed.chunk.num_frames > 1 or not spec.pin_first_latent)
                memory.look()
                progress.show(output.last_frame)
                progress.step(_steps_done(streamed.chunk.index + 1, clip, settings))
        except mm.InterruptProcessingException as interrupt:
            if count is not None:
                raise
            stopped = interrupt
    if stopped is not None:
        raise stopped
    return output, _report(model, clip, settings, output, clock, memory)


def _logged(chunks: Generator[StreamedChunk, None, None], total: int | None) -> Iterator[StreamedChunk]:
    """The chunks; the stream is closed, and its cache freed, however the loop over them ends."""
    of_total = "until stopped" if total is None else f"{total} chunks"
    logging.info("MotionStream: stream opened, %s", of_total)
    done = 0
    try:
        for streamed in chunks:
            yield streamed
            done += 1
    finally:
        chunks.close()
        logging.info("MotionStream: stream closed after %d of %s", done, of_total)


def _num_steps(spec: ModelSpec, clip: Clip, settings: StreamSettings) -> int:
    """Length of the progress bar: all steps of the stream, or of one chunk where there is no end."""
    steps = len(settings.step_list or ())
    return steps if clip.num_latent_frames is None else steps * spec.chunk_plan.num_chunks(clip.num_latent_frames)


def _steps_done(num_chunks: int, clip: Clip, settings: StreamSettings) -> int:
    steps = len(settings.step_list or ())
    return steps if clip.num_latent_frames is None else num_chunks * steps


def _step_callback(progress: PreviewProgress, clip: Clip) -> StepCallback:
    def after_step(chunk: Chunk, step: int, num_steps: int) -> None:
        before = 0 if clip.num_latent_frames is None else chunk.index * num_steps
        progress.step(before + step + 1)

    return after_step


def _report(
    model: StreamModel,
    clip: Clip,
    settings: StreamSettings,
    output: StreamOutput,
    clock: StreamClock,
    memory: PeakMemory,
) -> str:
    height, width = clip.size
    num_chunks = model.spec.chunk_plan.num_chunks(clip.num_latent_frames or 0)
    what = (
        f"{output.num_frames} frames of {width} x {height} px in {num_chunks} chunks of "
        f"{len(settings.step_list or ())} steps by {model.name}, seed {settings.seed}, sink {settings.sink_frames} and "
        f"window {settings.window_frames} latent frames"
    )
    return f"{clock.describe(output.num_frames)}\npeak memory {memory.describe()}\n{what}"


def working_bytes(model: StreamModel, clip: Clip, settings: StreamSettings) -> int:
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
