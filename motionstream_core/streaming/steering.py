"""What may be asked of a live session while it runs, from any thread: checked at once, done at a chunk boundary."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..models.wan import CrossContext
from ..tracks import NUM_IDS
from ..tracks.drawn.document import Grid
from .events import EventKind
from .live_tracks import check_hand, document_tracks

CommandKind = Literal[EventKind, "back"]
"""`back` is no event, since it takes events away."""


@dataclass(frozen=True)
class Command:
    """What is to be done at the next boundary.

    context: of a prompt, encoded. stamp: whatever the giver wants to see again in `SessionHooks.taken`.
    """

    kind: CommandKind
    payload: Any = None
    context: CrossContext | None = None
    stamp: Any = None


class Steering:
    """Commands for the stream that a subclass runs; they wait in `_queue`, and `_changed` tells of each.

    encode: prompt -> cross-attention keys. frame_size: (height, width) px. takes_image: a frame can become the first
    image of a new stream. goes_back: states are kept to which it can return.
    """

    def __init__(
        self, encode: Callable[[str], CrossContext], frame_size: tuple[int, int], *, takes_image: bool, goes_back: bool
    ) -> None:
        self._encode, self._frame_size = encode, frame_size
        self._takes_image, self._goes_back = takes_image, goes_back
        self._changed = threading.Condition()
        self._queue: deque[Command] = deque()

    def add_samples(
        self, track_id: int, samples: list[tuple[float, ...]], grid: Grid | None = None, *, stamp: Any = None
    ) -> None:
        """New positions of a track: (x, y) px, or (x, y, s), with the clock's time at which the hand was there.

        grid: the points around it that move along, where the track is new. Raises ValueError for an id outside
        [0, 100000), or with a grid [0, 900), for a grid of more than 100 points, and for no finite samples.
        """
        if not 0 <= track_id < NUM_IDS:
            raise ValueError(f"track_id is {track_id}; it must be in [0, {NUM_IDS})")
        cleaned = [[float(value) for value in sample] for sample in samples]
        if not cleaned or not all(math.isfinite(value) for each in cleaned for value in each):
            raise ValueError(f"samples of track {track_id} must be one or more finite pairs (x, y), got {samples!r}")
        payload: dict[str, Any] = {"track_id": track_id, "samples": cleaned}
        check_hand(track_id, grid)
        if grid is not None:
            payload["grid"] = asdict(grid)
        self._command("samples", payload, stamp=stamp)

    def release(self, track_id: int) -> None:
        """Let a track go at the next chunk."""
        self._command("release", {"track_id": track_id})

    def clear(self) -> None:
        """Let every track, path and move go at the next chunk."""
        self._command("clear")

    def play(self, document: str) -> None:
        """Send off the tracks and the camera's moves of an editor's document; its frame 0 is the next chunk's first.

        Raises TrackFormatError for any other text.
        """
        document_tracks(document, *self._frame_size)
        self._command("play", document)

    def set_prompt(self, prompt: str, blend_chunks: int = 0) -> None:
        """Another prompt from the next chunk on, or over so many chunks, by and by (its keys and values are blended).

        A prompt that cannot be encoded raises here and changes nothing.
        """
        if not 0 <= blend_chunks <= 1000:
            raise ValueError(f"blend_chunks is {blend_chunks}; it must be in [0, 1000]")
        payload = {"prompt": prompt, "blend_chunks": blend_chunks} if blend_chunks else prompt
        self._command("prompt", payload, self._encode(prompt))

    def hold(self, spacing: float) -> None:
        """Keep still whatever no hand moves, by points `spacing` px apart (see `LiveTracks`); 0 lets it go.

        Raises ValueError for a negative spacing, or one below 2 px.
        """
        if not (spacing == 0 or spacing >= 2):
            raise ValueError(f"spacing is {spacing}; it must be 0, or at least 2 px")
        self._command("hold", float(spacing))

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads of the CPU from the next chunk on; the last bits of a video depend on it."""
        self._command("threads", threads)

    def reanchor(self) -> None:
        """The last frame becomes the first of a new stream: sink, image and window begin with it.

        Raises ValueError for a model that takes no image.
        """
        if not self._takes_image:
            raise ValueError("this model starts from text alone, so that no frame can become its first image")
        self._command("reanchor")

    def back(self, num_frames: int) -> None:
        """Undo the last frames: return to the nearest boundary at least that far back, or to the first one kept.

        Tracks that are in hand stay in hand. Raises ValueError where no states are kept.
        """
        if not self._goes_back:
            raise ValueError("this session keeps no states to go back to; give it history_bytes")
        self._command("back", num_frames)

    def pause(self) -> None:
        """Hold the stream at the next chunk boundary until `resume` or `stop`."""
        self._command("pause")

    def resume(self) -> None:
        """Go on after `pause`."""
        self._command("resume")

    def stop(self) -> None:
        """End the stream at the next chunk boundary."""
        self._command("stop")

    def _command(
        self,
        kind: CommandKind,
        payload: Any = None,
        context: CrossContext | None = None,
        stamp: Any = None,
    ) -> None:
        with self._changed:
            self._queue.append(Command(kind, payload, context, stamp))
            self._changed.notify_all()
