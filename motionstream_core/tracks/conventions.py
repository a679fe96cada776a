"""What lists of coordinates mean where they do not say it: px or shares of the frame, one list per point or per frame.

What is clear is read, what is not is an error that names the choice (`units`, `order`): never a silent guess.
"""

from __future__ import annotations

import itertools

import numpy as np

from .retime import resample
from .spline import Array
from .tracks import TrackFormatError, Tracks

UNITS = ("auto", "px", "normalised")
ORDERS = ("auto", "by point", "by frame")

ASK_ORDER = "choose order 'by frame', or 'by point' where each list is the way of one point"
FEWEST_FRAMES = 8
"""Fewer lists are no clip's frames: a few points that move side by side look the same."""
TINY_STEP = 0.1
"""Share of the distances between points that the trembling of tracked ones stays below."""
MOST_FRAMES_AWAY = 10
"""Shares of a frame beyond this many frames are px."""
STEPS_BETWEEN = 16
"""Looks at the way between two samples, for tracks that begin and end outside."""

Sample = tuple[float, float, float]
"""x, y, v."""


def by_point(lists: list[list[Sample]], order: str, remedy: str = ASK_ORDER) -> list[list[Sample]]:
    """The lists as one list per point, whichever way they are given.

    Raises TrackFormatError for lists by frame of unequal lengths, and, with "auto" and ending in `remedy`, for lists
    that look like frames (`_look_like_frames`).
    """
    equal = len({len(samples) for samples in lists}) <= 1
    if order == "by frame":
        if not equal:
            lengths = [len(samples) for samples in lists]
            raise TrackFormatError(
                f"order is by frame, but the lists have {min(lengths)} to {max(lengths)} points; give every frame all "
                f"points, with v 0 where one cannot be seen"
            )
        return [list(samples) for samples in zip(*lists, strict=True)]
    if order == "auto" and equal and _look_like_frames(np.asarray(lists, dtype=np.float64)[..., :2]):
        raise TrackFormatError(
            f"these are {len(lists)} lists of {len(lists[0])} places, which move from list to list as points do from "
            f"frame to frame, and inside a list lie far apart: they look like one list per frame; {remedy}"
        )
    return lists


def _look_like_frames(places: Array) -> bool:
    """Whether the k-th place of every list (lists places 2) is one point on its way, rather than a list is.

    No step from list to list is as long as half of the steps inside a list, and either all are tiny beside those, or
    they are smooth, which the steps through a cluster of points are not.
    """
    if len(places) < FEWEST_FRAMES or places.shape[1] < 2:
        return False
    along = np.diff(places, axis=0)
    longest, inside = _lengths(along).max(), np.median(_lengths(np.diff(places, axis=1)))
    is_smooth = np.median(_lengths(np.diff(along, axis=0))) <= np.median(_lengths(along))
    return bool(longest < inside and (longest < TINY_STEP * inside or is_smooth))


def _lengths(steps: Array) -> Array:
    return np.linalg.norm(steps, axis=-1)


def in_px(lists: list[list[Sample]], height: int, width: int, units: str) -> tuple[list[list[Sample]], str]:
    """The lists in px of `height` x `width`, and what they were taken for, in a few words.

    "auto" takes what lies in 0..1 for shares of the frame. Raises TrackFormatError where px and shares are both
    possible, and for shares many frames away.
    """
    seen = np.array([sample[:2] for sample in itertools.chain(*lists) if sample[2]], dtype=np.float64).reshape(-1, 2)
    chosen = _chosen(seen) if units == "auto" else units
    how = "assumed" if units == "auto" else "as chosen"
    if chosen == "px":
        return lists, f"units: px, {how}"
    if np.abs(seen).max(initial=0.0) > MOST_FRAMES_AWAY:
        raise TrackFormatError(
            f"units is normalised, where 1 is the far edge of the frame, but a coordinate is {_furthest(seen):g}; "
            f"choose units px"
        )
    scaled = [[(x * width, y * height, v) for x, y, v in samples] for samples in lists]
    return scaled, f"units: normalised, {how}: 0..1 is the frame of {width} x {height} px"


def require_inside(tracks: Tracks, remedy: str) -> None:
    """Raises TrackFormatError, ending in `remedy`, where more than half of the tracks that are ever visible never lie
    inside the frame, its far edges included: they were made for another one."""
    count, outside = _outside(tracks)
    if 2 * outside > count and tracks.num_frames > 1:  # a way of few samples may cross the frame between them
        count, outside = _outside(resample(tracks, STEPS_BETWEEN * (tracks.num_frames - 1) + 1))
    if 2 * outside > count:
        raise TrackFormatError(
            f"{outside / count:.0%} of the tracks ({outside} of {count}) never lie inside the frame of "
            f"{tracks.width} x {tracks.height} px: they seem to be made for another size; {remedy}"
        )


def _outside(tracks: Tracks) -> tuple[int, int]:
    """How many tracks are ever visible, and how many of these never inside the frame."""
    x, y = tracks.points.unbind(-1)
    within = (x >= 0) & (x <= tracks.width) & (y >= 0) & (y <= tracks.height)
    ever = tracks.visibility.any(dim=0)
    return int(ever.sum()), int((ever & ~(tracks.visibility & within).any(dim=0)).sum())


def _chosen(seen: Array) -> str:
    """px or normalised, of the visible coordinates (k 2)."""
    low, high = seen.min(initial=0.0), seen.max(initial=0.0)
    whole = bool((seen == np.round(seen)).all())
    shares = low >= 0 and high <= 1
    if shares and not whole:
        return "normalised"
    # (0, 0) is the same place in both.
    if not seen.any() or (whole and not shares) or low < -1 or high > 2:
        return "px"
    raise TrackFormatError(
        f"all coordinates lie between {low:g} and {high:g}, which may be px in the frame's corner or shares of the "
        f"frame; choose units px or normalised"
    )


def _furthest(seen: Array) -> float:
    return float(seen.flat[np.abs(seen).argmax()])
