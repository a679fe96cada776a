"""Who moves with whom: where a point that cannot be seen must be, by those that were seen moving with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .patches import Floats

NEAR, FAR = 20, 12  # companions of a point: the nearest, and some from all over the picture (a camera moves them all)
APART_PX = 0.35  # px a frame by which companions may differ and still count as moving together,
APART_PER_PX = 0.03  # and per px of distance between them, since things turn and grow
MEMORY = 0.97  # how much of a companion's record outlives a frame
SLOWING = 0.9  # speed a frame later of a point with nobody to go by
SPREAD = 3.0  # the weight of a companion falls to half at so many times the distance of the nearest ones
ROUNDS = 3  # of re-weighting in a fit
TOLERANCE_PX = 1.0  # misfit at which a companion counts half in the next round
ENOUGH = 0.25  # weight of companions below which a fit says nothing


@dataclass
class Fit:
    """A similarity per point (m): where it goes (m 2) px, its linear part (m 2 2), and whether it can be relied on."""

    place: Floats
    linear: Floats
    sure: NDArray[np.bool_]


class Companions:
    """The points of one pass and whom each of them moves with.

    For every point it holds a few others, how far their steps have differed from its own while both were seen, and
    where they stood when it was seen last. A hidden point is where the similarity (shift, turn, scale) that its
    faithful companions have gone through since then takes it: nothing adds up over the frames of a long occlusion.
    """

    def __init__(self, num_points: int) -> None:
        count = NEAR + FAR
        self._who = np.repeat(np.arange(num_points)[:, None], count, axis=1)
        self._distance = np.ones((num_points, count), np.float32)
        self._apart = np.zeros((num_points, count), np.float32)
        self._allowed = np.full((num_points, count), APART_PX, np.float32)
        self._own = np.zeros((num_points, 2), np.float32)
        self._stood = np.zeros((num_points, count, 2), np.float32)
        self._stood_seen = np.zeros((num_points, count), bool)
        self._step = np.zeros((num_points, 2), np.float32)
        self._lot = np.random.default_rng(0)

    def meet(self, new: NDArray[np.int64], place: Floats, seen: NDArray[np.bool_]) -> None:
        """Give `new` points their companions among those that are seen now, place (n 2)."""
        known = np.flatnonzero(seen)
        near = min(NEAR, len(known))
        for rows in np.array_split(new, -(-len(new) // 500)):
            distance = np.linalg.norm(place[rows, None] - place[None, known], axis=-1)
            nearest = np.argpartition(distance, near - 1, axis=1)[:, :near]
            self._who[rows, :near] = known[nearest]
            self._who[rows, NEAR:] = known[self._lot.integers(len(known), size=(len(rows), FAR))]
        reach = np.linalg.norm(place[self._who[new]] - place[new, None], axis=-1)
        usual = np.maximum(np.median(reach[:, :near], axis=1, keepdims=True), 1.0)
        self._distance[new] = reach / usual
        self._allowed[new] = APART_PX + APART_PER_PX * reach
        self._apart[new] = 0
        whole = np.zeros(len(place), bool)
        whole[new] = True
        self.remember(place, seen, whole)

    def lonely(self, seen: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The seen points of whose companions fewer than half are seen."""
        return np.flatnonzero(seen & (seen[self._who].mean(1) < 0.5))

    def remember(self, place: Floats, seen: NDArray[np.bool_], healthy: NDArray[np.bool_]) -> None:
        """Take note of a frame: where every healthy point (n) stands, and those of its companions that are seen.

        A point whose looks have begun to change may be on its way under an occluder, dragged along by the occluder's
        edge: where it stood before counts.
        """
        self._own[healthy] = place[healthy]
        self._stood[healthy] = place[self._who[healthy]]
        self._stood_seen[healthy] = seen[self._who[healthy]]

    def compare(self, step: Floats, known: NDArray[np.bool_]) -> None:
        """Hold the last step (n 2) of each known point against its companions'."""
        mine = np.flatnonzero(known)
        others = self._who[mine]
        differ = np.linalg.norm(step[mine, None] - step[others], axis=-1)
        both = known[others]
        record = self._apart[mine]
        self._apart[mine] = np.where(both, np.maximum(MEMORY * record, differ), record)
        self._step[mine] += 0.5 * (step[mine] - self._step[mine])

    def carry_on(self, rows: NDArray[np.int64], place: Floats) -> Floats:
        """Where points (m 2) with nobody to go by go next: on as they went, ever slower."""
        self._step[rows] *= SLOWING
        return place + self._step[rows]

    def predict(self, rows: NDArray[np.int64], place: Floats, seen: NDArray[np.bool_]) -> Fit:
        """Where `rows` are by their companions, who stand at place (n 2) where seen (n) and are unknown elsewhere."""
        who = self._who[rows]
        before, after = self._stood[rows], place[who]
        usable = self._stood_seen[rows] & seen[who] & (who != rows[:, None])
        faithful = np.exp(-((self._apart[rows] / self._allowed[rows]) ** 2))
        faithful /= 1 + (self._distance[rows] / SPREAD) ** 2
        trust = np.where(usable, faithful, 0).astype(np.float32)
        weight = trust
        centre, goal, linear = _similarity(before, after, weight)
        for _ in range(ROUNDS):
            misfit = np.linalg.norm(_applied(linear, before - centre[:, None]) + goal[:, None] - after, axis=-1)
            weight = trust / (1 + (misfit / TOLERANCE_PX) ** 2)
            centre, goal, linear = _similarity(before, after, weight)
        moved = _applied(linear, (self._own[rows] - centre)[:, None])[:, 0] + goal
        return Fit(moved.astype(np.float32), linear, weight.sum(1) > ENOUGH)


def _similarity(before: Floats, after: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Least squares (m): centres (m 2) before and after, linear part (m 2 2), over k companions (m k 2)."""
    total = weight.sum(1, keepdims=True) + 1e-9
    share = (weight / total)[..., None]
    centre, goal = (before * share).sum(1), (after * share).sum(1)
    a, b = before - centre[:, None], after - goal[:, None]
    square = (share[..., 0] * (a * a).sum(-1)).sum(1)
    dot = (share[..., 0] * (a * b).sum(-1)).sum(1)
    cross = (share[..., 0] * (a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])).sum(1)
    # a shift alone explains as much as can be known of companions that stand close together
    slack = 1.0
    cos, sin = (dot + slack) / (square + slack), cross / (square + slack)
    return centre, goal, np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], -2)


def _applied(linear: Floats, points: Floats) -> Floats:
    """linear (m 2 2) times points (m k 2)."""
    return np.einsum("mij,mkj->mki", linear, points)
