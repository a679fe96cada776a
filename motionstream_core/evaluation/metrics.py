"""Metrics between videos and between tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def psnr_db(video: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 videos (t h w 3) of one shape, over all pixels together."""
    if video.shape != truth.shape:
        raise ValueError(f"videos differ in shape: {video.shape} and {truth.shape}")
    error = np.mean((video.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def endpoint_errors(
    points: NDArray[np.floating], truth: NDArray[np.floating], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """L2 distances in px (m) of points and truth (t n 2) where counted (t n)."""
    return np.linalg.norm(points.astype(np.float64) - truth.astype(np.float64), axis=-1)[counted]
