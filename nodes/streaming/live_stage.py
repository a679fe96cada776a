"""One run of the live node: models made ready, a stream opened to its page, its newest frames kept."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import comfy.model_management as mm
import folder_paths
import numpy as np
import torch
from torch import Tensor

from ...motionstream_core.live.open import HISTORY_BYTES, HISTORY_S, Log, about_of, live_session, with_chunks
from ...motionstream_core.live.recording import Files, repair
from ...motionstream_core.live.run import LiveAbout, LiveRun
from ...motionstream_core.models.wan import CrossContext
from ...motionstream_core.streaming.image_source import ImageSource
from ...motionstream_core.streaming.network import SpecifiedNetwork
from ...motionstream_core.streaming.session import SessionHooks, StreamSession
from ...motionstream_core.streaming.stream import StreamSettings
from ...motionstream_core.tracks import Tracks
from ..host.live_routes import HUB, tell_client, view_url, waiting_jobs
from ..host.model import StreamModel, make_ready, running
from ..host.preview import has_client
from ..host.vae import Coders
from .output import new_path
from .request import Clip, Text, clip_image_source, read_text
from .run import working_bytes

LOOK_S = 1.0


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
    credentials: bool = True


@dataclass(frozen=True)
class Outcome:
    """frames: the newest, uint8 (t h w 3)."""

    frames: Tensor
    files: Files


@dataclass(frozen=True)
class Stage:
    """One run of the node."""

    model: StreamModel
    coders: Coders
    clip: Clip
    text: Text
    wish: Wish
    node: str

    @torch.inference_mode()
    def __call__(self) -> Outcome:
        wish, spec = self.wish, self.model.spec
        folder, stem, *_ = new_path(wish.prefix, folder_paths.get_output_directory(), self.clip.size)
        for files in repair(folder):
            logging.info("MotionStream: made whole what an earlier stream left: %s", files.video or files.log)
        make_ready(self.coders.encoder)
        image = clip_image_source(spec, self.coders.encoder, self.clip)
        make_ready(self.model, *self.coders.all, memory_required=working_bytes(spec, self.clip, wish.settings))
        with running(self.model) as loaded:
            network = with_chunks(loaded, wish.chunk_frames)
            about = about_of(network.spec, self.model.name, wish.prompt, self.clip.size, wish.settings)
            has_words = self.model.network.text_encoder is not None
            run = LiveRun(
                lambda hooks: self._session(network, image, hooks),
                LiveAbout(about, spec.vocabulary or None, has_words, hold=wish.hold),
                uint8_image(self.clip.image),
                folder,
                wait_s=wish.wait_s,
                idle_s=wish.wait_s,
                started=wish.at_once,
                num_chunks=wish.num_chunks,
                stem=stem,
                device=self.model.device,
                file_url=view_url,
                credentials=wish.credentials,
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

    def _given_tracks(self) -> Tracks | None:
        """A log has its own, but for those of older versions."""
        log, tracks = self.wish.log, self.clip.tracks
        return None if not tracks.num_tracks or (log is not None and log.holds_given) else tracks

    def _session(self, network: SpecifiedNetwork, image: ImageSource | None, hooks: SessionHooks) -> StreamSession:
        def encode(prompt: str) -> CrossContext:
            with torch.inference_mode():
                return read_text(self.model, prompt, None, "positive").context(self.model)

        return live_session(
            network,
            self.coders.decoder.decoder(),
            self.coders.encoder,
            self.text.context(self.model),
            encode,
            source=image,
            frame_size=self.clip.size,
            known_tracks=self._given_tracks(),
            settings=self.wish.settings,
            history_bytes=0 if self.wish.log is not None else HISTORY_BYTES,
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
        if not len(self._run.audience):
            self._tell()
        waiting = waiting_jobs()
        self._run.say(f"{waiting} more in the queue, until this one ends" if waiting else "")


def uint8_image(image: Tensor | None) -> np.ndarray | None:
    """(h w 3) of an image (1 3 1 h w) in [0, 1]."""
    return None if image is None else (image[0, :, 0].permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).cpu().numpy()
