"""Pictures with known motion for tests of trackers."""

from __future__ import annotations

import numpy as np


def noise_picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth coloured noise, uint8: every place looks different from every other."""
    import cv2

    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.clip((soft - soft.mean()) * 3 + 128, 0, 255).astype(np.uint8)


def sliding(shift: tuple[int, int], num_frames: int = 7, side: int = 80) -> np.ndarray:
    """A window over a still picture; what it shows moves by minus `shift` px (x, y) a frame."""
    picture = noise_picture(side + 60, side + 60)
    start = (30, 30)
    return np.stack(
        [
            picture[
                start[1] + t * shift[1] : start[1] + t * shift[1] + side,
                start[0] + t * shift[0] : start[0] + t * shift[0] + side,
            ]
            for t in range(num_frames)
        ]
    )
