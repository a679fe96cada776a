"""A picture's own pixels, given back to decoded frames that agree with them.

A small VAE blurs what it decodes, be it the picture that it was given to the bit, and smears what is fast. Where a
model makes the latents that it was told, the pixels that they are latents of (`tracks.carry`) are the better picture;
where it shows something else its frame stands, with the detail of what is alike.
StableSR (arXiv 2305.07015) corrects a decoder's colours by its input in a like way: what is coarse of the one, what is
fine of the other. Here both follow the input as far as the two agree, and its light is first made the model's: night
or fog that a model lays over the whole picture is laid over the picture's own pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.conditioning import Forecast

CELLS = 32
"""What is coarse: as much as so many cells along the smaller side can show."""
LIKE, SAME = 0.06, 0.03
"""Differences in what is coarse, of 1, at which a forecast still has e^-1 of its say about detail, and about colour."""
OTHER = 0.05
"""A cell whose colour the common light explains no better, at which it has e^-1/2 of its say about that light."""
UNLIT, LIT = 0.012, 0.03
"""Changes by the common light (rms, of 1) up to which there is none but a decoder's error, and from which it counts."""
AGREE, DIFFER = 0.15, 0.3
"""Up to which difference of latents (rms over channels) a cell is as it was forecast, and from which it is not."""


def with_detail(frames: Tensor, forecast: Forecast, latents: Tensor) -> Tensor:
    """Frames (t h w 3) in [0, 1] with what the forecast of them (as long, as large) knows better.

    latents: (1 c f h w), of which they were decoded.
    """
    decoded = frames.movedim(3, 1)
    known = forecast.known.to(decoded)[:, None]
    foreseen = _relit(forecast.frames.to(decoded).movedim(0, 1), decoded, known)
    apart = foreseen - decoded
    size = apart.shape[2:]
    coarse = _blurred(_cells(apart))
    unlike = coarse.square().sum(1, keepdim=True)
    low = _enlarged(coarse, size)
    detail, colour = (_enlarged(torch.exp(-unlike / scale**2), size) * known for scale in (LIKE, SAME))
    shown = (decoded + detail * (apart - low) + colour * low).clamp(0, 1)
    return torch.lerp(shown, foreseen, _enlarged(_agreement(latents, forecast), size)).movedim(1, 3)


def _relit(foreseen: Tensor, decoded: Tensor, known: Tensor) -> Tensor:
    """The forecast (t 3 h w) in the light of the decoded frames.

    That is a gain and a lift, one a frame and channel, which explain most of the cells: a flake, or what stands
    elsewhere than foreseen, is no light. Without such a light, the very forecast.
    """
    here, there, weight = (_cells(frames) for frames in (foreseen, decoded, known))
    gain, lift = _fit(here, there, weight)
    for _ in range(2):
        gain, lift = _fit(here, there, _explained(here, there, weight, gain, lift))
    explained = _explained(here, there, weight, gain, lift)
    change = (gain * here + lift - here).square().mean((1, 2, 3), keepdim=True).sqrt()
    common = explained.mean((2, 3), keepdim=True) > 0.5
    share = common * ((change - UNLIT) / (LIT - UNLIT)).clamp(0, 1)
    return foreseen + share * (gain * foreseen + lift - foreseen)


def _explained(here: Tensor, there: Tensor, weight: Tensor, gain: Tensor, lift: Tensor) -> Tensor:
    """The weight (t 1 y x) of cells, less where gain and lift do not make them what they are."""
    other = (there - gain * here - lift).square().sum(1, keepdim=True)
    return weight * torch.exp(-0.5 * other / OTHER**2)


def _fit(here: Tensor, there: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and lift (t 3 1 1) by weighted least squares; a gain of 1 where there is no contrast to tell it by."""
    total = weight.mean((2, 3), keepdim=True) + 1e-4

    def mean(values: Tensor) -> Tensor:
        return (weight * values).mean((2, 3), keepdim=True) / total

    at, to = mean(here), mean(there)
    gain = (mean((here - at) * (there - to)) + 1e-3) / (mean((here - at).square()) + 1e-3)
    return gain, to - gain * at


def _agreement(latents: Tensor, forecast: Forecast) -> Tensor:
    """How far (t 1 y x), from 0 to 1, the cells of frames were made as they were told."""
    apart = (latents.float() - forecast.latents.float()).square().mean(1).sqrt().movedim(0, 1)  # f 1 y x
    agreed = ((DIFFER - apart) / (DIFFER - AGREE)).clamp(0, 1)
    return agreed.repeat_interleave(forecast.stride, 0)[-forecast.frames.shape[1] :]


def _cells(frames: Tensor) -> Tensor:
    """Means of cells."""
    height, width = frames.shape[2:]
    share = min(1.0, CELLS / min(height, width))
    return F.interpolate(frames, (round(height * share), round(width * share)), mode="area")


def _blurred(cells: Tensor) -> Tensor:
    """Means of three by three cells, half as heavy at each rim."""
    return F.avg_pool2d(F.avg_pool2d(F.pad(cells, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)


def _enlarged(cells: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(cells, tuple(size), mode="bilinear", align_corners=False)
