"""One live stream: a session made just in time, recorded, and shown to whoever watches."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..streaming.session import SessionHooks, StreamSession
from ..tracks.drawn.document import Grid
from . import protocol
from .audience import Audience, Viewer
from .protocol import MessageError
from .recording import About, Files, Recording, free_name
from .screen import Answer, Screen
from .threads import ThreadTuner

State = Literal["ready", "running", "paused", "ended"]
HELD_POINTS = 8
"""Points along the frame's shorter side that hold what no hand moves."""
AWAY_S = 2.0
"""With nobody there for so long a stream is held, until somebody is."""


@dataclass(frozen=True)
class LiveAbout:
    """What a viewer is told of a stream.

    words: those that its prompts may have, None for any. hold: whether it begins with everything held still that no
    hand moves.
    """

    recording: About
    words: tuple[str, ...] | None = None
    can_prompt: bool = True
    hold: bool = False


MakeSession = Callable[[SessionHooks], StreamSession]


@dataclass
class LiveRun:
    """A stream that waits for a hand, runs, and ends; commands and viewers come from other threads.

    make: builds the session around the hooks. picture: uint8 (h w 3), the first image. folder: of the recordings.
    wait_s, idle_s: without a start, or without a viewer, for so long it ends. started: it does not wait for a start.
    num_chunks: it ends after so many. stem: of the recordings' names. file_url: where a viewer finds a file.
    credentials: recordings say that a model made them.
    clock: seconds.
    """

    make: MakeSession
    about: LiveAbout
    picture: NDArray[np.uint8] | None
    folder: Path
    wait_s: float = 600.0
    idle_s: float = 300.0
    started: bool = False
    num_chunks: int | None = None
    stem: str = "live"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    file_url: Callable[[Path], str | None] = lambda path: path.name
    credentials: bool = True
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.state: State = "ready"
        self.files: Files | None = None
        self.reason = self.note = ""
        self.prompt = self.about.recording.prompt
        self.audience = Audience(self.started, self.clock)
        self._started, self._ended = threading.Event(), threading.Event()
        if self.started:
            self._started.set()
        self._held_for_absence = False
        self.screen = Screen(self.about.recording, self.audience, self.device, self.clock)
        self._in_hand: set[int] = set()
        self._alive: Callable[[], None] = lambda: None
        self._recording: Recording | None = None
        self.holds = False
        self._threads: ThreadTuner | None = None
        self._pieces: list[NDArray[np.uint8]] = []
        hooks = SessionHooks(self._wait_s, self.screen.begin, self._decoded, self._changed, self._went_back)
        self.session = self.make(hooks)
        if self.about.hold:
            self._hold(True)

    @property
    def num_frames(self) -> int:
        """Frames made, those that were undone not counted."""
        return self.screen.num_frames

    # For viewers and commands: any thread.

    def join(self, viewer: Viewer) -> None:
        """Somebody watches from now on; a stream that was held since nobody did goes on."""
        self.audience.join(viewer)
        self._go_on()

    def describe(self) -> dict[str, Any]:
        """What changes while it runs, for viewers."""
        return {
            "prompt": self.prompt,
            "state": self.state,
            "hold": self.holds,
            "back_s": round(self.session.back_frames / self.about.recording.fps, 2),
            "num_frames": self.num_frames,
            "message": self.reason or self.note,
        }

    def say(self, note: str) -> None:
        """Something that viewers shall know while it runs; told when it changes."""
        if note != self.note:
            self.note = note
            self.announce()

    def announce(self) -> None:
        """Tell every viewer of the state."""
        self.audience.tell({"type": "state", **self.describe()})

    def command(self, message: protocol.Message, to_clock: Callable[[float], float]) -> None:
        """Do what a client says. to_clock: the client's ms -> this stream's clock, s. Raises MessageError."""
        if self.state == "ended":
            raise MessageError("type", "the stream has ended")
        try:
            self._command(message, to_clock)
        except MessageError:
            raise
        except ValueError as error:
            raise MessageError(message.type, str(error)) from None

    def let_go(self) -> None:
        """Release every track that is in hand."""
        for hand in list(self._in_hand):
            self.session.release(hand)
        self._in_hand.clear()

    def stop(self, reason: str = "") -> None:
        """End within a chunk."""
        self.reason = self.reason or reason
        self._started.set()
        self.session.stop()

    def _command(self, message: protocol.Message, to_clock: Callable[[float], float]) -> None:
        session = self.session
        if isinstance(message, protocol.Samples):
            samples = [(x, y, to_clock(t_ms)) for x, y, t_ms in message.samples]
            stamp = Answer(message.id, message.samples[0][2], message.id not in self._in_hand)
            self._in_hand.add(message.id)
            grid = None if message.grid is None else Grid(**message.grid.model_dump())
            session.add_samples(message.id, list(samples), grid, stamp=stamp)
        elif isinstance(message, protocol.Release):
            self._in_hand.discard(message.id)
            session.release(message.id)
        elif isinstance(message, protocol.Play):
            session.play(json.dumps(message.document))
        elif isinstance(message, protocol.Prompt):
            if not self.about.can_prompt:
                raise MessageError("text", "this stream's prompt comes from another encoder and cannot change")
            session.set_prompt(message.text, message.blend_chunks)
            self.prompt = message.text
            self.announce()
        elif isinstance(message, protocol.Back):
            session.back(round(message.seconds * self.about.recording.fps))
        elif isinstance(message, protocol.Hold):
            self._hold(message.on)
            self.announce()
        elif isinstance(message, protocol.Start):
            self._started.set()
        elif isinstance(message, protocol.Stop):
            self.stop("stopped")
        elif isinstance(message, protocol.Pause | protocol.Resume | protocol.Clear | protocol.Reanchor):
            self._held_for_absence = False
            if message.type == "clear":
                self._in_hand.clear()
            getattr(session, message.type)()

    def _hold(self, on: bool) -> None:
        about = self.about.recording
        self.holds = on
        self.session.hold(min(about.width, about.height) / HELD_POINTS if on else 0.0)

    # The stream itself: the thread that calls `run`.

    def run(self, alive: Callable[[], None] = lambda: None) -> Iterator[Tensor]:
        """Wait for a start, then make video until stopped; yields frames (t h w 3), uint8 on the CPU, as they come.

        alive: called often, also while it waits; may raise, which ends the stream and keeps what was recorded.
        """
        self.audience.begin()
        if self.picture is not None:
            self.screen.picture(self.picture)
        ticker = threading.Thread(target=self._watch_absence, name="motionstream-idle", daemon=True)
        ticker.start()
        self._alive = alive
        threads = torch.get_num_threads()
        try:
            if self._wait_for_start():
                yield from self._make()
        except BaseException as error:
            self.reason = self.reason or _plain(error)
            raise
        finally:
            torch.set_num_threads(threads)
            self._end()
            self.audience.end()
            self._finish()

    def _wait_for_start(self) -> bool:
        until = self.clock() + self.wait_s
        while not self._started.wait(0.2):
            self._alive()
            if self.clock() > until:
                self.reason = f"nobody began within {self.wait_s:g} s"
                return False
        return not self.reason

    def _make(self) -> Iterator[Tensor]:
        self._set_state("running")
        self.screen.rest()
        if self.device.type == "cpu" and self.num_chunks is None:
            most = max(1, torch.get_num_threads() - 1)  # one is left to whoever shows it: the browser, the encoders
            self.session.set_threads(most)
            self._threads = ThreadTuner(most, self.session.set_threads, self.clock)
        for streamed in self.session.run():
            pixels, self._pieces = np.concatenate(self._pieces), []
            events = self.session.take_events()
            if self._recording is None:
                name = free_name(self.folder, self.stem)
                self._recording = Recording(
                    self.folder, name, self.about.recording, self.picture, generated=self.credentials
                )
            self._recording.push(streamed.chunk.index, pixels, events)
            if self._threads is not None and len(pixels) == self.about.recording.chunk_frames:
                lasts_s = len(pixels) / self.about.recording.fps
                self._threads.made(self.clock() - self.screen.begun, lasts_s)
            yield torch.from_numpy(pixels)
            self._alive()
            if self.num_chunks is not None and self.session.num_chunks >= self.num_chunks:
                self.reason = "done"
                return

    def _end(self) -> None:
        if self._recording is not None:
            try:
                self.files = self._recording.finish(self.session.take_events())
            except Exception as error:
                self.reason = f"{self.reason}; the recording could not be finished: {error}".lstrip("; ")
                logging.exception("MotionStream: the recording could not be finished")

    def _finish(self) -> None:
        self.state = "ended"
        files = {}
        for name in ("video", "tracks", "document", "log"):
            path = None if self.files is None else getattr(self.files, name)
            files[name] = None if path is None else self.file_url(path)
        self.announce()
        self.audience.tell({"type": "ended", "reason": self.reason, "files": files})
        self._ended.set()

    # Hooks of the session: in the stream's thread.

    def _wait_s(self) -> float:
        self._alive()
        return self.screen.wait_s()

    def _decoded(self, frames: Tensor) -> None:
        pixels = _pixels(frames)
        session = self.session
        self.screen.show(session.num_chunks, pixels, session.back_frames, begins_chunk=not self._pieces)
        self._pieces.append(pixels)

    def _changed(self, paused: bool) -> None:
        self.screen.rest()
        self._set_state("paused" if paused else "running")

    def _went_back(self, num_frames: int, frame: Tensor) -> None:
        session = self.session
        if self._recording is not None:
            self._recording.back(session.num_chunks)
        self._pieces = []
        self.screen.went_back(num_frames, session.num_chunks - 1, _pixels(frame[None])[0], session.back_frames)
        self.announce()

    def _set_state(self, state: State) -> None:
        self.state = state
        self.announce()

    def _watch_absence(self) -> None:
        while not self._ended.wait(0.5):
            away = self.audience.away_s
            if away > self.idle_s:
                self.stop(f"nobody watched for {self.idle_s:g} s")
            elif away > AWAY_S and self.state == "running" and not (self.started or self._held_for_absence):
                self._held_for_absence = True
                self.session.pause()
                if not self.audience.away_s:  # somebody came just now
                    self._go_on()

    def _go_on(self) -> None:
        """After `_watch_absence` held it; what a user paused stays paused."""
        if self._held_for_absence:
            self._held_for_absence = False
            self.session.resume()


def _pixels(frames: Tensor) -> NDArray[np.uint8]:
    return (frames * 255 + 0.5).to(torch.uint8).cpu().numpy()


def _plain(error: BaseException) -> str:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return "out of memory: lower width and height, or the window; what was made is kept"
    return str(error) or type(error).__name__
