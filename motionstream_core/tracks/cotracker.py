"""CoTracker3 behind the face of `extract.Tracker`: the user's own install of facebookresearch/co-tracker.

Its code and weights are CC BY-NC 4.0, stand on no package index, and are no part of this project.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .extract import Frames, Queries, check_input
from .tracks import Tracks

HOW_TO_GET = (
    "CoTracker3 is not installed. Get it with: pip install git+https://github.com/facebookresearch/co-tracker ; and "
    "the checkpoint scaled_offline.pth from the model page facebook/cotracker3 on Hugging Face. Its licence is "
    "CC BY-NC 4.0: no commercial use. The OpenCV tracker needs neither"
)
WINDOW_FRAMES = 60  # that the offline checkpoint was trained for
HALF_PIXEL = (
    0.5  # the predictor counts from the first pixel's centre (it resizes with align_corners), tracks from its edge
)


class CoTracker3:
    """The offline model: it sees the whole clip at once, so memory grows with its length.

    predictor: a `cotracker.predictor.CoTrackerPredictor`, or what is called as it is: (video float (1 t 3 h w) in
        0..255, queries=(1 n 3) = (frame, x, y), backward_tracking=bool) -> points (1 t n 2), visibility (1 t n).
    """

    def __init__(self, predictor: Callable[..., tuple[Tensor, Tensor]], device: torch.device) -> None:
        self._predictor, self.device = predictor, device

    @classmethod
    def load(cls, checkpoint: str | Path, device: torch.device) -> CoTracker3:
        """The model of a local checkpoint file.

        Raises ImportError, saying how to get it, where the package is missing; FileNotFoundError for the checkpoint.
        """
        try:
            from cotracker.predictor import CoTrackerPredictor  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ImportError(HOW_TO_GET) from error
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(
                f"there is no CoTracker3 checkpoint at {checkpoint}; give scaled_offline.pth's path"
            )
        predictor: Any = CoTrackerPredictor(checkpoint=str(checkpoint), offline=True, window_len=WINDOW_FRAMES)
        return cls(predictor.to(device).eval(), device)

    @property
    def name(self) -> str:
        return "CoTracker3 offline"

    @property
    def in_workers(self) -> bool:
        return False

    @torch.no_grad()
    def track(self, frames: Frames, queries: Queries) -> Tracks:
        """See `Tracker.track`."""
        queries = check_input(frames, queries)
        height, width = frames.shape[1:3]
        if not len(queries):
            return Tracks.empty(len(frames), height, width)
        video = torch.from_numpy(np.ascontiguousarray(frames)).to(self.device)
        asked = torch.from_numpy(queries).to(self.device)
        asked[:, 1:] -= HALF_PIXEL
        backward = bool((queries[:, 0] > 0).any())
        clip = video.permute(0, 3, 1, 2)[None].float()
        points, visibility = self._predictor(clip, queries=asked[None], backward_tracking=backward)
        points = points[0].float().cpu() + HALF_PIXEL
        seen = visibility[0].bool().cpu() & points.isfinite().all(-1)
        return Tracks(points, seen & _inside(points, height, width), height, width)


def _inside(points: Tensor, height: int, width: int) -> Tensor:
    x, y = points.unbind(-1)
    return (x >= 0) & (x < width) & (y >= 0) & (y < height)
