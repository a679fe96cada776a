"""Tracks as the coordinate JSON that other nodes read, at the clip's own length or at ATI's 121 samples."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from .retime import resample
from .tracks import Tracks

ATI_NUM_SAMPLES = 121


def to_coordinate_json(tracks: Tracks) -> str:
    """JSON [[{"x", "y", "v"}, ...], ...]: one list per track, equal lengths, px, v 1 or 0; "[]" without tracks.

    Visible points (within 1e6 px) survive parse_tracks bit for bit. Invisible ones are written at the point where the
    track was seen last (before it is first seen: where it is seen first): most readers, ComfyUI's and ATI's own nodes
    among them, ignore "v", and a held point harms them less than a jump to a corner. Ids stay behind.
    """
    points, visibility = _held(tracks).cpu().numpy(), tracks.visibility.cpu().numpy()
    # track by track, since the lists take ten times the text's memory
    return f"[{','.join(_track_json(points[:, n], visibility[:, n]) for n in range(tracks.num_tracks))}]"


def _track_json(points: np.ndarray, visibility: np.ndarray) -> str:
    # As text, a float32 takes its shortest spelling; widened to float64, 0.1 would become 0.10000000149011612.
    rows = points.astype("U32").astype(np.float64).tolist()
    samples = [{"x": x, "y": y, "v": seen} for (x, y), seen in zip(rows, visibility.astype(int).tolist(), strict=True)]
    return json.dumps(samples, separators=(",", ":"), allow_nan=False)


def to_ati(tracks: Tracks) -> str:
    """Coordinate JSON of exactly 121 samples per track, re-sampled over the whole clip. Source: bytedance/ATI."""
    return to_coordinate_json(resample(tracks, ATI_NUM_SAMPLES))


def _held(tracks: Tracks) -> Tensor:
    """points (t n 2), finite, with every invisible one replaced by the nearest visible one in time, earlier first."""
    frames = torch.arange(tracks.num_frames, device=tracks.points.device)[:, None]
    seen = torch.where(tracks.visibility, frames, -1).cummax(dim=0).values
    first = tracks.visibility.int().argmax(dim=0)  # 0 where a track is never visible
    source = torch.where(seen >= 0, seen, first)
    points = tracks.points.gather(0, source[..., None].expand_as(tracks.points))
    return points.nan_to_num(0.0, 0.0, 0.0)
