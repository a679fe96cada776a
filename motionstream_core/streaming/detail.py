"""A picture's own pixels, given back to decoded frames that agree with them.

A small VAE blurs what it decodes, be it the picture that it was given to the bit, and smears what is fast. Where a
model makes the latents that it was told, the pixels that they are latents of (`tracks.carry`) are the better picture;
where it shows something else its frame stands, with the detail of what is alike.
StableSR (arXiv 2305.07015) corrects a decoder's colours by its input in a like way: what is coarse of the one, what is
fine of the other. Here both follow the input as far as the two agree.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.conditioning import Forecast

CELLS = 32
"""What is coarse: as much as so many cells along the smaller side can show."""
LIKE, SAME = 0.16, 0.04
"""Differences in what is coarse, of 1, at which a forecast still has e^-1 of its say about detail, and about colour."""
AGREE, DIFFER = 0.1, 0.3
"""Up to which difference of latents (rms over channels) a cell is as it was forecast, and from which it is not."""


def with_detail(frames: Tensor, forecast: Forecast, latents: Tensor) -> Tensor:
    """Frames (t h w 3) in [0, 1] with what the forecast of them (as long, as large) knows better.

    latents: (1 c f h w), of which they were decoded.
    """
    decoded = frames.movedim(3, 1)
    foreseen = forecast.frames.to(decoded).movedim(0, 1)
    apart = foreseen - decoded
    size, known = apart.shape[2:], forecast.known.to(decoded)[:, None]
    coarse = _coarse(apart)
    unlike = coarse.square().sum(1, keepdim=True)
    low = _enlarged(coarse, size)
    detail, colour = (_enlarged(torch.exp(-unlike / scale**2), size) * known for scale in (LIKE, SAME))
    shown = (decoded + detail * (apart - low) + colour * low).clamp(0, 1)
    return torch.lerp(shown, foreseen, _enlarged(_agreement(latents, forecast), size)).movedim(1, 3)


def _agreement(latents: Tensor, forecast: Forecast) -> Tensor:
    """How far (t 1 y x), from 0 to 1, the cells of frames were made as they were told."""
    apart = (latents.float() - forecast.latents.float()).square().mean(1).sqrt().movedim(0, 1)  # f 1 y x
    agreed = ((DIFFER - apart) / (DIFFER - AGREE)).clamp(0, 1)
    return agreed.repeat_interleave(forecast.stride, 0)[-forecast.frames.shape[1] :]


def _coarse(frames: Tensor) -> Tensor:
    """Means of cells, and then of three by three of them, half as heavy at each rim."""
    height, width = frames.shape[2:]
    share = min(1.0, CELLS / min(height, width))
    cells = F.interpolate(frames, (round(height * share), round(width * share)), mode="area")
    return F.avg_pool2d(F.avg_pool2d(F.pad(cells, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)


def _enlarged(cells: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(cells, tuple(size), mode="bilinear", align_corners=False)
