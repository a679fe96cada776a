"""A tracker on a video without ground truth: forward to the end, from there back, and how near the start it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...media.frames import FrameSource
from ...tracks import Tracks
from ...tracks.extract.tracker import Report, Tracker, grid_queries


@dataclass(frozen=True)
class RoundTrip:
    """forward: tracks from frame 0. distance_px: of the points seen in the last frame, how far from their start they
    come back, on the way back seen in frame 0 (returned) or not. arrived, returned: bool (n), of all points."""

    forward: Tracks
    distance_px: NDArray[np.floating]
    arrived: NDArray[np.bool_]
    returned: NDArray[np.bool_]

    def row(self, name: str) -> str:
        """A line of `HEADER`'s table."""
        tracks, count = self.forward, self.forward.num_tracks
        distance = self.distance_px[self.returned]
        median = float(np.median(distance)) if len(distance) else float("nan")
        within = [float((distance < px).sum()) / max(1, len(distance)) for px in (1, 4)]
        return (
            f"| {name} | {tracks.num_frames} of {tracks.width} x {tracks.height} | {count} | "
            f"{self.arrived.mean():.0%} | {self.returned.sum() / max(1, self.arrived.sum()):.0%} | {median:.2f} | "
            f"{within[0]:.0%} | {within[1]:.0%} |"
        )


HEADER = (
    "| video | frames | points | seen at the end | of these, back | median px | within 1 px | within 4 px |\n"
    "|---|---|---|---|---|---|---|---|"
)


def round_trip(
    tracker: Tracker, video: FrameSource, rows: int, columns: int, report: Report | None = None
) -> RoundTrip:
    """Track a grid of the first frame to the last, and what is seen there back to the first."""
    last = video.num_frames - 1
    forward = tracker.track(video, grid_queries(video.height, video.width, rows, columns), report)
    arrived = (forward.visibility & forward.in_frame())[last].numpy()
    ends = forward.points[last].numpy()[arrived]
    queries = np.concatenate([np.full((len(ends), 1), last, np.float32), ends], axis=1)
    back = tracker.track(video, queries, report)
    distance, returned = np.full(len(arrived), np.inf), np.zeros(len(arrived), bool)
    distance[arrived] = np.linalg.norm(back.points[0].numpy() - forward.points[0].numpy()[arrived], axis=-1)
    returned[arrived] = back.visibility[0].numpy()
    return RoundTrip(forward, distance, arrived, returned)
