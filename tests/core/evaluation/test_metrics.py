"""Metrics against their formulas written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from motionstream_core.evaluation.metrics import endpoint_errors, psnr_db


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
