"""How far a video's content strays from its input tracks, by optical flow alone: for a photo of anything.

Pyramidal Lucas-Kanade (OpenCV) follows the points from the first frame through enlarged frames. On small frames
with little texture it is a rough judge: `make evaluate` uses colour centroids instead, on scenes that it knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..tracks import Tracks

ENLARGE = 3
ROUND_TRIP_PX = 1.0


def lucas_kanade_error(frames: NDArray[np.uint8], tracks: Tracks) -> tuple[float, float]:
    """(mean L2 distance in px over visible points that could be followed, share that could be followed).

    frames: (t h w 3), the tracks' size. A point counts while it returns to within 1 px on the way back.
    Raises ImportError where OpenCV is missing; ValueError when sizes differ.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError("the track error of a photo needs OpenCV; pip install opencv-python-headless") from error
    if frames.shape[:3] != (tracks.num_frames, tracks.height, tracks.width):
        raise ValueError(
            f"frames are {frames.shape[:3]} (t h w), tracks {(tracks.num_frames, tracks.height, tracks.width)}"
        )
    usable = (tracks.visibility & tracks.in_frame()).numpy()
    if not usable[0].any():
        return float("nan"), 0.0
    size = (frames.shape[2] * ENLARGE, frames.shape[1] * ENLARGE)
    grey = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_CUBIC) for frame in frames
    ]

    def follow(here: int, there: int, place: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        options: Any = {"winSize": (25, 25), "maxLevel": 4, "nextPts": None}
        moved, found, _ = cv2.calcOpticalFlowPyrLK(grey[here], grey[there], place, **options)
        return np.asarray(moved, np.float32), found[:, 0] > 0

    followed = usable[0].copy()
    # OpenCV counts from the first pixel's centre, tracks from its edge
    place = (np.nan_to_num(tracks.points[0].numpy()) * ENLARGE - 0.5).astype(np.float32)[:, None]
    errors: list[NDArray[np.float64]] = []
    wanted = 0
    for t in range(1, len(grey)):
        after, found = follow(t - 1, t, place)
        back, returned = follow(t, t - 1, after)
        astray = np.linalg.norm((back - place)[:, 0], axis=-1) > ROUND_TRIP_PX * ENLARGE
        followed &= found & returned & ~astray
        place = after
        counted = followed & usable[t]
        distance = np.linalg.norm((place[:, 0] + 0.5) / ENLARGE - tracks.points[t].numpy(), axis=-1)
        errors.append(distance[counted])
        wanted += int((usable[t] & usable[0]).sum())
    joined = np.concatenate(errors) if errors else np.zeros(0)
    if not len(joined):
        return float("nan"), 0.0
    return float(joined.mean()), len(joined) / max(1, wanted)
