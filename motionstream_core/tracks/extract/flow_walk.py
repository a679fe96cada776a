"""Every point of one pass through a clip, frame by frame: flow, looks, and where hidden points are (OpenCV)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...media.frames import Frames
from .flow import FlowKind, there_and_back
from .neighbours import Companions
from .patches import Floats, Looks, Picture, best_half, levelled, similarity, structure

ANCHOR_STEPS, FIND_STEPS = 3, 4
SURE = 0.9  # similarity from which no other place is tried
BLIND = 0.1  # structure below which flow is made up: a point goes on as it went, and by what little its looks tell
HEALTHY = 0.85  # similarity from which a point is taken to be free of any occluder's edge
RENEW_EVERY = 6  # frames after which points look for new companions where theirs are lost
RECENT = 8  # frames for which a point that came back may still be half covered
HALF_COSTS = 0.05  # what likeness of one half alone is worth less than that of the whole


@dataclass(frozen=True)
class FlowSettings:
    """What a walk is done by.

    flow, window_px, num_levels: see `flow.there_and_back`. round_trip_px: a point follows the flow while the way back
    ends within that of where it came from. keep, regain: `patches.similarity` to its looks from which a point is
    visible, after it was visible and after it was not. renewal: rate at which looks are renewed. reach_px: how far
    from its companions' prediction a point is looked for; anchor_px: how far the flow is corrected towards the point's
    looks, which stops slow drift. blur_px, floor: of `patches.levelled`.
    """

    flow: FlowKind = "lucas_kanade"
    window_px: int = 13
    num_levels: int = 4
    round_trip_px: float = 1.0
    keep: float = 0.6
    regain: float = 0.7
    renewal: float = 0.05
    reach_px: float = 3.0
    anchor_px: float = 1.0
    blur_px: float = 8.0
    floor: float = 4.0


class FlowWalk:
    """Every point of one pass at the frame that the pass has come to."""

    def __init__(self, settings: FlowSettings, queries: Floats) -> None:
        self.settings, self.queries = settings, queries
        self.place = queries[:, 1:].astype(np.float32).copy()
        self.started = np.zeros(len(queries), bool)
        self.visible = np.zeros(len(queries), bool)
        self.looks = Looks.none(len(queries))
        self._pose = np.repeat(np.eye(2, dtype=np.float32)[None], len(queries), axis=0)  # looks are of before this turn
        self._since_hidden = np.full(len(queries), RECENT)
        self._companions = Companions(len(queries))
        self._last_color = self.looks.color.copy()
        self._levelled: Any = None
        self._frame = 0

    def to(self, frame: Frames, t: int) -> None:
        """Go on to frame t, and take in the points whose query it is."""
        picture = Picture(frame)
        flat = levelled(picture.grey, self.settings.blur_px, self.settings.floor)
        if self._levelled is not None:
            self._advance(picture, flat)
        self._levelled, self._frame = flat, t
        new = np.flatnonzero(self.queries[:, 0] == t)
        if len(new):
            self.looks[new] = picture.looks(self.place[new])
            self._last_color[new] = self.looks.color[new]
            self.started[new] = self.visible[new] = True
            self._companions.meet(new, self.place, self.visible)

    def _advance(self, picture: Picture, flat: Any) -> None:
        """Every started point to its place in the next picture."""
        settings = self.settings
        place, followed = self._flow(flat)
        blind = np.flatnonzero(self.visible & (structure(self.looks) < BLIND))
        place[blind], followed[blind] = self._companions.carry_on(blind, self.place[blind]), True
        sure = np.flatnonzero(followed)
        place[sure] = picture.find(self.looks[sure], place[sure], settings.anchor_px, ANCHOR_STEPS, self._pose[sure])
        seen = picture.looks(place, self._pose)
        self._dim(seen, followed)
        alike = np.where(followed, similarity(self.looks, seen), -1)
        trusted = self.visible & (alike >= settings.keep)
        self._companions.compare(place - self.place, trusted)
        unsure = np.flatnonzero(self.started & (alike < SURE))
        whole = alike.copy()
        self._look_elsewhere(picture, unsure, place, trusted, alike, seen)
        inside = ((place >= 0) & (place < picture.size)).all(1)
        threshold = np.where(self.visible, settings.keep, settings.regain)
        now = self.started & inside & (alike >= threshold)
        rate = (settings.renewal * now).astype(np.float32)
        self.looks.patch += rate[:, None] * (seen.patch - self.looks.patch)
        self.looks.color += rate[:, None, None] * (seen.color - self.looks.color)
        self.visible = now
        self._since_hidden = np.where(now, self._since_hidden + 1, 0)
        self.place = np.where(self.started[:, None], place, self.place)
        if self._frame % RENEW_EVERY == 0:
            lonely = self._companions.lonely(self.visible)
            if len(lonely):
                self._companions.meet(lonely, self.place, self.visible)
        self._companions.remember(self.place, self.visible, self.visible & (whole >= HEALTHY))
        self._last_color = seen.color

    def _look_elsewhere(
        self,
        picture: Picture,
        rows: NDArray[np.int64],
        place: Floats,
        trusted: NDArray[np.bool_],
        alike: Floats,
        seen: Looks,
    ) -> None:
        """Try `rows` where their companions say they are; place, alike and seen take over what is found there."""
        if not len(rows):
            return
        settings = self.settings
        fit = self._companions.predict(rows, place, trusted)
        astray = ~fit.sure
        fit.place[astray] = self._companions.carry_on(rows[astray], self.place[rows[astray]])
        fit.linear[astray] = np.eye(2, dtype=np.float32)
        hidden = ~self.visible[rows]
        pose = self._pose[rows]
        pose = np.where(hidden[:, None, None], fit.linear @ pose, pose)
        looks = self.looks[rows]
        other = picture.find(looks, fit.place, settings.reach_px, FIND_STEPS, pose)
        other_looks = picture.looks(other, pose)
        # half its looks will do where the occluder's edge may still be near, and where the companions say it is
        near_edge = fit.sure & (self._since_hidden[rows] < RECENT)
        other_alike = np.maximum(
            similarity(looks, other_looks), np.where(near_edge, best_half(looks, other_looks) - HALF_COSTS, -1)
        )
        better = other_alike > alike[rows]
        alike[rows] = np.where(better, other_alike, alike[rows])
        lost = alike[rows] < np.where(hidden, settings.regain, settings.keep)
        place[rows] = np.where(lost[:, None], fit.place, np.where(better[:, None], other, place[rows]))
        found = better & ~lost
        self._pose[rows[found]] = pose[found]
        seen.patch[rows[found]], seen.color[rows[found]] = other_looks.patch[found], other_looks.color[found]

    def _dim(self, seen: Looks, followed: NDArray[np.bool_]) -> None:
        """Every point's looks as the light of this picture shows them: hidden points' looks fade with the others'."""
        now, before = seen.color[followed, 0].sum(1), self._last_color[followed, 0].sum(1)
        gain = np.float32(np.median((now + 1) / (before + 1))) if len(now) else np.float32(1)
        self.looks.patch *= gain
        self.looks.color *= gain

    def _flow(self, flat: Any) -> tuple[Floats, NDArray[np.bool_]]:
        """Where the visible points went (n 2), and which of them come back to where they were (n)."""
        settings = self.settings
        moved, followed = self.place.copy(), np.zeros(len(self.place), bool)
        who = np.flatnonzero(self.visible)
        if len(who):
            moved[who], astray = there_and_back(
                settings.flow, self._levelled, flat, self.place[who], settings.window_px, settings.num_levels
            )
            followed[who] = astray < settings.round_trip_px
        return moved, followed
