"""A live session: a stream that is steered while it runs.

Commands come from any thread at any time and take effect at the next chunk boundary. Every command is logged with the
chunk at which it took effect, so that a live drag can be replayed as a batch job, bit for bit.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from ..geometry import Chunk
from ..models.apart import kept_apart
from ..models.conditioning import Conditions
from ..models.wan import CrossContext
from ..tracks import Tracks
from .blend import BlendedPrompt
from .conditions import StreamConditions
from .decode import StreamingDecoder
from .events import Event, EventKind, PatientKind, log_text, read_events
from .history import Boundary, History
from .image_source import ImageSource
from .live_tracks import LiveTracks, known_text
from .network import SpecifiedNetwork
from .rollout import StepCallback
from .steering import Command, Steering
from .stream import StreamedChunk, StreamSettings, stream_cache, stream_chunks

LOOK_AGAIN_S = 0.25
"""`SessionHooks.wait_s` is asked at least so often: it may raise, which ends the stream."""
SEED_STEP = 7_919_000_003
"""Between the noises of a stream and of what follows when it is anchored anew."""


@dataclass(frozen=True)
class SessionHooks:
    """What is told of a session while it runs, all in its own thread.

    wait_s: seconds until the next chunk shall be begun; asked again and again, 0 or less begins it.
    decoded: frames (t h w 3) in [0, 1] as soon as they are there, one latent frame's at a time.
    taken: the stamps of the samples that the next chunk answers. changed: paused, resumed. went_back: to how many
    frames, and the last of them (h w 3).
    """

    wait_s: Callable[[], float] = lambda: 0.0
    taken: Callable[[list[Any]], None] = lambda stamps: None
    decoded: Callable[[Tensor], None] = lambda frames: None
    changed: Callable[[bool], None] = lambda paused: None
    went_back: Callable[[int, Tensor], None] = lambda num_frames, frame: None


class _Stopped(Exception):
    """The stream ends at this boundary."""


class _Jumped(Exception):
    """The stream goes on from another state than the one that it reached."""


class StreamSession(Steering):
    """A stream and its commands. `run` yields chunks in one thread; the commands of `Steering` may come from others.

    make_conditions: builds the stream's conditions around this session's live tracks.
    encode: prompt -> cross-attention keys, for prompts that change while the stream runs.
    anchor: a frame (h w 3) in [0, 1] -> what `image_source.image_source` makes of it, for `reanchor`.
    history_bytes, history_s: what the states may take, on the CPU, to which `back` can return, and how far back they
        reach; 0 bytes keep none.
    clock: seconds, by which the samples of `add_samples` are timed.
    """

    def __init__(
        self,
        loaded: SpecifiedNetwork,
        decoder: StreamingDecoder,
        make_conditions: Callable[[LiveTracks], StreamConditions],
        encode: Callable[[str], CrossContext],
        *,
        frame_size: tuple[int, int],
        known_tracks: Tracks | None = None,
        settings: StreamSettings | None = None,
        anchor: Callable[[Tensor], ImageSource] | None = None,
        history_bytes: int = 0,
        history_s: float = 30.0,
        hooks: SessionHooks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loaded, self._decoder, self._anchor = loaded, decoder, anchor
        self._settings = settings or StreamSettings()
        self._hooks, self._clock = hooks or SessionHooks(), clock
        self._tracks = LiveTracks(*frame_size, known=known_tracks)
        self._conditions = make_conditions(self._tracks)
        self._cache = stream_cache(loaded, self._conditions.latent_size, self._settings)
        takes_image = anchor is not None and self._conditions.source is not None
        super().__init__(encode, frame_size, takes_image=takes_image, goes_back=history_bytes > 0)
        self._prompt = BlendedPrompt(self._conditions.context, self._conditions.context)
        self._paused = False
        self._replay: deque[Event] | None = None
        self._history = History(history_bytes, history_s * loaded.spec.fps)
        self._resume: Boundary | None = None
        self._first_source = _copied(self._conditions.source)
        self.events: list[Event] = []
        self._begin_anew()

    @property
    def num_chunks(self) -> int:
        """Chunks made, those that were undone not counted."""
        return self._chunk

    @property
    def back_frames(self) -> int:
        """Frames that `back` can undo now."""
        return self.num_frames - self._history.first.num_frames if self._history else 0

    def run(
        self, num_latent_frames: int | None = None, callback: StepCallback | None = None
    ) -> Iterator[StreamedChunk]:
        """The stream's chunks, without end for None; commands take effect between them.

        After `reanchor` chunks are numbered on, and the image that begins the new stream is not yielded again; for a
        length, that stream is as long.
        """
        self._begin_anew()
        self._log_known()
        try:
            yield from self._streams(num_latent_frames, callback)
        finally:
            self._history.clear()

    def take_events(self) -> list[Event]:
        """The events since the last call, no longer held here: whoever takes them keeps the log."""
        events, self.events = self.events, []
        return events

    def log_json(self) -> str:
        """The events so far as JSON, for `replay`; what was undone is not among them."""
        return log_text(self.events)

    def replay(self, log: str) -> None:
        """Steer by a logged session instead of live commands. Raises ValueError for a log of another form."""
        self._replay = deque(read_events(log))

    # At a boundary, in the stream's own thread.

    def _begin_anew(self) -> None:
        self._history.clear()
        self._chunk = self._segment = self._segment_chunk = 0
        self._anchoring, self._segment_frames = False, 0
        self._tracks.offset = 0
        self._frame = torch.zeros(0)
        self._taken_s = self._clock()
        self.num_frames = 0
        self._conditions.source = _copied(self._first_source)

    def _log_known(self) -> None:
        """Tracks that were given beforehand; a replayed log has its own."""
        known = self._tracks.known
        if known is not None and not (self._replay and any(event.kind == "known" for event in self._replay)):
            self._log("known", known_text(known))

    def _streams(self, num_latent_frames: int | None, callback: StepCallback | None) -> Iterator[StreamedChunk]:
        """One stream after another: each begins where the one before was left by going back or by a new anchor."""
        while True:
            first = self._enter()
            chunks = stream_chunks(
                self._loaded,
                self._boundary,
                self._decoder,
                latent_size=self._conditions.latent_size,
                num_latent_frames=num_latent_frames,
                settings=dataclasses.replace(
                    self._settings, seed=(self._settings.seed + self._segment * SEED_STEP) % 2**63
                ),
                callback=callback,
                cache=self._cache,
                first_chunk=first,
                decoded=self._decoded,
            )
            try:
                for streamed in chunks:
                    yield from self._made(streamed)
                return
            except _Stopped:
                return
            except _Jumped:
                continue
            finally:
                chunks.close()

    def _enter(self) -> int:
        """Put the state in place that the stream goes on from; the number of its next chunk within its segment."""
        state, self._resume = self._resume, None
        if state is not None:
            self._cache.restore(state.cache)
            self._decoder.restore(state.decoder)
        return self._segment_chunk

    def _decoded(self, frames: Tensor) -> None:
        if self._anchoring and not self._segment_frames:
            frames = frames[1:]  # the frame that was shown already
        self._segment_frames += len(frames) or 1
        if len(frames):
            self._hooks.decoded(frames)

    def _made(self, streamed: StreamedChunk) -> Iterator[StreamedChunk]:
        frames = streamed.frames[1:] if self._anchoring else streamed.frames
        self._segment_chunk += 1
        self._frame = _alone(streamed.frames[-1])
        self._anchoring = False
        if not len(frames):
            return
        chunk = dataclasses.replace(streamed.chunk, index=self._chunk)
        self._chunk += 1
        self.num_frames += len(frames)
        self._prompt = self._prompt.after_chunk()
        yield StreamedChunk(chunk, streamed.latents, frames)

    def _boundary(self, chunk: Chunk) -> Conditions:
        """`rollout`'s condition source: the chunk before is remembered, and now its commands are taken."""
        if not self._anchoring:
            self._remember()
            self._take_commands()
        self._conditions.context = self._prompt.now()
        return self._conditions(chunk)

    def _take_commands(self) -> None:
        """Wait for the moment to begin, and while paused; apply what came since the last chunk."""
        if self._replay is not None:
            return self._take_replayed(self._replay)
        stamps: list[Any] = []
        with self._changed:
            while True:
                urgent = any(command.kind not in get_args(PatientKind) for command in self._queue)
                delay = self._hooks.wait_s()
                if not urgent and (self._paused or delay > 0):
                    self._changed.wait(LOOK_AGAIN_S if self._paused else min(delay, LOOK_AGAIN_S))
                    continue
                now, samples = self._clock(), [each for each in self._queue if each.kind == "samples"]
                begin = self._begin(now, samples)
                while self._queue:
                    command = self._queue.popleft()
                    stamps += [command.stamp] if command.stamp is not None else []
                    self._apply(command, begin, now)
                if not self._paused and self._hooks.wait_s() <= 0:
                    break
            self._taken_s = now
        self._hooks.taken(stamps)

    def _begin(self, now: float, samples: list[Command]) -> float:
        """The clock's time for which the next chunk's first frame stands, its last one standing for `now`.

        That is when the chunk before was begun; but after a pause, no longer ago than a chunk lasts, or the first
        sample is old.
        """
        plan, spec = self._loaded.spec.chunk_plan, self._loaded.spec
        chunk_s = plan.chunk_frames * spec.vae_stride.time / spec.fps
        times = [sample[2] for each in samples for sample in each.payload["samples"] if len(sample) > 2]
        return max(self._taken_s, min([*times, now - chunk_s]))

    def _take_replayed(self, events: deque[Event]) -> None:
        with self._changed:  # of live commands it takes the one that every stream must take
            if any(command.kind == "stop" for command in self._queue):
                self._log("stop")
                raise _Stopped
        while events and events[0].chunk <= self._chunk:
            event = events.popleft()
            self._apply(Command(event.kind, event.payload), 0.0, 1.0)
        self._paused = False  # a replay has nobody to wait for

    def _apply(self, command: Command, begin: float, now: float) -> None:
        kind, payload = command.kind, command.payload
        if kind == "back":
            return self._go_back(payload)
        if kind == "samples":
            span = max(now - begin, 1e-9)
            samples = [[*each[:2], *(_share((s - begin) / span) for s in each[2:])] for each in payload["samples"]]
            payload = payload | {"samples": samples}
        elif kind == "threads":
            torch.set_num_threads(payload)
        elif kind == "prompt":
            text, blend = (payload, 0) if isinstance(payload, str) else (payload["prompt"], payload["blend_chunks"])
            context = self._encode(text) if command.context is None else command.context
            self._prompt = BlendedPrompt(context, self._prompt.now(), blend)
        self._tracks.apply(kind, payload, self.num_frames)
        self._log(kind, payload)
        if kind == "stop":
            raise _Stopped
        if kind in ("pause", "resume"):
            self._paused = kind == "pause"
            if self._replay is None:
                self._hooks.changed(self._paused)
        elif kind == "reanchor":
            self._anchor_anew()

    def _anchor_anew(self) -> None:
        if not self.num_frames:
            return  # the image is the first frame already
        assert self._anchor is not None
        self._conditions.source = self._anchor(self._frame)
        self._segment, self._segment_chunk = self._segment + 1, 0
        self._tracks.offset = self.num_frames - 1
        self._anchoring, self._segment_frames = True, 0
        raise _Jumped

    def _go_back(self, num_frames: int) -> None:
        if not self._history:
            return  # nothing was made that could be undone
        held = self._tracks.held()
        self._restore(self._history.back_to(self.num_frames - num_frames))
        for track_id in self._tracks.held().keys() - held.keys():
            self._tracks.release(track_id)
            self._log("release", {"track_id": track_id})
        for track_id in held.keys() - self._tracks.held().keys():
            (x, y), grid = held[track_id]
            self._tracks.add(track_id, [(x, y)], grid)
            about = {} if grid is None else {"grid": asdict(grid)}
            self._log("samples", {"track_id": track_id, "samples": [[x, y]], **about})
        self._hooks.went_back(self.num_frames, self._frame)
        raise _Jumped

    def _restore(self, state: Boundary) -> None:
        self.events = [event for event in self.events if event.chunk < state.chunk]
        self._chunk, self._segment, self._segment_chunk = state.chunk, state.segment, state.segment_chunk
        self.num_frames, self._frame, self._prompt = state.num_frames, state.frame, state.prompt
        self._tracks = state.tracks.copy()
        self._conditions.tracks = self._tracks
        self._conditions.source = _copied(state.source)
        self._resume = state

    def _remember(self) -> None:
        if not self.num_frames or not self._history.wants(self._chunk):
            return
        state = Boundary(
            self._chunk,
            self._segment,
            self._segment_chunk,
            self.num_frames,
            self._tracks.copy(),
            self._prompt,
            _copied(self._conditions.source),
            self._cache.state(),
            self._decoder.state(),
            self._frame,
        )
        self._history.keep(state)

    def _log(self, kind: EventKind, payload: Any = None) -> None:
        self.events.append(Event(self._chunk, kind, payload))


def _copied(source: ImageSource | None) -> ImageSource | None:
    return None if source is None else source.copy()


def _alone(frame: Tensor) -> Tensor:
    """A frame that keeps no others of its chunk in memory, where it was."""
    return kept_apart(frame) if frame.device.type == "cpu" else frame.clone()


def _share(value: float) -> float:
    """A time within a chunk: rounded, since it goes into the log and must come back as it was."""
    return round(min(1.0, max(0.0, value)), 4)
