"""A picture's own pixels, given back to decoded frames that agree with them.

A small VAE blurs what it decodes, be it the picture that it was given to the bit, and smears what is fast. So beside
the model's latents it decodes those that the model was told (`tracks.carry`). Their pixels are known: what it has lost
of them it has lost of the model's frames, too, and that is added to these wherever the two are alike. Where a model
makes what it was told, the pixels themselves are left. What else it shows, flakes before the picture or a hole behind
what went, is as the decoder made it, but what is so little that the decoder may have made it up. A light that it
lays over the whole picture is laid over what is added.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.conditioning import Forecast

CELLS = 32
"""What is coarse: as much as so many cells along the smaller side can show."""
LIKE = 0.15
"""Difference in what is coarse, of 1, at which what a decoder has lost still has e^-1 of its say."""
ERROR = 0.015
"""What a decoder makes up in another light (rms, of 1): as much of the model's own has half its say (Wiener)."""
OTHER = 0.05
"""A cell whose colour the common light explains no better, at which it has e^-1/2 of its say about that light."""
UNLIT, LIT = 0.012, 0.03
"""Changes by the common light (rms, of 1) up to which there is none, and from which it counts."""
AGREE, DIFFER = 0.16, 0.22
"""Up to which difference of latents (rms over channels) a cell is as it was told, and from which it is not."""


def with_detail(frames: Tensor, foreseen: Tensor, forecast: Forecast, latents: Tensor) -> Tensor:
    """Frames (t h w 3) in [0, 1] with what their decoder has lost of the forecast (as long, as large).

    foreseen (t h w 3): what the same decoder makes of the forecast's latents. latents: (1 c f h w), the frames'.
    """
    decoded, of_told = frames.movedim(3, 1), foreseen.movedim(3, 1)
    known = forecast.known.to(decoded)[:, None]
    gain, lift = _common_light(of_told, decoded, known)
    told, of_told = (gain * each + lift for each in (forecast.frames.to(decoded).movedim(0, 1), of_told))
    own, size = decoded - of_told, decoded.shape[2:]
    unlike = _blurred(_cells(own)).square().sum(1, keepdim=True)
    power = _blurred(_cells(own.square().mean(1, keepdim=True)))
    alike, meant = (_enlarged(each, size) for each in (torch.exp(-unlike / LIKE**2), power / (power + ERROR**2)))
    shown = of_told + torch.lerp(torch.ones_like(meant), meant, known) * own + alike * known * (told - of_told)
    shown = shown.clamp(0, 1)
    return torch.lerp(shown, told, _enlarged(_agreement(latents, forecast), size)).movedim(1, 3)


def _common_light(of_told: Tensor, decoded: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Gain and lift (t 3 1 1), one a frame and channel, that make most cells of the first frames what the second's are.

    A flake, or what stands elsewhere than foreseen, is no light. Without such a light 1 and 0.
    """
    here, there, weight = (_cells(frames) for frames in (of_told, decoded, known))
    gain, lift = _fit(here, there, weight)
    for _ in range(2):
        gain, lift = _fit(here, there, _explained(here, there, weight, gain, lift))
    explained = _explained(here, there, weight, gain, lift)
    change = (gain * here + lift - here).square().mean((1, 2, 3), keepdim=True).sqrt()
    common = explained.mean((2, 3), keepdim=True) > 0.5
    share = common * ((change - UNLIT) / (LIT - UNLIT)).clamp(0, 1)
    return 1 + share * (gain - 1), share * lift


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
