"""Bringing an image and its tracks to the size of the video, by one rule for both."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..motionstream_core.models.finite import require_finite_image
from ..motionstream_core.tracks import Tracks
from ..motionstream_core.tracks.transfer import Fit, fitted

PICTURE_FITS: dict[str, Fit] = {"crop": "fill", "stretch": "stretch"}
"""Options of nodes, as saved workflows hold them, and what they are called elsewhere."""

FIT_TOOLTIP = (
    "crop: scaled until it covers the frame, then cut about the middle; stretch: scaled to the frame, sides by "
    "themselves. An image that has the size already is left as it is."
)

Size = tuple[int, int]
"""(height, width) px."""


def opaque(images: Tensor) -> Tensor:
    """An IMAGE (t h w 3 or 4) as (t h w 3): what is transparent shows white, never the colour hidden under it."""
    colour, alpha = images[..., :3], images[..., 3:]
    return colour * alpha + (1 - alpha) if images.shape[-1] == 4 else colour


def fit_box(source: Size, target: Size, fit: str) -> tuple[float, float, float, float]:
    """The part (left, top, right, bottom), in px of `source`, that fills a frame of `target`."""
    height, width = source
    if PICTURE_FITS[fit] == "stretch":
        return 0.0, 0.0, float(width), float(height)
    scale = max(target[0] / height, target[1] / width)
    kept_height, kept_width = min(float(height), target[0] / scale), min(float(width), target[1] / scale)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def fit_image(image: Tensor, size: Size, fit: str) -> Tensor:
    """An IMAGE of one picture (1 h w 3 or 4) as frames (1 3 1 h w) in [0, 1] of `size`; what is transparent is white.

    Raises ValueError for a batch, for another form, and for values that are not finite.
    """
    if image.ndim != 4 or image.shape[3] not in (3, 4):
        raise ValueError(f"image has shape {tuple(image.shape)}; it must be one picture (1 h w 3)")
    if image.shape[0] != 1:
        raise ValueError(
            f"image holds {image.shape[0]} pictures, but a video starts from one; pick one with the node ImageFromBatch"
        )
    picture = opaque(image)[0].detach().to("cpu", torch.float32)
    require_finite_image(picture)
    source = (picture.shape[0], picture.shape[1])
    if source != size:
        box, (height, width) = fit_box(source, size, fit), size
        channels = [Image.fromarray(channel) for channel in picture.permute(2, 0, 1).contiguous().numpy()]
        fitted = [np.asarray(each.resize((width, height), Image.Resampling.LANCZOS, box=box)) for each in channels]
        picture = torch.from_numpy(np.stack(fitted, axis=-1))
    return picture.clamp(0, 1).permute(2, 0, 1)[None, :, None].contiguous()


def fit_tracks(tracks: Tracks, size: Size, fit: str) -> Tracks:
    """Tracks drawn over a picture, over what `fit_image` makes of that picture."""
    return fitted(tracks, *size, PICTURE_FITS[fit])
