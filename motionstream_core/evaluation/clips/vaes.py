"""VAEs side by side on clips, as in the paper's table A1: what they keep, what they weigh, how fast they are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...models.live_bytes import LiveBytes
from ...models.vae.wan_vae import WanVae
from ...streaming.render.renderer import Vae, streaming_decoder
from ..perceptual import Lpips
from ..world.report import to_video
from .cases import Video
from .judge import likeness

CHUNK = 3  # latent frames that are decoded at a time, as a stream does


@dataclass(frozen=True)
class VaeFigures:
    """Means over clips and all of their frames: PSNR in dB, SSIM, LPIPS (None without it).

    encoder_millions, decoder_millions: parameters. encoded, decoded: frames a second, after a first clip that warms up.
    memory_mib: the most that decoding a chunk held at once beside weights and latents.
    """

    psnr_db: float
    ssim: float
    lpips: float | None
    encoder_millions: float
    decoder_millions: float
    encoded: float
    decoded: float
    memory_mib: float


@torch.no_grad()
def vae_figures(
    encoder: Vae, decoder: Vae, clips: Iterable[Video], device: torch.device, lpips: Lpips | None = None
) -> VaeFigures:
    """What `decoder` makes of `encoder`'s latents of clips uint8 (t h w 3), t = 1 + 4k; both may be one VAE.

    Raises ValueError for no clips, for VAEs of unlike latents, and as `encode` does.
    """
    for name, one, other in (
        ("latent channels", encoder.num_channels, decoder.num_channels),
        ("strides", encoder.stride, decoder.stride),
    ):
        if one != other:
            raise ValueError(f"encoder and decoder do not go together: {name} are {one} and {other}")
    encoder.to(device)
    decoder.to(device)
    watch, found, memory = _Watch(device), [], 0.0
    for number, clip in enumerate(clips):
        frames = torch.from_numpy(clip.copy()).to(device).permute(3, 0, 1, 2)[None].float() / 255
        if number == 0:
            memory = _decoding_mib(decoder, encoder.encode(frames[:, :, : 1 + (CHUNK - 1) * encoder.stride.time]))
            watch.run("decoded", 0, lambda frames=frames: _decode(decoder, encoder.encode(frames)))
        latents = watch.run("encoded", len(clip), lambda frames=frames: encoder.encode(frames))
        rebuilt = watch.run("decoded", len(clip), lambda latents=latents: _decode(decoder, latents))
        found.append(likeness(to_video(rebuilt), clip, lpips))
    if not found:
        raise ValueError("there are no clips to send through a VAE")
    lpips_values = [each.lpips for each in found if each.lpips is not None]
    return VaeFigures(
        float(np.mean([each.psnr_db for each in found])),
        float(np.mean([each.ssim for each in found])),
        float(np.mean(lpips_values)) if lpips_values else None,
        _millions(_half(encoder, "encoder")),
        _millions(_half(decoder, "decoder")),
        watch.per_second("encoded"),
        watch.per_second("decoded"),
        memory,
    )


def _half(vae: Vae, name: str) -> list[nn.Module]:
    """The modules that encode or decode."""
    if isinstance(vae, WanVae):
        joint = {"encoder": vae.vae.quant_conv, "decoder": vae.vae.post_quant_conv}[name]
        return [getattr(vae.vae, name), joint]
    return [getattr(vae, name)]


def _millions(modules: list[nn.Module]) -> float:
    return sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6


def _decode(vae: Vae, latents: Tensor) -> Tensor:
    """Frames (t h w 3), chunk by chunk."""
    decoder = streaming_decoder(vae)
    decoder.reset()
    return torch.cat([decoder.push(chunk) for chunk in latents.split(CHUNK, dim=2)])


def _decoding_mib(vae: Vae, latents: Tensor) -> float:
    with LiveBytes() as live:
        _decode(vae, latents)
    return live.peak / 2**20


class _Watch:
    """Frames a second of what is run."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._frames: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def run(self, name: str, num_frames: int, work: Callable[[], Tensor]) -> Tensor:
        """What `work` gives; with no frames its time is not counted."""
        self._wait()
        started = time.perf_counter()
        made = work()
        self._wait()
        if num_frames:
            self._frames[name] = self._frames.get(name, 0) + num_frames
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - started
        return made

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def per_second(self, name: str) -> float:
        return self._frames[name] / self._seconds[name]
