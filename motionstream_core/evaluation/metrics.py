"""Metrics between videos and between tracks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

SSIM_SIGMA_PX, SSIM_RADIUS_PX = 1.5, 5


def psnr_db(video: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 videos (t h w 3) of one shape, over all pixels together."""
    if video.shape != truth.shape:
        raise ValueError(f"videos differ in shape: {video.shape} and {truth.shape}")
    error = np.mean((video.astype(np.float64) - truth.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def ssim(video: NDArray[np.uint8], truth: NDArray[np.uint8]) -> float:
    """Structural similarity of two uint8 videos (t h w 3), 1 for equal ones: the mean over frames, channels and pixels.

    Gaussian window of 11 x 11 px with sigma 1.5, constants 0.01 and 0.03, only where the whole window lies in the
    frame (Wang, Bovik, Sheikh and Simoncelli, 2004). Raises ValueError for frames of other shapes or under 11 px.
    """
    if video.shape != truth.shape:
        raise ValueError(f"videos differ in shape: {video.shape} and {truth.shape}")
    side = 2 * SSIM_RADIUS_PX + 1
    if min(video.shape[1:3]) < side:
        raise ValueError(f"frames are {video.shape[1:3]} px, but SSIM needs at least {side} px a side")
    offsets = torch.arange(side, dtype=torch.float32) - SSIM_RADIUS_PX
    window = torch.exp(-(offsets**2) / (2 * SSIM_SIGMA_PX**2))
    window = window / window.sum()

    def local_mean(images: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(images, window.view(1, 1, 1, side)), window.view(1, 1, side, 1))

    # in units of [0, 1], about mid-grey: variances of float32 squares stay exact enough
    x, y = (
        torch.from_numpy(each).permute(0, 3, 1, 2).flatten(0, 1)[:, None].float() / 255 - 0.5 for each in (video, truth)
    )
    mean_x, mean_y = local_mean(x), local_mean(y)
    var_x, var_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    light_x, light_y = mean_x + 0.5, mean_y + 0.5
    c1, c2 = 0.01**2, 0.03**2
    likeness = (2 * light_x * light_y + c1) * (2 * covariance + c2)
    return float((likeness / ((light_x**2 + light_y**2 + c1) * (var_x + var_y + c2))).mean())


def endpoint_errors(
    points: NDArray[np.floating], truth: NDArray[np.floating], counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """L2 distances in px (m) of points and truth (t n 2) where counted (t n)."""
    return np.linalg.norm(points.astype(np.float64) - truth.astype(np.float64), axis=-1)[counted]
