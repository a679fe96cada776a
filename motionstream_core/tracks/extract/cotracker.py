"""CoTracker3 behind the face of `tracker.Tracker`: the user's own install of facebookresearch/co-tracker.

Its code and weights are CC BY-NC 4.0, stand on no package index, and are no part of this project.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ...media.frames import Frames, FrameSource
from ..tracks import Tracks
from .tracker import Followed, Queries, Report, as_source, check_input, track_both_ways

LICENCE = "CC BY-NC 4.0: no commercial use"
HOW_TO_GET = (
    "CoTracker3 is not installed. Get it with: pip install git+https://github.com/facebookresearch/co-tracker ; and "
    "the checkpoint scaled_offline.pth or scaled_online.pth from the model page facebook/cotracker3 on Hugging Face. "
    f"Its licence is {LICENCE}. The OpenCV tracker needs neither"
)
WINDOW_FRAMES = 60  # that the offline checkpoint was trained for
ONLINE_WINDOW_FRAMES = 16  # that the online one was
HALF_PIXEL = (
    0.5  # the predictor counts from the first pixel's centre (it resizes with align_corners), tracks from its edge
)


class CoTracker3:
    """The offline model: it sees the whole clip at once, so memory grows with its length.

    predictor: a `cotracker.predictor.CoTrackerPredictor`, or what is called as it is: (video float (1 t 3 h w) in
        0..255, queries=(1 n 3) = (frame, x, y), backward_tracking=bool) -> points (1 t n 2), visibility (1 t n).
    """

    def __init__(self, predictor: Callable[..., tuple[Tensor, Tensor]], device: torch.device) -> None:
        self.predictor, self.device = predictor, device

    @classmethod
    def load(cls, checkpoint: str | Path, device: torch.device) -> CoTracker3:
        """The model of a local checkpoint file.

        Raises ImportError, saying how to get it, where the package is missing; FileNotFoundError for the checkpoint.
        """
        package = _package()
        path = _existing(checkpoint, "scaled_offline.pth")
        predictor: Any = package.CoTrackerPredictor(checkpoint=path, offline=True, window_len=WINDOW_FRAMES)
        return cls(predictor.to(device).eval(), device)

    @property
    def name(self) -> str:
        return "CoTracker3 offline"

    @property
    def in_workers(self) -> bool:
        return False

    @torch.no_grad()
    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        """See `Tracker.track`. The model works in one go: `report` hears of the start and of the end."""
        queries, source = check_input(frames, queries), as_source(frames)
        count, height, width = source.num_frames, source.height, source.width
        if not len(queries):
            return Tracks.empty(count, height, width)
        if report is not None:
            report(0, count)
        asked = _centred(queries).to(self.device)
        backward = bool((queries[:, 0] > 0).any())
        clip = _clip(source.read(0, count), self.device)
        points, visibility = self.predictor(clip, queries=asked[None], backward_tracking=backward)
        points = points[0].float().cpu() + HALF_PIXEL
        seen = visibility[0].bool().cpu() & points.isfinite().all(-1)
        if report is not None:
            report(count, count)
        return Tracks(points, seen & _inside(points, height, width), height, width)


class OnlinePredictor(Protocol):
    """`cotracker.predictor.CoTrackerOnlinePredictor`, as far as it is used."""

    @property
    def step(self) -> int:
        """Frames from one window to the next, half a window."""
        ...

    def __call__(self, video_chunk: Tensor, **options: Any) -> tuple[Tensor | None, Tensor | None]:
        """is_first_step=True and queries=(1 n 3): takes the queries in and answers (None, None). After that a window
        (1 t 3 h w) with t up to 2 * step, which begins where the last began plus `step`, makes points (1 T n 2) and
        visibility (1 T n) of all T frames seen so far, of which the window's are new."""
        ...


class CoTracker3Online:
    """The online model: windows of 16 frames, 8 apart; a frame is settled when the window after it has been seen.

    A video may be of any length: memory holds one window of frames, and the model's own few numbers per point and
    frame. Each pass needs the predictor for itself: do not follow two videos at once.
    """

    def __init__(self, predictor: OnlinePredictor, device: torch.device) -> None:
        self.predictor, self.device = predictor, device

    @classmethod
    def load(cls, checkpoint: str | Path, device: torch.device) -> CoTracker3Online:
        """The model of a local checkpoint file; raises as `CoTracker3.load` does."""
        package = _package()
        path = _existing(checkpoint, "scaled_online.pth")
        predictor: Any = package.CoTrackerOnlinePredictor(checkpoint=path, window_len=ONLINE_WINDOW_FRAMES)
        return cls(predictor.to(device).eval(), device)

    @property
    def name(self) -> str:
        return "CoTracker3 online"

    @property
    def in_workers(self) -> bool:
        return False

    def track(self, frames: Frames | FrameSource, queries: Queries, report: Report | None = None) -> Tracks:
        """See `Tracker.track`: one pass forward, and one backward where a query asks for it."""
        return track_both_ways(self, frames, queries, report)

    def follow(self, frames: Iterable[Frames], queries: Queries) -> Iterator[Followed]:
        """See `StreamTracker.follow`: pieces of 8 frames, 8 frames late; the last piece holds all that is left."""
        step, asked = self.predictor.step, _centred(queries).to(self.device)
        window: list[Frames] = []
        settled: tuple[Tensor, Tensor] | None = None  # what the last window said of its second half
        start, primed = 0, False
        unseen = 0  # frames at the window's end that the model has not been shown
        for frame in frames:
            window.append(frame)
            unseen += 1
            if len(window) == 2 * step:
                points, seen = self._window(window, asked, primed)
                yield _answered(points[:step], seen[:step], queries, start, frame)
                window, start, primed, unseen = window[step:], start + step, True, 0
                settled = points[step:], seen[step:]
        if unseen:
            points, seen = self._window(window, asked, primed)
            yield _answered(points, seen, queries, start, window[-1])
        elif settled is not None:
            yield _answered(settled[0], settled[1], queries, start, window[-1])

    @torch.no_grad()
    def _window(self, window: list[Frames], asked: Tensor, primed: bool) -> tuple[Tensor, Tensor]:
        """Points (t n 2), from pixel edges, and visibility (t n) of the window's frames."""
        clip = _clip(np.stack(window), self.device)
        if not primed:
            self.predictor(clip, is_first_step=True, queries=asked[None], add_support_grid=True)
        points, visibility = self.predictor(clip, add_support_grid=True)
        assert points is not None and visibility is not None
        count = len(window)
        return points[0, -count:].float().cpu() + HALF_PIXEL, visibility[0, -count:].bool().cpu()


def _answered(points: Tensor, seen: Tensor, queries: Queries, start: int, frame: Frames) -> Followed:
    """What the model said of frames from `start` on, with every query where it was asked."""
    seen = seen & points.isfinite().all(-1) & _inside(points, *frame.shape[:2])
    place, visible = points.nan_to_num().numpy(), seen.numpy().copy()
    row = queries[:, 0].astype(np.int64) - start
    own = np.flatnonzero((row >= 0) & (row < len(place)))
    place[row[own], own], visible[row[own], own] = queries[own, 1:], True
    return place, visible


def _package() -> Any:
    try:
        from cotracker import predictor  # pyright: ignore[reportMissingImports, reportAttributeAccessIssue]
    except ImportError as error:
        raise ImportError(HOW_TO_GET) from error
    return predictor


def _existing(checkpoint: str | Path, usual: str) -> str:
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(f"there is no CoTracker3 checkpoint at {checkpoint}; give {usual}'s path")
    return str(checkpoint)


def _centred(queries: Queries) -> Tensor:
    asked = torch.from_numpy(queries.astype(np.float32))
    asked[:, 1:] -= HALF_PIXEL
    return asked


def _clip(frames: Frames, device: torch.device) -> Tensor:
    """Frames (t h w 3) as the predictors take them: float (1 t 3 h w) in 0..255."""
    return torch.from_numpy(np.ascontiguousarray(frames)).to(device).permute(0, 3, 1, 2)[None].float()


def _inside(points: Tensor, height: int, width: int) -> Tensor:
    x, y = points.unbind(-1)
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)
