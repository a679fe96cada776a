"""The live node: a student's stream under the hand, on a stage in the graph."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy_api.latest import io
from torch import Tensor

from ...motionstream_core.live.open import Log, with_chunks
from ...motionstream_core.streaming.network import SpecifiedNetwork
from ...motionstream_core.streaming.render.fit import image_tensor
from ...motionstream_core.tracks.npz import load_npz
from ...motionstream_core.tracks.strict_json import require_short
from ..host.conditioning import Conditioning, require_track_head
from ..host.memory import with_memory_advice
from ..host.model import stream_model
from ..host.vae import stream_coders
from ..sockets import ModelSocket, TracksSocket, advanced, credentials_input, schema, seed_input
from .inputs import clip_inputs, clip_vision_input, decoder_input, positive_input, steps_input
from .length import ANY_LENGTH, WantedLength, endless_input, length_input, seconds_input
from .live_stage import Stage, Wish, uint8_image
from .output import file_prefix, video_of, video_output
from .request import Clip, GivenMotion, plan_clip, read_text
from .run import beyond_training, stream_settings

BY_HAND, AT_ONCE = "by hand", "at once"
PREFIX = "motionstream/live"
ADVICE = "lower width and height"


class MotionStreamLive(io.ComfyNode):
    """A stage in the graph: press Enter, drag, and the video answers."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="MotionStreamLive",
            display_name="MotionStream Live",
            category="MotionStream/stream",
            description="Streams video in real time under your hand. Queue the workflow: the stage opens in this node. "
            "Enter begins and ends, Space pauses, drag moves what lies under the pointer. Everything is recorded.",
            search_aliases=["real time", "interactive", "streaming", "steer by hand", "drag while it runs"],
            inputs=[
                ModelSocket.Input("model", tooltip="A student with a track head, from Load MotionStream Model."),
                *clip_inputs(length_input(f"{ANY_LENGTH} It ends there, where endless is off.", shortest=0)),
                seed_input(),
                io.Combo.Input(
                    "start",
                    options=[BY_HAND, AT_ONCE],
                    default=BY_HAND,
                    tooltip="by hand: waits for Enter on the stage. at once: begins by itself, as a job from the API "
                    "does that gives its tracks; a hand may join.",
                ),
                io.Boolean.Input(
                    "hold_rest",
                    default=True,
                    tooltip="Begins with everything kept still that no hand moves; what a hand lets go stays where it "
                    "was let go. Off: it moves as the model likes. The stage has a switch for it.",
                ),
                io.Int.Input(
                    "wait_seconds",
                    default=600,
                    min=1,
                    max=86400,
                    tooltip="For so long it waits for Enter, and for somebody to watch, and ends then.",
                    **advanced(),
                ),
                io.Int.Input(
                    "chunk_frames",
                    default=-1,
                    min=-1,
                    max=100,
                    tooltip="Latent frames made at a time: fewer answer sooner and follow less well. -1: as the "
                    "checkpoint was trained. 1 suits bundled/photo_student, 2 bundled/student.",
                    **advanced(),
                ),
                steps_input(),
                io.Int.Input(
                    "keep_frames",
                    default=480,
                    min=1,
                    max=1_000_000,
                    tooltip="The newest frames that go on to the next node; the file has them all.",
                    **advanced(),
                ),
                io.String.Input(
                    "log",
                    default="",
                    tooltip="A recorded stream's .log.json, below ComfyUI's output folder, or its text: that stream is "
                    "made again, without a hand. Size, prompt, seed and chunks are the log's.",
                    **advanced(),
                ),
                io.String.Input(
                    "save_as",
                    default=PREFIX,
                    tooltip="Name of the recordings below ComfyUI's output folder; a number is added.",
                    **advanced(),
                ),
                positive_input(),
                clip_vision_input(),
                seconds_input(),
                endless_input("Ends when you end it, whatever length says.", default=True),
                decoder_input(),
                credentials_input(),
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="The newest frames (keep_frames), (T, H, W, 3) in 0..1."
                ),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
                TracksSocket.Output("tracks", display_name="tracks", tooltip="What the hand did, as TRACKS."),
                io.String.Output("file", display_name="file", tooltip="Path of the mp4."),
                io.String.Output("log_file", display_name="log", tooltip="Path of the log: it makes the stream again."),
                video_output(),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, start: str, log: str, **others: Any) -> Any:
        """A hand does something else every time."""
        return time.time() if start == BY_HAND and not log else log

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
        start: str,
        hold_rest: bool,
        wait_seconds: int,
        chunk_frames: int,
        steps: int,
        keep_frames: int,
        log: str,
        save_as: str,
        image: Tensor | None = None,
        motion: GivenMotion | None = None,
        positive: Conditioning | None = None,
        clip_vision_output: Any = None,
        seconds: float = 0.0,
        endless: bool | None = None,
        decoder: Any = None,
        content_credentials: bool = True,
    ) -> io.NodeOutput:
        view, coders = stream_model(model), stream_coders(vae, decoder)
        require_track_head(view.spec, "model")
        if chunk_frames == 0:
            raise ValueError("chunk_frames: it is 0; use at least 1, or -1 for as many as in training")
        read = _read_log(log.strip()) if log.strip() else None
        if read is not None:
            prompt, seed, positive = read.about.prompt, read.about.seed, positive if not read.about.prompt else None
            width, height = read.about.width, read.about.height
            chunk_frames, steps = read.about.chunk_frames // view.spec.vae_stride.time, read.about.steps
            picture = read.picture()
            image = image if picture is None else torch.from_numpy(picture)[None].float() / 255
        chunk, wanted = None if chunk_frames < 0 else chunk_frames, WantedLength(length, seconds, endless)
        clip = plan_clip(
            view,
            coders,
            image,
            motion,
            role="student",
            width=width,
            height=height,
            num_frames=None,
            fit=fit,
            positive=positive,
        )
        for line in clip.told:
            logging.info("MotionStream Live: %s", line)
        settings = stream_settings(view.spec, seed, steps=steps)
        for remark in beyond_training(view.spec, view.name, settings):
            logging.warning("MotionStream Live: %s", remark)
        wish = Wish(
            prompt,
            settings,
            chunk,
            _num_chunks(with_chunks(view, chunk), view.name, wanted) if read is None else read.num_chunks,
            start == AT_ONCE or read is not None,
            hold_rest and read is None,
            wait_seconds,
            keep_frames,
            file_prefix(save_as) or PREFIX,
            read,
            content_credentials,
        )
        text = read_text(view, prompt, positive, "positive", clip_vision_output)
        stage = Stage(view, coders, _as_recorded(clip), text, wish, str(cls.hidden.unique_id))
        outcome = with_memory_advice(stage, ADVICE)
        assert outcome.files.video is not None
        tracks = load_npz(outcome.files.tracks, most_samples=sys.maxsize).to_payload()  # its own
        folder = outcome.files.video.parent.relative_to(folder_paths.get_output_directory())
        shown = {"filename": outcome.files.video.name, "subfolder": folder.as_posix(), "type": "output"}
        frames = outcome.frames.float() / 255
        return io.NodeOutput(
            frames,
            view.spec.fps,
            tracks,
            str(outcome.files.video),
            str(outcome.files.log),
            video_of(frames, view.spec.fps),
            ui={"images": [shown], "animated": (True,)},
        )


def _num_chunks(network: SpecifiedNetwork, name: str, wanted: WantedLength) -> int | None:
    """Chunks of the length that is made, at least one that moves; None for no end."""
    spec = network.spec
    made = wanted.made_by(spec, name)
    if made.num_frames is None:
        return None
    logging.info("MotionStream Live: length: %s", made.told)
    num_frames = spec.lengths.moving.at_least(made.num_frames)
    return spec.chunk_plan.num_chunks(spec.vae_stride.num_latent_frames(num_frames))


def _read_log(log: str) -> Log:
    if log.startswith("{"):
        require_short(log, "log")
        return _named(lambda: Log.parse(log))
    output = Path(folder_paths.get_output_directory()).resolve()
    path = (output / log).resolve()
    if not path.is_relative_to(output):
        raise ValueError(f"log: {log} lies outside ComfyUI's output folder")
    if not path.is_file():
        raise ValueError(f"log: there is no file {path}; give a recorded stream's .log.json")
    return _named(lambda: Log.read(path))


def _named(read: Callable[[], Log]) -> Log:
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"log: {error}") from None


def _as_recorded(clip: Clip) -> Clip:
    """The image with the 256 steps that its file has, so that a replay begins with the same."""
    pixels = uint8_image(clip.image)
    return clip if pixels is None else replace(clip, image=image_tensor(pixels)[None, :, None])
