"""Every kind of hostile input: how it is drawn, what is done with it, and what that may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import commands, logs, names, states, streams, tracks, trainings, weights
from .arena import Act, Limits, Tally, tried


@dataclass(frozen=True)
class Family:
    """draw: (how many, seed) -> inputs. refused: whether every one of them has to be. quick: inputs in the suite."""

    title: str
    draw: Callable[[int, int], Sequence[Any]]
    act: Act
    quick: int
    full: int
    limits: Limits = field(default_factory=Limits)
    refused: bool = False

    def run(self, count: int, seed: int = 1) -> Tally:
        """Try as many inputs."""
        return tried(self.draw(count, seed), self._judged, self.limits)

    def _judged(self, given: Any) -> str | None:
        wrong = self.act(given)
        return "it was taken" if wrong is None and self.refused else wrong


def _all(inputs: Callable[[], Sequence[Any]]) -> Callable[[int, int], Sequence[Any]]:
    """A list that is what it is, however many are wanted."""
    return lambda _count, _seed: inputs()


SMALL = Limits(10, 256)
BOMBS = Limits(30, 512)
FAMILIES = {
    "coordinates": Family(
        "coordinate texts", lambda n, s: list(tracks.coordinate_texts(n, s)), tracks.try_coordinates, 300, 10_000, SMALL
    ),
    "coordinate bombs": Family(
        "coordinate texts that grow",
        _all(lambda: [*tracks.COORDINATE_BOMBS.values()]),
        tracks.try_coordinates,
        1,
        1,
        BOMBS,
        True,
    ),
    "documents": Family("editor documents", lambda n, s: list(tracks.documents(n, s)), tracks.try_document, 300, 5_000),
    "document bombs": Family(
        "editor documents that grow",
        _all(lambda: [*tracks.DOCUMENT_BOMBS.values()]),
        tracks.try_document,
        1,
        1,
        BOMBS,
        True,
    ),
    "cameras": Family("camera texts", lambda n, s: list(tracks.cameras(n, s)), tracks.try_camera, 200, 5_000, SMALL),
    "camera bombs": Family(
        "camera texts that grow", _all(lambda: [*tracks.CAMERA_BOMBS.values()]), tracks.try_camera, 1, 1, BOMBS, True
    ),
    "npz": Family("npz files", lambda n, s: list(tracks.npz_files(n, s)), tracks.try_npz, 200, 5_000, SMALL),
    "npz bombs": Family(
        "npz files that grow", _all(lambda: [*tracks.npz_bombs().values()]), tracks.try_npz, 1, 1, SMALL, True
    ),
    "unknown arrays": Family(
        "npz files with more in them", _all(lambda: [tracks.unknown_array()]), tracks.try_npz, 1, 1, SMALL
    ),
    "sizes": Family("grids and lengths", _all(lambda: [*tracks.SIZES]), tracks.try_size, 1, 1, SMALL, True),
    "names": Family("names of files to write", names.names, names.try_name, 150, 2_000, SMALL),
    "commands": Family("command lines", _all(commands.lines), commands.try_line, 1, 1, Limits(60, 2048)),
    "numbers": Family("pictures and weights that are no numbers", streams.faults, streams.try_fault, 30, 300),
    "weights": Family("files of weights", weights.broken, weights.try_broken, 60, 10_000, Limits(30, 512), True),
    "changed weights": Family("files of weights, changed", weights.changed, weights.try_changed, 30, 1_000),
    "logs": Family("logs of live streams", logs.texts, logs.try_text, 200, 3_000, SMALL),
    "states": Family("saved streams", states.files, states.try_file, 40, 1_000),
    "trainings": Family("checkpoints of trainings", trainings.harms, trainings.try_harm, 30, 300, refused=True),
}
