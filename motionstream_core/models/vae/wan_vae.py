"""The full Wan VAE behind the same face as the tiny one, and what both check about their inputs.

Wan 2.1 (16 channels, 8 px per cell) and Wan 2.2 5B (48 channels, 16 px) run on diffusers' `AutoencoderKLWan`, which is
imported only where it is loaded. Its own `decode` forgets the features of earlier latents at its start and at its end;
a stream needs them, so this module drives the decoder itself and lets the caller keep them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ...geometry import VaeStride

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

IMAGE_CHANNELS = 3
# Mean and spread of each latent channel of the two VAEs (Wan-Video/Wan2.1: wan/modules/vae.py; Wan2.2: vae2_2.py).
WAN21_MEAN = (
    *(-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508),
    *(0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921),
)
WAN21_STD = (
    *(2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743),
    *(3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160),
)
WAN22_MEAN = (
    *(-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891),
    *(0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502),
    *(-0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723),
    *(-0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667),
)
WAN22_STD = (
    *(0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901),
    *(0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659),
    *(0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944),
    *(0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744),
)


def check_frames(frames: Tensor, stride: VaeStride) -> None:
    """Raises ValueError unless frames are (b 3 t h w), t = 1 + time stride * i, with sides that are whole cells."""
    if frames.ndim != 5 or frames.shape[1] != IMAGE_CHANNELS:
        raise ValueError(f"frames must be (b {IMAGE_CHANNELS} t h w), got shape {tuple(frames.shape)}")
    stride.num_latent_frames(frames.shape[2])  # raises for a length that does not fit
    height, width = frames.shape[3:]
    if not height or not width or height % stride.space or width % stride.space:
        raise ValueError(f"height and width must be multiples of {stride.space} px, got {height} x {width}")


def check_latents(latents: Tensor, num_channels: int) -> None:
    """Raises ValueError unless latents are (b c f h w) with c = `num_channels` and at least one latent frame."""
    if latents.ndim != 5 or latents.shape[1] != num_channels or latents.shape[2] < 1:
        raise ValueError(f"latents must be (b {num_channels} f h w) with f >= 1, got shape {tuple(latents.shape)}")


@dataclass
class WanDecoderMemory:
    """What the full decoder remembers between two latent frames of one stream; its size does not grow with the stream.

    features: for every causal convolution in turn, the last two frames it was given, in diffusers' own form
        (None before the first latent frame; the string "Rep" where a temporal upsampler has passed only one).
    num_latent_frames: latent frames decoded so far.
    """

    features: list[Tensor | str | None] = field(default_factory=list)
    num_latent_frames: int = 0


class WanVae(nn.Module):
    """Wan's video VAE between frames (b 3 t h w) in [0, 1] and latents (b c f h w) at the DiT's scale.

    Latents are (mu - mean) / std per channel, with the statistics of the VAE's own configuration. Frame 0 belongs to
    latent frame 0 alone, frames 4i-3..4i to latent frame i.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        super().__init__()
        self.vae = vae
        config = vae.config
        self.num_channels: int = config["z_dim"]
        self.patch_size: int = config["patch_size"] or 1
        self.stride = VaeStride(
            time=2 ** sum(config["temperal_downsample"]), space=self.patch_size * 2 ** (len(config["dim_mult"]) - 1)
        )
        for name in ("latents_mean", "latents_std"):
            if len(config[name]) != self.num_channels:
                raise ValueError(f"{name} holds {len(config[name])} values for {self.num_channels} latent channels")
        # No buffers: `.to(bfloat16)` would round them.
        self._mean_std = torch.tensor([config["latents_mean"], config["latents_std"]]).view(2, 1, -1, 1, 1, 1)

    @classmethod
    def from_pretrained(cls, folder: str | Path, dtype: torch.dtype = torch.float32) -> WanVae:
        """The VAE in a folder in diffusers' layout (config.json and weights); nothing is downloaded.

        Raises ImportError when diffusers is not installed, OSError when the folder does not hold such a VAE.
        """
        try:
            from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
        except ImportError as error:
            raise ImportError("the full Wan VAE needs the package 'diffusers' (pip install diffusers)") from error
        return cls(AutoencoderKLWan.from_pretrained(str(folder), torch_dtype=dtype, local_files_only=True).eval())

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w), float32, of frames (b 3 t h w) in [0, 1], t = 1 + 4k.

        The posterior's mean, not a sample. Encoding is causal: latent frame 0 is the encoding of the first image alone.
        Raises ValueError for other shapes.
        """
        check_frames(frames, self.stride)  # diffusers would drop frames past 1 + 4k without a word
        posterior = self.vae.encode(frames.to(self.vae.dtype) * 2 - 1, return_dict=False)[0]
        mean, std = self._statistics(frames.device)
        return (posterior.mode().float() - mean) / std

    def decode(self, latents: Tensor, clamp: bool = True) -> Tensor:
        """Frames (b 3 4f-3 h w) of latents (b c f h w); in [0, 1] with `clamp`, raw without."""
        return self.decode_stream(latents, self.new_memory(), clamp)

    def new_memory(self) -> WanDecoderMemory:
        """The memory a stream starts with."""
        return WanDecoderMemory()

    def decode_stream(self, latents: Tensor, memory: WanDecoderMemory, clamp: bool = True) -> Tensor:
        """Frames of the next latents (b c f h w) of a stream; `memory` is updated in place.

        The first latent frame of a stream gives 1 frame, every later one 4. Joined, the chunks are what `decode` makes
        of the joined latents. Latent frames go through one by one, which bounds the memory needed. Raises ValueError
        for other shapes.
        """
        check_latents(latents, self.num_channels)
        if not memory.features:
            memory.features = [None] * sum(isinstance(module, nn.Conv3d) for module in self.vae.decoder.modules())
        mean, std = self._statistics(latents.device)
        features = self.vae.post_quant_conv((latents.float() * std + mean).to(self.vae.dtype))
        frames = torch.cat([self._decode_one(one, memory) for one in features.split(1, dim=2)], dim=2)
        frames = (_unpatchify(frames, self.patch_size) + 1) / 2
        return frames.clamp(0, 1) if clamp else frames

    def _decode_one(self, features: Tensor, memory: WanDecoderMemory) -> Tensor:
        """Patched frames, in [-1, 1], of one latent frame."""
        frames = self.vae.decoder(
            features, feat_cache=memory.features, feat_idx=[0], first_chunk=memory.num_latent_frames == 0
        )
        memory.num_latent_frames += 1
        return frames

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and std per latent channel, each (1 c 1 1 1) in float32 on `device`."""
        if self._mean_std.device != device:
            self._mean_std = self._mean_std.to(device)
        return self._mean_std[0], self._mean_std[1]


def _unpatchify(x: Tensor, patch_size: int) -> Tensor:
    """(b c*q*p f h w) -> (b c f h*p w*q), p = q = patch_size: Wan 2.2 puts a patch's columns before its rows."""
    x = x.unflatten(1, (-1, patch_size, patch_size))  # b c q p f h w
    return x.permute(0, 1, 4, 5, 3, 6, 2).flatten(5, 6).flatten(3, 4)
