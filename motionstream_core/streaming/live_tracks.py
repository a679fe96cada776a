"""Track samples under a live hand: what the model is told of drags, anchors and paths sent off, frame by frame."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..tracks import NUM_IDS, TrackFormatError, Tracks
from ..tracks.drawn.document import Canvas, Grid
from ..tracks.drawn.parse import parse_document
from ..tracks.npz import load_npz, save_npz
from .conditions import KnownTracks

HAND_IDS = 1000
"""Point k of a hand's grid has the track id hand + 1000 k."""
MAX_GRID_POINTS = NUM_IDS // HAND_IDS
FIRST_PLAYED = 900
"""Hands below it are the user's; tracks that are sent off whole take the ids of those from here on."""
FIRST_STILL = 950
"""And points that hold the rest of the frame those from here on."""
STILL_IDS = [hand + HAND_IDS * k for hand in range(FIRST_STILL, HAND_IDS) for k in range(MAX_GRID_POINTS)]

BEYOND = 0.5
"""Of the distance of the points that hold the rest: how far beyond its grid a hand frees them."""
MAX_PLAYED_POINTS = 1000
MAX_PLAYED_SAMPLES = 2_000_000

Sample = Sequence[float]
"""(x, y) px, or (x, y, u): u in [0, 1] is when, within the time that the next chunk stands for."""


@dataclass(frozen=True)
class _Hand:
    """A hand that holds on: where it ended (x, y) px, None for one that is yet to begin; what is to come."""

    last: tuple[float, float] | None = None
    pending: tuple[Sample, ...] = ()
    grid: Grid | None = None
    leaving: bool = False

    @property
    def place(self) -> tuple[float, float]:
        """Where it is, or will begin."""
        last = self.last if not self.pending else self.pending[-1]
        assert last is not None
        return last[0], last[1]


@dataclass
class LiveTracks:
    """A `conditions.TrackSource` that is steered while it is asked.

    The samples of one hand that arrived since the last chunk are laid over the next chunk's frames: by their own times
    where they have them, evenly otherwise, from where the hand stood. A hand that is new begins with the chunk's first
    frame. Without new samples it stands still; released, it shows what it still did in one chunk and is invisible
    from the next, as the tracks were that training hid (`training.stages.conditions.mid_frame_mask`).
    In a chunk of one frame a new hand shows its first sample; the others follow in the next chunk.

    While it holds the rest (`hold`), a sparse grid of points keeps the whole frame where it is: what a hand takes is
    freed, what it lets go is kept where it was let go, and what it passes over is hidden meanwhile.

    height, width: of the frame, px. known: tracks that run beside, from the first frame.
    """

    height: int
    width: int
    known: Tracks | None = None
    offset: int = 0
    """Frame of the video at which the numbers that are asked for begin: not 0 once the stream was anchored anew."""
    _hands: dict[int, _Hand] = field(default_factory=dict)
    _played: list[tuple[int, Tracks]] = field(default_factory=list)
    _num_played: int = 0
    _spacing: float = 0.0
    _still: dict[int, tuple[float, float]] = field(default_factory=dict)

    def apply(self, kind: str, payload: Any, frame: int) -> None:
        """Do what a session's event says, where it is one for tracks. frame: of the video, the next chunk's first."""
        if kind == "samples":
            grid = Grid(**payload["grid"]) if "grid" in payload else None
            self.add(payload["track_id"], payload["samples"], grid)
        elif kind == "release":
            self.release(payload["track_id"])
        elif kind == "known":
            self.known = read_known(payload)
        elif kind == "clear":
            self.clear()
        elif kind == "hold":
            self.hold(payload)
        elif kind == "play":
            self.play(document_tracks(payload, self.height, self.width), frame)

    def add(self, track_id: int, samples: Sequence[Sample], grid: Grid | None = None) -> None:
        """New samples of a hand, oldest first; takes the track in hand if it is new or was released.

        grid: the points that move along, of a hand that is new. Raises ValueError as `check_hand` does.
        """
        check_hand(track_id, grid)
        hand = self._hands.get(track_id)
        if hand is None or hand.leaving:
            hand = _Hand(grid=grid)
            self._rename_still(track_id)
            self._free(hand, np.asarray(samples[0][:2], np.float64))
        self._hands[track_id] = replace(hand, pending=(*hand.pending, *samples))

    def release(self, track_id: int) -> None:
        """Let a track go: at once, or after the chunk that shows what it still did."""
        hand = self._hands.get(track_id)
        if hand is not None and hand.pending:
            self._hands[track_id] = replace(hand, leaving=True)
        elif hand is not None:
            del self._hands[track_id]
            self._keep(track_id, hand)

    def hold(self, spacing: float) -> None:
        """Hold still whatever no hand moves, by points `spacing` px apart; 0 lets it go."""
        self._spacing, self._still = spacing, {}
        if not spacing:
            return
        columns, rows = (max(1, round(side / spacing)) for side in (self.width, self.height))
        for k, track_id in zip(range(columns * rows), STILL_IDS, strict=False):
            self._still[track_id] = (
                (k % columns + 0.5) * self.width / columns,
                (k // columns + 0.5) * self.height / rows,
            )
        for hand in self._hands.values():
            self._free(hand, np.asarray(hand.place))

    def play(self, tracks: Tracks, frame: int) -> None:
        """Send tracks off whole: their frame 0 is `frame` of the video."""
        columns = FIRST_STILL - FIRST_PLAYED
        ids = [
            HAND_IDS * (k % MAX_GRID_POINTS) + FIRST_PLAYED + (self._num_played + k // MAX_GRID_POINTS) % columns
            for k in range(tracks.num_tracks)
        ]
        self._num_played += 1 + tracks.num_tracks // MAX_GRID_POINTS
        self._played.append((frame, replace(tracks, ids=torch.tensor(ids, dtype=torch.long))))

    def clear(self) -> None:
        """Let everything go."""
        self._hands.clear()
        self._played.clear()
        self.hold(self._spacing)

    def held(self) -> dict[int, tuple[tuple[float, float], Grid | None]]:
        """Where every hand is that holds on, and its grid."""
        return {track_id: (hand.place, hand.grid) for track_id, hand in self._hands.items() if not hand.leaving}

    def copy(self) -> LiveTracks:
        """The same state, apart from this one; what it is made of never changes and is shared."""
        return replace(self, _hands=dict(self._hands), _played=list(self._played), _still=dict(self._still))

    def at_frames(self, start: int, stop: int) -> Tracks:
        """Tracks of the next chunk's frames [start, stop)."""
        count = stop - start
        still = dict(self._still)
        covers: list[tuple[np.ndarray, np.ndarray]] = []
        parts = [self._hand_tracks(count, covers)]
        if still:
            parts.append(self._still_tracks(still, count, covers))
        first, last = self.offset + start, self.offset + stop
        self._played = [(frame, tracks) for frame, tracks in self._played if frame + tracks.num_frames > first]
        others = [(0, self.known)] if self.known is not None else []
        for frame, tracks in [*self._played, *others]:
            before = max(0, min(count, frame - first))  # of a stream that went back, or in a chunk of one frame
            shown = KnownTracks(tracks).at_frames(max(0, first - frame), max(0, last - frame)) if last > frame else None
            if shown is not None:
                parts.append(_hidden_before(shown, before).rescaled(self.height, self.width))
        return parts[0] if len(parts) == 1 else Tracks.concatenate(parts)

    def _hand_tracks(self, count: int, covers: list[tuple[np.ndarray, np.ndarray]]) -> Tracks:
        """covers: is given every hand's way (count 2) and how far it reaches to the sides, px."""
        columns, ids = [], []
        for track_id in sorted(self._hands):
            hand = self._hands[track_id]
            way, later = hand.pending, ()
            if count == 1 and hand.last is None:  # the image alone shows where a stroke begins; the rest is to come
                way, later = way[:1], way[1:]
            elif count == 1 and self.offset:  # a stream anchored anew begins with the frame that was shown already
                way, later = (), way
            points = _along(way, count, hand.last)
            offsets = np.zeros((1, 2)) if hand.grid is None else hand.grid.offsets()
            columns.append(points[:, None] + offsets)
            covers.append((points, self._reach(hand)))
            ids += [track_id + HAND_IDS * k for k in range(len(offsets))]
            if hand.leaving and not later:
                del self._hands[track_id]
                self._keep(track_id, replace(hand, last=tuple(points[-1].tolist()), pending=()))
            else:
                self._hands[track_id] = replace(hand, last=tuple(points[-1].tolist()), pending=later)
        points = np.concatenate(columns, axis=1) if columns else np.zeros((count, 0, 2))
        return Tracks(
            torch.from_numpy(points).float(),
            torch.ones(points.shape[:2], dtype=torch.bool),
            self.height,
            self.width,
            torch.tensor(ids, dtype=torch.long),
        )

    def _still_tracks(
        self, still: dict[int, tuple[float, float]], count: int, covers: list[tuple[np.ndarray, np.ndarray]]
    ) -> Tracks:
        """Points at rest, hidden where a hand is over them."""
        places = np.array(list(still.values()))
        seen = np.ones((count, len(places)), bool)
        for way, reach in covers:
            seen &= (np.abs(places - way[:, None]) > reach).any(-1)
        points = torch.from_numpy(places).float().expand(count, -1, -1).clone()
        return Tracks(points, torch.from_numpy(seen), self.height, self.width, torch.tensor(list(still)))

    def _reach(self, hand: _Hand) -> np.ndarray:
        """(2) px to the sides of a hand within which nothing is held: its grid, and what is larger than that."""
        grid = hand.grid or Grid(1, 1, 0.0, 0.0)
        taken = np.array([(grid.columns - 1) * abs(grid.dx), (grid.rows - 1) * abs(grid.dy)]) / 2
        return taken + self._spacing * BEYOND

    def _free(self, hand: _Hand, place: np.ndarray) -> None:
        """No point holds what lies under a hand."""
        reach = self._reach(hand)
        self._still = {
            track_id: at for track_id, at in self._still.items() if (np.abs(np.asarray(at) - place) > reach).any()
        }

    def _rename_still(self, hand: int) -> None:
        """What an earlier hand of this id let go, and what is still kept there, takes other ids."""
        free = (track_id for track_id in STILL_IDS if track_id not in self._still)
        for track_id in [each for each in self._still if each % HAND_IDS == hand]:
            self._still[next(free)] = self._still.pop(track_id)

    def _keep(self, track_id: int, hand: _Hand) -> None:
        """What a hand lets go stays there, while the rest is held; of too much the oldest is no longer kept."""
        if not self._spacing or hand.last is None:
            return
        place = np.asarray(hand.last)
        self._free(hand, place)
        offsets = np.zeros((1, 2)) if hand.grid is None else hand.grid.offsets()
        for k, (x, y) in enumerate(place + offsets):
            if 0 <= x < self.width and 0 <= y < self.height:  # what has left the frame needs no point for ever
                self._still[track_id + HAND_IDS * k] = (float(x), float(y))
        while len(self._still) > len(STILL_IDS):
            del self._still[next(iter(self._still))]


def check_hand(track_id: int, grid: Grid | None) -> None:
    """Raises ValueError for a grid of more than 100 points, or for one under an id that is not a hand's."""
    if grid is None:
        return
    if grid.columns * grid.rows > MAX_GRID_POINTS:
        raise ValueError(
            f"the grid of track {track_id} has {grid.columns} x {grid.rows} points; use {MAX_GRID_POINTS} at most"
        )
    if track_id >= FIRST_PLAYED:
        raise ValueError(f"track_id is {track_id}; with a grid it must be in [0, {FIRST_PLAYED})")


def _along(way: Sequence[Sample], count: int, last: tuple[float, float] | None) -> np.ndarray:
    """(count 2): where a hand is at each frame of a chunk; `last` is where it stood before, None for a new one."""
    if not way:
        assert last is not None
        return np.tile(np.asarray(last, np.float64), (count, 1))
    places = np.asarray([(sample[0], sample[1]) for sample in way], np.float64)
    timed = len(way[0]) > 2
    if last is None:
        times = np.asarray([sample[2] for sample in way]) if timed else np.linspace(0, 1, len(way))
        frames = np.linspace(0, 1, count)
        times = (times - times[0]) / max(1 - times[0], 1e-9)
    else:
        times = np.asarray([sample[2] for sample in way]) if timed else np.arange(1, len(way) + 1) / len(way)
        places, times = np.concatenate([[last], places]), np.concatenate([[0.0], times])
        frames = np.arange(1, count + 1) / count
    times = np.maximum.accumulate(times)
    return np.stack([np.interp(frames, times, places[:, axis]) for axis in (0, 1)], axis=1)


def _hidden_before(tracks: Tracks, count: int) -> Tracks:
    """`tracks` with `count` frames before them, in which they are where they begin and cannot be seen."""
    if not count:
        return tracks
    points = torch.cat([tracks.points[:1].expand(count, -1, -1), tracks.points])
    hidden = torch.zeros(count, tracks.num_tracks, dtype=torch.bool)
    return replace(tracks, points=points, visibility=torch.cat([hidden, tracks.visibility]))


def known_text(tracks: Tracks) -> str:
    """Tracks, exactly, for a log: their npz file in base64."""
    file = io.BytesIO()
    save_npz(tracks, file)
    return base64.b64encode(file.getvalue()).decode()


def read_known(text: str) -> Tracks:
    """The tracks of `known_text`. Raises TrackFormatError for another text."""
    try:
        return load_npz(base64.b64decode(text, validate=True))
    except (TypeError, ValueError) as error:
        raise TrackFormatError(f"the log's given tracks cannot be read: {error}") from None


def document_tracks(document: str, height: int, width: int) -> Tracks:
    """An editor's document as tracks of a frame of that size, as long as its canvas.

    Raises TrackFormatError for another text, and for more than a hand sends off: 1000 points, or 2 million of them over
    all frames.
    """
    parsed = parse_document(document, Canvas(width, height, 1, 1.0))
    points, num_frames = parsed.num_points, parsed.canvas.num_frames
    if points > MAX_PLAYED_POINTS or points * num_frames > MAX_PLAYED_SAMPLES:
        raise TrackFormatError(
            f"the document has {points} points over {num_frames} frames; what is sent off at once may have "
            f"{MAX_PLAYED_POINTS} points and {MAX_PLAYED_SAMPLES} samples of them"
        )
    return parsed.sample(height=height, width=width)
