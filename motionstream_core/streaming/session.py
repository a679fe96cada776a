"""A live session: a stream that is steered while it runs.

Commands come from any thread at any time and take effect at the next chunk boundary. Every command is logged with the
chunk at which it took effect, so that a live drag can be replayed as a batch job, bit for bit.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch

from ..models.wan import CrossContext
from ..tracks import NUM_IDS, Tracks
from .conditions import KnownTracks, StreamConditions
from .decode import StreamingDecoder
from .network import SpecifiedNetwork
from .rollout import StepCallback
from .stream import StreamedChunk, StreamSettings, stream_chunks

EventKind = Literal["samples", "release", "prompt", "pause", "resume", "stop"]
LOG_VERSION = 1


@dataclass(frozen=True)
class Event:
    """A command, and the chunk before which it took effect."""

    chunk: int
    kind: EventKind
    payload: Any = None


class LiveTracks:
    """Track samples under a live hand.

    The samples of one track that arrived since the last chunk are spread evenly over the next chunk's frames, from
    where the track stood; without new samples it stands still; released, it is invisible and keeps its id. In a chunk
    of one frame a new track shows its first sample; the others follow in the next chunk.
    """

    def __init__(self, height: int, width: int, known: Tracks | None = None) -> None:
        self.height, self.width = height, width
        self._known = known
        self._last: dict[int, tuple[float, float]] = {}
        self._pending: dict[int, list[tuple[float, float]]] = {}

    def add(self, track_id: int, samples: list[tuple[float, float]]) -> None:
        """New positions (x, y) px of a track, oldest first; takes the track in hand if it is new or was released."""
        self._pending.setdefault(track_id, []).extend(samples)

    def release(self, track_id: int) -> None:
        """Let a track go."""
        self._pending.pop(track_id, None)
        self._last.pop(track_id, None)

    def at_frames(self, start: int, stop: int) -> Tracks:
        """Tracks of the next chunk's frames [start, stop)."""
        count = stop - start
        ids = sorted(self._last.keys() | self._pending.keys())
        points = torch.zeros(count, len(ids), 2)
        for column, track_id in enumerate(ids):
            way = self._pending.pop(track_id, [])
            if track_id in self._last:
                way = [self._last[track_id], *way]
            elif count == 1:  # the image alone shows where a stroke begins; the rest of it is still to be drawn
                way, later = way[:1], way[1:]
                if later:
                    self._pending[track_id] = later
            points[:, column] = _spread(way, count, track_id in self._last)
            self._last[track_id] = way[-1]
        live = Tracks(
            points,
            torch.ones(count, len(ids), dtype=torch.bool),
            self.height,
            self.width,
            torch.tensor(ids, dtype=torch.long),
        )
        if self._known is None:
            return live
        return Tracks.concatenate(
            [live, KnownTracks(self._known).at_frames(start, stop).rescaled(self.height, self.width)]
        )


def _spread(way: list[tuple[float, float]], count: int, from_last: bool) -> torch.Tensor:
    """(count 2): positions evenly along `way` in time; its first entry is where the last chunk ended if from_last."""
    stops = torch.tensor(way, dtype=torch.float32)
    if from_last:
        place = torch.arange(1, count + 1) / count * (len(way) - 1)
    else:
        place = torch.linspace(0, len(way) - 1, count)
    low = place.floor().long().clamp(max=len(way) - 1)
    high = (low + 1).clamp(max=len(way) - 1)
    return torch.lerp(stops[low], stops[high], (place - low)[:, None])


class StreamSession:
    """A stream and its commands. `run` yields chunks in one thread; the commands may come from others.

    make_conditions: builds the stream's conditions around this session's live tracks.
    encode: prompt -> cross-attention keys, for prompts that change while the stream runs.
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
    ) -> None:
        self._loaded, self._decoder, self._encode = loaded, decoder, encode
        self._settings = settings or StreamSettings()
        self._tracks = LiveTracks(*frame_size, known=known_tracks)
        self._conditions = make_conditions(self._tracks)
        self._changed = threading.Condition()
        self._queue: list[tuple[EventKind, Any, CrossContext | None]] = []
        self._paused = False
        self._stopped = False
        self._replay: dict[int, list[Event]] | None = None
        self.events: list[Event] = []

    def add_samples(self, track_id: int, samples: list[tuple[float, float]]) -> None:
        """New positions (x, y) px of a track. Raises ValueError for an id outside [0, 100000) or no finite samples."""
        if not 0 <= track_id < NUM_IDS:
            raise ValueError(f"track_id is {track_id}; it must be in [0, {NUM_IDS})")
        cleaned = [(float(x), float(y)) for x, y in samples]
        if not cleaned or not bool(torch.tensor(cleaned).isfinite().all()):
            raise ValueError(f"samples of track {track_id} must be one or more finite pairs (x, y), got {samples!r}")
        self._command("samples", {"track_id": track_id, "samples": [list(pair) for pair in cleaned]})

    def release(self, track_id: int) -> None:
        """Let a track go at the next chunk."""
        self._command("release", {"track_id": track_id})

    def set_prompt(self, prompt: str) -> None:
        """Another prompt from the next chunk on. A prompt that cannot be encoded raises here and changes nothing."""
        self._command("prompt", prompt, self._encode(prompt))

    def pause(self) -> None:
        """Hold the stream at the next chunk boundary until `resume` or `stop`."""
        self._command("pause")

    def resume(self) -> None:
        """Go on after `pause`."""
        self._command("resume")

    def stop(self) -> None:
        """End the stream at the next chunk boundary."""
        self._command("stop")

    def run(
        self, num_latent_frames: int | None = None, callback: StepCallback | None = None
    ) -> Iterator[StreamedChunk]:
        """The stream's chunks, without end for None; commands take effect between them."""
        chunks = stream_chunks(
            self._loaded,
            self._conditions,
            self._decoder,
            num_latent_frames=num_latent_frames,
            settings=self._settings,
            callback=callback,
        )
        plan = self._loaded.spec.chunk_plan
        count = None if num_latent_frames is None else plan.num_chunks(num_latent_frames)
        try:
            index = 0
            while index != count and self._take_commands(index):  # after the last chunk there is nothing to hold
                yield next(chunks)
                index += 1
        finally:
            chunks.close()

    def log_json(self) -> str:
        """The events so far as JSON, for `replay`."""
        return json.dumps({"version": LOG_VERSION, "events": [asdict(event) for event in self.events]})

    def replay(self, log: str) -> None:
        """Steer by a logged session instead of live commands. Raises ValueError for a log of another form."""
        try:
            values = json.loads(log)
            if values["version"] != LOG_VERSION:
                raise ValueError(f"version {values['version']!r}")
            events = [Event(int(e["chunk"]), e["kind"], e["payload"]) for e in values["events"]]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"the session log is not one of version {LOG_VERSION}: {error}") from error
        if unknown := [event.kind for event in events if event.kind not in get_args(EventKind)]:
            raise ValueError(f"the session log has an unknown event {unknown[0]!r}")
        self._replay = {}
        for event in events:
            self._replay.setdefault(event.chunk, []).append(event)

    def _command(self, kind: EventKind, payload: Any = None, context: CrossContext | None = None) -> None:
        with self._changed:
            self._queue.append((kind, payload, context))
            self._changed.notify_all()

    def _take_commands(self, chunk: int) -> bool:
        """Apply what came since the last chunk; wait while paused. False once stopped."""
        if self._replay is not None:
            for event in self._replay.get(chunk, []):
                self._apply(chunk, event.kind, event.payload)
            self._paused = False  # a replay has nobody to wait for
            with self._changed:  # of live commands it takes the one that every stream must take
                if any(kind == "stop" for kind, *_ in self._queue):
                    self._apply(chunk, "stop", None)
            return not self._stopped
        with self._changed:
            while True:
                for command in self._queue:
                    self._apply(chunk, *command)
                self._queue.clear()
                if self._stopped or not self._paused:
                    return not self._stopped
                self._changed.wait()

    def _apply(self, chunk: int, kind: EventKind, payload: Any, context: CrossContext | None = None) -> None:
        """context: of a prompt that is encoded already, as a live one is and a replayed one is not."""
        self.events.append(Event(chunk, kind, payload))
        if kind == "samples":
            self._tracks.add(payload["track_id"], [(x, y) for x, y in payload["samples"]])
        elif kind == "release":
            self._tracks.release(payload["track_id"])
        elif kind == "prompt":
            self._conditions.context = self._encode(payload) if context is None else context
        elif kind == "stop":
            self._stopped = True
        else:
            self._paused = kind == "pause"
