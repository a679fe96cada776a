"""Metrics against their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from motionstream_core.evaluation.metrics import endpoint_errors, psnr_db, ssim


def test_psnr_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    video, truth = rng.integers(0, 256, (2, 3, 4, 5, 3)).astype(np.uint8)
    total = 0.0
    for a, b in zip(video.flatten().tolist(), truth.flatten().tolist(), strict=True):
        total += (a - b) ** 2  # whole numbers: no wrap-around of uint8
    expected = 10 * math.log10(255**2 / (total / video.size))
    assert psnr_db(video, truth) == pytest.approx(expected, rel=1e-12)


def test_psnr_of_known_cases() -> None:
    black, white = np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4, 3), 255, np.uint8)
    assert psnr_db(black, white) == pytest.approx(0)
    assert psnr_db(black, black) == math.inf
    one_off = black + 1
    assert psnr_db(one_off, black) == pytest.approx(20 * math.log10(255))


def test_psnr_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        psnr_db(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((1, 4, 4, 3), np.uint8))


def test_endpoint_errors_equal_the_loop() -> None:
    rng = np.random.default_rng(1)
    points, truth = rng.uniform(-50, 200, (2, 7, 5, 2)).astype(np.float32)
    counted = rng.random((7, 5)) < 0.6
    expected = [
        math.hypot(float(points[t, n, 0]) - float(truth[t, n, 0]), float(points[t, n, 1]) - float(truth[t, n, 1]))
        for t in range(7)
        for n in range(5)
        if counted[t, n]
    ]
    np.testing.assert_allclose(endpoint_errors(points, truth, counted), expected, rtol=1e-12)
    assert endpoint_errors(points, truth, np.zeros_like(counted)).shape == (0,)


def slow_ssim(video: np.ndarray, truth: np.ndarray) -> float:
    """SSIM as written in the paper, window by window: 11 x 11 Gaussian weights of sigma 1.5, in 0..255."""
    offsets = np.arange(11) - 5
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for a, b in zip(video.astype(np.float64), truth.astype(np.float64), strict=True):
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                for channel in range(3):
                    x = a[row : row + 11, column : column + 11, channel]
                    y = b[row : row + 11, column : column + 11, channel]
                    mx, my = (window * x).sum(), (window * y).sum()
                    vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                    cov = (window * (x - mx) * (y - my)).sum()
                    values.append((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    return float(np.mean(values))


@pytest.mark.parametrize("noise", [3, 60])
def test_ssim_is_its_formula(noise: int) -> None:
    rng = np.random.default_rng(noise)
    truth = np.kron(rng.integers(0, 256, (2, 4, 5, 3)), np.ones((1, 4, 4, 1), int)).astype(np.uint8)
    video = np.clip(truth + rng.integers(-noise, noise + 1, truth.shape), 0, 255).astype(np.uint8)
    assert ssim(video, truth) == pytest.approx(slow_ssim(video, truth), abs=2e-5)


def test_ssim_of_known_cases() -> None:
    rng = np.random.default_rng(2)
    video = rng.integers(0, 256, (2, 12, 16, 3)).astype(np.uint8)
    assert ssim(video, video) == pytest.approx(1)
    black, white = np.zeros((1, 11, 11, 3), np.uint8), np.full((1, 11, 11, 3), 255, np.uint8)
    assert ssim(black, white) == pytest.approx(1e-4 / (1 + 1e-4), rel=1e-3)
    with pytest.raises(ValueError, match="differ in shape"):
        ssim(black, video)
    with pytest.raises(ValueError, match="at least 11 px"):
        ssim(black[:, :10], white[:, :10])
