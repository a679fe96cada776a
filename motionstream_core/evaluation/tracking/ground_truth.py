"""A tracker against rendered clips, whose points are known: position and visibility, by motion and by occlusion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ...tracks.extract.tracker import Queries, Tracker
from ...world import LEVELS, Clip, render, sample_motion, sample_scene

HELD_OUT = 900_003
SPEEDS_PX = (0.0, 0.5, 2.0, 5.0, np.inf)  # edges of the classes of motion, px a frame
NUM_WAVES = 24

Chosen = Callable[["Followed"], NDArray[np.bool_]]


def flat_clip(index: int, num_frames: int = 49) -> Clip:
    """A clip of the world as the bundled model knows it: plain things, now and then a pattern, on a smooth ground."""
    rng = np.random.default_rng((HELD_OUT, 0, index))
    level = LEVELS["patterned"]
    scene = sample_scene(rng, level)
    return render(scene, sample_motion(rng, scene, level, num_frames))


def textured_clip(index: int, num_frames: int = 49) -> Clip:
    """A clip whose ground and things have texture to hold on to: waves of 6 to 20 px, dots on everything.

    The camera moves in two clips of five, and an effect (snow, fading light, a rainbow) sets in in three of five.
    """
    rng, level = np.random.default_rng((HELD_OUT, 1, index)), LEVELS["textured"]
    scene = sample_scene(rng, level)
    length, heading = rng.uniform(6, 20, NUM_WAVES), rng.uniform(0, 2 * np.pi, NUM_WAVES)
    columns = (np.cos(heading) / length, np.sin(heading) / length, rng.uniform(0, 1, NUM_WAVES))
    waves = [2 * np.pi * each for each in columns]
    waves += [rng.uniform(0.01, 0.06, NUM_WAVES), rng.uniform(-0.15, 0.15, NUM_WAVES)]
    sprites = tuple(replace(sprite, pattern="dots") for sprite in scene.sprites)
    scene = replace(scene, texture=np.stack(waves, 1).astype(np.float32), sprites=sprites)
    return render(scene, sample_motion(rng, scene, level, num_frames))


CLIPS = {"flat": flat_clip, "textured": textured_clip}


def queries_of(clip: Clip) -> tuple[Queries, NDArray[np.int64]]:
    """Queries in frame 0 of the clip's points that are seen there, and which of its points these are."""
    which = np.flatnonzero(clip.visibility[0])
    return np.concatenate([np.zeros((len(which), 1)), clip.points[0, which]], axis=1).astype(np.float32), which


@dataclass(frozen=True)
class Followed:
    """Every point in every frame after the first, of many clips, in a row (m).

    error_px: predicted to true place; predicted, true: visibility; speed_px: true motion since the frame before;
    hidden: the point has been out of sight since frame 0; on_thing: it belongs to an object and not to the ground.
    """

    error_px: NDArray[np.floating]
    predicted: NDArray[np.bool_]
    true: NDArray[np.bool_]
    speed_px: NDArray[np.floating]
    hidden: NDArray[np.bool_]
    on_thing: NDArray[np.bool_]


def follow(tracker: Tracker, clips: Iterator[Clip]) -> Followed:
    """Track every clip's points from its first frame."""
    rows: list[tuple[NDArray, ...]] = []
    for clip in clips:
        queries, which = queries_of(clip)
        tracks = tracker.track(clip.frames, queries)
        truth, true = clip.points[:, which], clip.visibility[:, which]
        error = np.linalg.norm(tracks.points.numpy() - truth, axis=-1)[1:]
        speed = np.linalg.norm(np.diff(truth, axis=0), axis=-1)
        hidden = ~np.cumprod(true, axis=0).astype(bool)[1:]
        on_thing = np.broadcast_to(clip.owner[which] >= 0, hidden.shape)
        parts = (error, tracks.visibility.numpy()[1:], true[1:], speed, hidden, on_thing)
        rows.append(tuple(part.ravel() for part in parts))
    return Followed(*(np.concatenate(column) for column in zip(*rows, strict=True)))


@dataclass(frozen=True)
class Score:
    """median_px, mean_px, within_1_px: over frames predicted and truly visible. precision: share of the predicted that
    is true; recall: of the true that is predicted; usable: of the true that is predicted and within 2 px. count: truly
    visible frames."""

    median_px: float
    mean_px: float
    within_1_px: float
    precision: float
    recall: float
    usable: float
    count: int


def score(followed: Followed, chosen: NDArray[np.bool_]) -> Score:
    """The score over the chosen (m) rows; nan where there is nothing to judge."""
    both = followed.predicted & followed.true & chosen
    error, num_true = followed.error_px[both], int((followed.true & chosen).sum())
    num_predicted = int((followed.predicted & chosen).sum())

    def share(part: float, whole: float) -> float:
        return part / whole if whole else float("nan")

    nothing = float("nan")
    return Score(
        float(np.median(error)) if len(error) else nothing,
        float(error.mean()) if len(error) else nothing,
        share(float((error < 1).sum()), len(error)),
        share(float(both.sum()), num_predicted),
        share(float(both.sum()), num_true),
        share(float((error < 2).sum()), num_true),
        num_true,
    )


def classes() -> dict[str, Chosen]:
    """What the tables' rows are of."""

    def moving(low: float, high: float) -> Chosen:
        return lambda f: ~f.hidden & (f.speed_px >= low) & (f.speed_px < high)

    rows: dict[str, Chosen] = {"all": lambda f: np.ones(len(f.true), bool)}
    for low, high in pairwise(SPEEDS_PX):
        name = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more"
        rows[f"never hidden, moving {name} px a frame"] = moving(low, high)
    rows["ground, after it was hidden"] = lambda f: f.hidden & ~f.on_thing
    rows["things, after they were hidden"] = lambda f: f.hidden & f.on_thing
    return rows


def table(followed: Followed) -> str:
    """Markdown: a row for each class."""
    lines = [
        "| points | median px | mean px | within 1 px | precision | recall | usable | frames |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, chosen in classes().items():
        s = score(followed, chosen(followed))
        if s.count:
            row = (
                f"| {name} | {s.median_px:.2f} | {s.mean_px:.2f} | {s.within_1_px:.1%} | {s.precision:.1%} | "
                f"{s.recall:.1%} | {s.usable:.1%} | {s.count} |"
            )
            lines.append(row.replace("nan%", "-").replace("nan", "-"))
    return "\n".join(lines)
