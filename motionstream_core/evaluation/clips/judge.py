"""What is measured of a video: how like the true clip it is, and how closely its content keeps to its input tracks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ...tracks import Tracks
from ...tracks.extract.tracker import Tracker
from ..metrics import endpoint_errors, psnr_db, ssim
from ..perceptual import Lpips
from .cases import Video, follow

LPIPS_FRAMES = 8  # at a time


@dataclass(frozen=True)
class Likeness:
    """To the true clip: PSNR in dB, SSIM, LPIPS (None without it)."""

    psnr_db: float
    ssim: float
    lpips: float | None


@dataclass(frozen=True)
class TrackError:
    """epe_px: mean L2 distance between the visible input points and where the tracker finds them in the video, over all
    frames after the first. followed: the share of those at which the tracker says that it sees the point."""

    epe_px: float
    followed: float


@dataclass(frozen=True)
class ClipJudge:
    """Judges videos by a point tracker and, where its weights are at hand, by LPIPS.

    size: (height, width) to which both videos are brought before they are compared; None compares them as they are.
    """

    tracker: Tracker
    lpips: Lpips | None = None
    size: tuple[int, int] | None = None

    def likeness(self, video: Video, truth: Video) -> Likeness:
        """Of two uint8 videos (t h w 3) of one shape, after the first frame, an input. Raises ValueError otherwise."""
        video, truth = (brought_to(each[1:], self.size) for each in (video, truth))
        return likeness(video, truth, self.lpips)

    def track_error(self, video: Video, tracks: Tracks) -> TrackError:
        """Of the points of the input tracks that are visible in the first frame, which is where the tracker starts.

        Raises ValueError where none is, or where none is visible later.
        """
        usable = (tracks.visibility & tracks.in_frame()).numpy()
        started = usable[0]
        counted = usable[1:, started]
        if not counted.any():
            raise ValueError("none of the told points is visible in the first frame and again later")
        points = tracks.points[:, torch.from_numpy(started)].numpy()
        queries = np.concatenate([np.zeros((points.shape[1], 1), np.float32), points[0]], axis=1)
        found = follow(video, queries, self.tracker)
        errors = endpoint_errors(found.points.numpy()[1:], points[1:], counted)
        return TrackError(float(errors.mean()), float(found.visibility.numpy()[1:][counted].mean()))


def likeness(video: Video, truth: Video, lpips: Lpips | None) -> Likeness:
    """Of all frames of two uint8 videos (t h w 3) of one shape. Raises ValueError otherwise."""
    return Likeness(psnr_db(video, truth), _mean_ssim(video, truth), _mean_lpips(lpips, video, truth))


def brought_to(video: Video, size: tuple[int, int] | None) -> Video:
    """A video (t h w 3) at another (height, width)."""
    if size is None or video.shape[1:3] == size:
        return video
    (height, width), resample = size, Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(each).resize((width, height), resample)) for each in video])


@torch.no_grad()
def _mean_lpips(lpips: Lpips | None, video: Video, truth: Video) -> float | None:
    if lpips is None:
        return None
    total = 0.0
    for start in range(0, len(video), LPIPS_FRAMES):
        pair = (
            torch.from_numpy(each[start : start + LPIPS_FRAMES].copy()).to(lpips.shift.device).permute(3, 0, 1, 2)[None]
            for each in (video, truth)
        )
        part = lpips(*(each.float() / 255 for each in pair))
        total += float(part) * len(video[start : start + LPIPS_FRAMES])
    return total / len(video)


def _mean_ssim(video: Video, truth: Video) -> float:
    """`ssim` frame by frame: a whole clip at once would need its memory many times over."""
    return float(np.mean([ssim(one[None], other[None]) for one, other in zip(video, truth, strict=True)]))
