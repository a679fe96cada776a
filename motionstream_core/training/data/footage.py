"""One video file to clips of a fixed rate, size and length: re-sampled in time, cropped, resized as it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...media.frames import AtTimes, Frames, forwards
from ...media.times import TOLERANCE
from ...media.video import VideoFrames

MARGIN_S = 2.0  # behind the last wanted time: the frame that is nearest to it may come later


class FootageError(ValueError):
    """A video cannot be used. reason: one of a few fixed words; detail: what was found."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[type[FootageError], tuple[str, str]]:
        return FootageError, (self.reason, self.detail)


@dataclass(frozen=True)
class Footage:
    """What of a video is read.

    frame_size: (height, width) px. fps: of the result. max_frames: no more are read. aspect_range: least and greatest
    width / height, as displayed, of a video that may be cropped to frame_size.
    """

    frame_size: tuple[int, int]
    fps: float
    max_frames: int
    aspect_range: tuple[float, float]


def hdr_told(count: int) -> str:
    """What is said of so many videos in HDR (PQ, HLG)."""
    return f"{count} in HDR, whose levels are taken as they are: paler than a player shows them"


def read_footage(path: Path, footage: Footage) -> tuple[Frames, bool]:
    """Frames (t h w 3) of a video at footage.fps from its first frame on, each the nearest in time, t <= max_frames;
    and whether they are HDR's levels (`Display`).

    They reach up to half an interval after the last frame. As displayed (`VideoFrames`); the middle is cropped to the
    frame's aspect ratio, then resized. Raises FootageError ("unreadable", "aspect"), ImportError without PyAV or
    OpenCV.
    """
    wanted_s = np.arange(footage.max_frames) / footage.fps
    try:
        video = VideoFrames(path, duration_s=float(wanted_s[-1]) + MARGIN_S)
        shown = AtTimes(video, wanted_s[wanted_s < video.times_s[-1] + 0.5 / footage.fps - TOLERANCE])
        return np.stack([fit_frame(frame, footage) for frame in forwards(shown)]), video.display.hdr
    except FootageError:
        raise
    except (OSError, ValueError) as error:
        raise FootageError("unreadable", getattr(error, "fault", str(error))) from error


def fit_frame(pixels: Frames, footage: Footage) -> Frames:
    """Pixels (h w 3) as displayed, cropped and resized. Raises FootageError ("aspect")."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError("preparing videos needs OpenCV; pip install opencv-python-headless") from error
    height, width = pixels.shape[:2]
    aspect = width / height
    least, greatest = footage.aspect_range
    if not least <= aspect <= greatest:
        raise FootageError("aspect", f"{aspect:.2f}, wanted {least:.2f} to {greatest:.2f}")
    wanted = footage.frame_size[1] / footage.frame_size[0]
    cropped_width, cropped_height = (
        min(width, max(1, round(height * wanted))),
        min(height, max(1, round(width / wanted))),
    )
    left, top = (width - cropped_width) // 2, (height - cropped_height) // 2
    inner = np.ascontiguousarray(pixels[top : top + cropped_height, left : left + cropped_width])
    target = (footage.frame_size[1], footage.frame_size[0])
    if (cropped_width, cropped_height) == target:
        return inner
    shrinks = cropped_width > target[0]
    resized = cv2.resize(inner, target, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)
