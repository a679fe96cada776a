"""The live node: a student's stream under the hand, on a stage in the graph."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import numpy as np
import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from ...motionstream_core.live.open import HISTORY_BYTES, HISTORY_S, Log, about_of, with_chunks
from ...motionstream_core.live.recording import Files, repair
from ...motionstream_core.live.run import LiveAbout, LiveRun
from ...motionstream_core.models.wan import CrossContext
from ...motionstream_core.streaming.conditions import StreamConditions, image_latents
from ...motionstream_core.streaming.live_tracks import LiveTracks
from ...motionstream_core.streaming.network import SpecifiedNetwork
from ...motionstream_core.streaming.session import SessionHooks, StreamSession
from ...motionstream_core.streaming.stream import StreamSettings
from ...motionstream_core.tracks.npz import load_npz
from ..host.conditioning import Conditioning, require_track_head
from ..host.live_routes import HUB, tell_client, view_url, waiting_jobs
from ..host.memory import with_memory_advice
from ..host.model import StreamModel, make_ready, running, stream_model
from ..host.preview import has_client
from ..host.vae import Vae, stream_vae
from ..sockets import ModelSocket, TracksSocket, advanced, schema, seed_input
from .inputs import clip_inputs, clip_vision_input, positive_input
from .request import Clip, GivenMotion, Text, clip_image_latents, plan_clip, read_text
from .run import stream_settings, working_bytes

BY_HAND, AT_ONCE = "by hand", "at once"
PREFIX = "motionstream/live"
LOOK_S = 1.0
ADVICE = "lower width and height"


@dataclass(frozen=True)
class Wish:
    """What the node was asked for, beside its clip. num_chunks: None until it is stopped."""

    prompt: str
    settings: StreamSettings
    chunk_frames: int | None
    num_chunks: int | None
    at_once: bool
    hold: bool
    wait_s: float
    keep_frames: int
    prefix: str
    log: Log | None = None


@dataclass(frozen=True)
class Outcome:
    """frames: the newest, uint8 (t h w 3)."""

    frames: Tensor
    files: Files


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
            search_aliases=["real time", "drag", "interactive", "streaming", "steer", "webcam", "live"],
            inputs=[
                ModelSocket.Input("model", tooltip="A student with a track head, from Load MotionStream Model."),
                *clip_inputs("Number of frames after which it ends; 0: when you end it.", 0, default=0),
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
                    "checkpoint was trained. The bundled model answers within half a second with 2.",
                    **advanced(),
                ),
                io.Int.Input(
                    "steps",
                    default=-1,
                    min=-1,
                    max=100,
                    tooltip="Denoise steps per chunk: fewer answer sooner. -1 (or 0): as the checkpoint was trained.",
                    **advanced(),
                ),
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
            ],
            outputs=[
                io.Image.Output(
                    "frames", display_name="frames", tooltip="The newest frames (keep_frames), (T, H, W, 3) in 0..1."
                ),
                io.Float.Output("fps", display_name="fps", tooltip="Frames per second that the model was trained at."),
                TracksSocket.Output("tracks", display_name="tracks", tooltip="What the hand did, as TRACKS."),
                io.String.Output("file", display_name="file", tooltip="Path of the mp4."),
                io.String.Output("log_file", display_name="log", tooltip="Path of the log: it makes the stream again."),
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
    ) -> io.NodeOutput:
        view, coder = stream_model(model), stream_vae(vae)
        require_track_head(view.spec, "model")
        if chunk_frames == 0:
            raise ValueError("chunk_frames: it is 0; use at least 1, or -1 for as many as in training")
        read = _read_log(log.strip()) if log.strip() else None
        if read is not None:
            prompt, seed, positive = read.about.prompt, read.about.seed, positive if not read.about.prompt else None
            width, height, length = read.about.width, read.about.height, 0
            chunk_frames, steps = read.about.chunk_frames // view.spec.vae_stride.time, read.about.steps
            image = _log_image(read) if read.image is not None else image
        network = with_chunks(view, None if chunk_frames < 0 else chunk_frames)
        clip = plan_clip(
            view, coder, image, motion, role="student", width=width, height=height, length=0, fit=fit, positive=positive
        )
        wish = Wish(
            prompt,
            stream_settings(view.spec, seed, steps=steps),
            None if chunk_frames < 0 else chunk_frames,
            _num_chunks(network, length) if read is None else read.num_chunks,
            start == AT_ONCE or read is not None,
            hold_rest and read is None,
            wait_seconds,
            keep_frames,
            save_as.strip() or PREFIX,
            read,
        )
        text = read_text(view, prompt, positive, "positive", clip_vision_output)
        stage = _Stage(view, coder, _as_recorded(clip), text, wish, str(cls.hidden.unique_id))
        outcome = with_memory_advice(stage, ADVICE)
        assert outcome.files.video is not None
        tracks = load_npz(outcome.files.tracks).to_payload()
        folder = outcome.files.video.parent.relative_to(folder_paths.get_output_directory())
        shown = {"filename": outcome.files.video.name, "subfolder": folder.as_posix(), "type": "output"}
        return io.NodeOutput(
            outcome.frames.float() / 255,
            view.spec.fps,
            tracks,
            str(outcome.files.video),
            str(outcome.files.log),
            ui={"images": [shown], "animated": (True,)},
        )


@dataclass(frozen=True)
class _Stage:
    """One run of the node."""

    model: StreamModel
    vae: Vae
    clip: Clip
    text: Text
    wish: Wish
    node: str

    @torch.inference_mode()
    def __call__(self) -> Outcome:
        wish, spec = self.wish, self.model.spec
        folder, stem, *_ = folder_paths.get_save_image_path(
            wish.prefix, folder_paths.get_output_directory(), self.clip.size[1], self.clip.size[0]
        )
        for files in repair(Path(folder)):
            logging.info("MotionStream: made whole what an earlier stream left: %s", files.video or files.log)
        make_ready(self.vae)
        latents = clip_image_latents(spec, self.vae, self.clip)
        settings = wish.settings
        make_ready(self.model, self.vae, memory_required=working_bytes(spec, self.clip, settings))
        with running(self.model) as loaded:
            network = with_chunks(loaded, wish.chunk_frames)
            about = about_of(network.spec, self.model.name, wish.prompt, self.clip.size, settings)
            has_words = self.model.network.text_encoder is not None
            run = LiveRun(
                lambda hooks: self._session(network, latents, settings, hooks),
                LiveAbout(about, spec.vocabulary or None, has_words, hold=wish.hold),
                _uint8(self.clip.image),
                Path(folder),
                wait_s=wish.wait_s,
                idle_s=wish.wait_s,
                started=wish.at_once,
                num_chunks=wish.num_chunks,
                stem=stem,
                device=self.model.device,
                file_url=view_url,
            )
            if wish.log is not None:
                run.session.replay(wish.log.text)
            return self._shown(run)

    def _shown(self, run: LiveRun) -> Outcome:
        session = HUB.open(run)
        tell_client(self.node, session, "open")
        if not self.wish.at_once:
            logging.info("MotionStream: the live stream waits for a start, for %g s. %s", self.wish.wait_s, _where())
        newest = _Newest(self.wish.keep_frames + round(HISTORY_S * self.model.spec.fps))
        try:
            for frames in run.run(_Look(run, lambda: tell_client(self.node, session, "open"))):
                newest.add(frames, run.num_frames)
        finally:
            HUB.close(session)
            tell_client(self.node, session, "closed")
        if run.files is None or run.files.video is None:
            raise ValueError(f"start: {run.reason or 'ended before it began'}; no frame was made")
        newest.cut(run.num_frames)
        return Outcome(newest.frames()[-self.wish.keep_frames :], run.files)

    def _session(
        self, network: SpecifiedNetwork, latents: Tensor | None, settings: StreamSettings, hooks: SessionHooks
    ) -> StreamSession:
        spec, clip = network.spec, self.clip

        def conditions(tracks: LiveTracks) -> StreamConditions:
            context = self.text.context(self.model)
            return StreamConditions(network.model, spec, context, tracks, latents=latents, frame_size=clip.size)

        def encode(prompt: str) -> CrossContext:
            with torch.inference_mode():
                return read_text(self.model, prompt, None, "positive").context(self.model)

        def anchor(frame: Tensor) -> Tensor:
            given = image_latents(spec, self.vae, frame.permute(2, 0, 1)[None, :, None])
            assert given is not None
            return given

        return StreamSession(
            network,
            self.vae.decoder(),
            conditions,
            encode,
            frame_size=clip.size,
            known_tracks=clip.tracks if clip.tracks.num_tracks else None,
            settings=settings,
            anchor=anchor,
            history_bytes=0 if self.wish.log is not None else HISTORY_BYTES,
            history_s=HISTORY_S,
            hooks=hooks,
        )


class _Newest:
    """The newest frames of a stream that can go back; at least `keep` of them, where there were so many."""

    def __init__(self, keep: int) -> None:
        self._keep, self._parts = keep, deque[Tensor]()
        self._held = self._end = 0

    def add(self, frames: Tensor, end: int) -> None:
        """Frames (t h w 3) with which the stream has `end`; where it had more before, they are undone."""
        self.cut(end - len(frames))
        self._parts.append(frames)
        self._held, self._end = self._held + len(frames), end
        while self._held - len(self._parts[0]) >= self._keep:
            self._held -= len(self._parts.popleft())

    def cut(self, end: int) -> None:
        """The stream has `end` frames; those that it had after them are undone."""
        undone, self._end = self._end - end, end
        while undone > 0 and self._parts:
            part = self._parts.pop()
            left = part[: max(0, len(part) - undone)]
            self._held -= len(part) - len(left)
            undone -= len(part)
            if len(left):
                self._parts.append(left)

    def frames(self) -> Tensor:
        """All of them."""
        return torch.cat(list(self._parts))


def _where() -> str:
    """Who can start a stream that waits."""
    if has_client():
        return "Enter on its node's stage starts it"
    return "The job names no client_id, so nobody is told of it: name one, or set start to 'at once'"


class _Look:
    """Called often by the stream: raises the host's interrupt, tells of jobs that wait, tells a page anew."""

    def __init__(self, run: LiveRun, tell: Callable[[], None]) -> None:
        self._run, self._next, self._tell = run, 0.0, tell

    def __call__(self) -> None:
        mm.throw_exception_if_processing_interrupted()
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        if not self._run.num_viewers:
            self._tell()
        waiting = waiting_jobs()
        self._run.say(f"{waiting} more in the queue, until this one ends" if waiting else "")


def _num_chunks(network: SpecifiedNetwork, length: int) -> int | None:
    """Chunks of `length` frames, None for 0. Raises ValueError naming the nearest lengths."""
    if length == 0:
        return None
    spec = network.spec
    try:
        spec.lengths.moving.check(length)
        return spec.chunk_plan.num_chunks(spec.vae_stride.num_latent_frames(length))
    except ValueError as error:
        raise ValueError(f"length: {error}") from None


def _read_log(log: str) -> Log:
    if log.startswith("{"):
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


def _log_image(log: Log) -> Tensor:
    assert log.image is not None
    return torch.from_numpy(np.asarray(Image.open(log.image).convert("RGB")).copy())[None].float() / 255


def _uint8(image: Tensor | None) -> np.ndarray | None:
    """(h w 3) of an image (1 3 1 h w) in [0, 1]."""
    return None if image is None else (image[0, :, 0].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def _as_recorded(clip: Clip) -> Clip:
    """The image with the 256 steps that its file has, so that a replay begins with the same."""
    pixels = _uint8(clip.image)
    return (
        clip if pixels is None else replace(clip, image=torch.from_numpy(pixels).permute(2, 0, 1)[None, :, None] / 255)
    )
