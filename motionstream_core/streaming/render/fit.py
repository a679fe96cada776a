"""Pictures and the tracks drawn on them, brought to the frame of a model: cropped about the middle, never distorted."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from ...tracks import Tracks
from ...tracks.transfer import fitted


def fit_picture(picture: Image.Image, height: int, width: int) -> NDArray[np.uint8]:
    """uint8 (height width 3): scaled until it covers the frame, what hangs over cut off evenly on both sides."""
    return np.asarray(ImageOps.fit(picture.convert("RGB"), (width, height), Image.Resampling.LANCZOS))


def fit_tracks(tracks: Tracks, height: int, width: int) -> Tracks:
    """Tracks of a picture of their size, where `fit_picture` puts what they lie on; some may come to lie outside."""
    return fitted(tracks, height, width, "fill")


def image_tensor(picture: NDArray[np.uint8]) -> Tensor:
    """(h w 3) uint8 to (3 h w) float in [0, 1]."""
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
