"""The student streamer: a causal model that makes a video chunk by chunk, with flat time and memory per chunk."""

from __future__ import annotations

import logging
from typing import Any

from comfy_api.latest import io
from torch import Tensor

from ..host.conditioning import Conditioning
from ..host.memory import with_memory_advice
from ..host.model import stream_model
from ..host.user_files import option_of
from ..host.vae import stream_coders
from ..sockets import ModelSocket, advanced, credentials_input, schema, seed_input
from .going_on import Given, go_on_input, save_stream_input
from .inputs import clip_inputs, clip_vision_input, decoder_input, positive_input, steps_input
from .length import ANY_LENGTH, WantedLength, endless_input, length_input, seconds_input
from .output import ENDLESS_PREFIX, SavedStream, file_prefix, video_of, video_output
from .request import GivenMotion, plan_clip, read_text
from .run import StreamRun, beyond_training, stream_settings
from .saved import new_stream_file

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
            "chunk, nor the GPU memory. With endless on it runs until it is cancelled.",
            search_aliases=[
                "causal video",
                "self forcing",
                "streaming",
                "real time",
                "image to video",
                "follow tracks",
            ],
            inputs=[
                ModelSocket.Input("model", tooltip="A student, from Load MotionStream Model."),
                *clip_inputs(length_input(f"{ANY_LENGTH} The report says which it was.", shortest=0)),
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
                steps_input(),
                positive_input(),
                clip_vision_input(),
                io.String.Input(
                    "save_as",
                    default="",
                    optional=True,
                    tooltip="Writes an mp4 while the stream runs: name below ComfyUI's output folder, a number is "
                    "added. A cancelled stream keeps what it has as .partial.mp4. Empty: no file (endless: "
                    f"{ENDLESS_PREFIX}).",
                ),
                seconds_input(),
                endless_input(
                    "Streams until it is cancelled, whatever length says; the frames go to a file, which is whole when "
                    "you cancel."
                ),
                go_on_input(),
                save_stream_input(),
                decoder_input(),
                credentials_input(),
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
                video_output(),
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
        seconds: float = 0.0,
        endless: bool | None = None,
        go_on_from: Given | None = None,
        save_stream: str = "",
        decoder: Any = None,
        content_credentials: bool = True,
    ) -> io.NodeOutput:
        view, coders = stream_model(model), stream_coders(vae, decoder)
        wanted = WantedLength(length, seconds, endless)
        made = wanted.made_by(view.spec, view.name, goes_on=go_on_from is not None)
        clip = plan_clip(
            view,
            coders,
            image,
            motion,
            role="student",
            width=width,
            height=height,
            num_frames=made.num_frames,
            fit=fit,
            positive=positive,
            go_on_from=go_on_from,
        )
        settings = stream_settings(view.spec, seed, sink_frames, window_frames, steps, clip.saved_settings)
        text = read_text(view, prompt, positive, "positive", clip_vision_output)
        prefix = file_prefix(save_as) or (ENDLESS_PREFIX if clip.num_latent_frames is None else "")
        generated = content_credentials
        saved = SavedStream.at(prefix, clip.size, generated) if prefix else SavedStream.preview(clip.size, generated)
        state_file = new_stream_file(save_stream, clip.size)
        run = StreamRun(view, coders, clip, text, settings, saved, state_file=state_file)
        streamed, pace = with_memory_advice(run, ADVICE)
        kept = [] if state_file is None else [f"saved stream: {option_of(state_file)}"]
        beyond = beyond_training(view.spec, view.name, settings)
        report = "\n".join([pace, f"length: {made.told}", *clip.told, *kept, *beyond])
        logging.info("MotionStream: %s", report.replace("\n", "; "))
        latents = model.model.latent_format.process_out(streamed.latents)
        path = str(saved.path) if saved is not None and saved.kept else ""
        video = video_of(streamed.frames, view.spec.fps)
        result = (streamed.frames, {"samples": latents}, report, view.spec.fps, path, video)
        return io.NodeOutput(*result, ui=None if saved is None else saved.shown())
