"""How far a video's content strays from the tracks it was told, by optical flow alone: for images of anything.

Pyramidal Lucas-Kanade (OpenCV) follows the told points from the first frame through enlarged frames. On small frames
with little texture it is a rough judge: `make evaluate` uses colour centroids instead, on scenes that it knows.
"""

from __future__ import annotations

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
    size = (frames.shape[2] * ENLARGE, frames.shape[1] * ENLARGE)
    grey = [
        cv2.resize(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_CUBIC) for frame in frames
    ]
    options = {"winSize": (25, 25), "maxLevel": 4}
    followed = usable[0].copy()
    place = (np.nan_to_num(tracks.points[0].numpy()) * ENLARGE).astype(np.float32)[:, None]
    errors: list[NDArray[np.float64]] = []
    wanted = 0
    for t in range(1, len(grey)):
        after, found, _ = cv2.calcOpticalFlowPyrLK(grey[t - 1], grey[t], place, None, **options)
        back, returned, _ = cv2.calcOpticalFlowPyrLK(grey[t], grey[t - 1], after, None, **options)
        astray = np.linalg.norm((back - place)[:, 0], axis=-1) > ROUND_TRIP_PX * ENLARGE
        followed &= (found[:, 0] > 0) & (returned[:, 0] > 0) & ~astray
        place = after
        counted = followed & usable[t]
        distance = np.linalg.norm(place[:, 0] / ENLARGE - tracks.points[t].numpy(), axis=-1)
        errors.append(distance[counted])
        wanted += int((usable[t] & usable[0]).sum())
    joined = np.concatenate(errors) if errors else np.zeros(0)
    if not len(joined):
        return float("nan"), 0.0
    return float(joined.mean()), len(joined) / max(1, wanted)
