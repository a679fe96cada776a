"""What a prepared clip costs: the encoders' arithmetic, counted on the meta device at full size.

The encoders are diffusers' and transformers' own networks, in the sizes that Wan's folders have; no weights are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ...checkpoints.spec import ModelSpec
from ...models.encoders import MAX_TEXT_TOKENS
from ...models.vae.wan_vae import WAN21_MEAN, WAN21_STD, WAN22_MEAN, WAN22_STD, WanVae
from ...streaming.image_source import GREY_CLIP_LATENT_FRAMES
from .micro_costs import META

CAPTION_TOKENS = MAX_TEXT_TOKENS // 2
CLIP_SIDE_PX = 224
# AutoencoderKLWan by its latent channels: Wan 2.1's is diffusers' own; Wan 2.2's as its folder's config.json says
VAES: dict[int, dict[str, Any]] = {
    16: {"latents_mean": list(WAN21_MEAN), "latents_std": list(WAN21_STD)},
    48: {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "is_residual": True,
        "scale_factor_spatial": 16,
        "latents_mean": list(WAN22_MEAN),
        "latents_std": list(WAN22_STD),
    },
}
UMT5_XXL: dict[str, Any] = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
}
CLIP_VIT_H: dict[str, Any] = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": CLIP_SIDE_PX,
    "patch_size": 14,
}
EAGER: dict[str, Any] = {"attn_implementation": "eager"}  # the other asks the meta device for numbers


@dataclass(frozen=True)
class PrepareCost:
    """TFLOP of one clip; clip is 0 for a model that reads no CLIP tokens."""

    vae: float
    text: float
    clip: float


def prepare_cost(spec: ModelSpec, num_frames: int) -> PrepareCost:
    """Of a clip of the spec's frame size, with a caption of CAPTION_TOKENS. Raises ImportError without transformers."""
    try:
        from transformers import CLIPVisionConfig, CLIPVisionModel, UMT5Config, UMT5EncoderModel
    except ImportError as error:
        raise ImportError("the estimate of stage prepare needs the package 'transformers'") from error
    height, width = spec.frame_size
    vae = wan_vae(spec.backbone.out_channels)
    with META:
        text = UMT5EncoderModel(UMT5Config(**UMT5_XXL, **EAGER))
        clip = CLIPVisionConfig(**CLIP_VIT_H, **EAGER)
        image = CLIPVisionModel(clip) if spec.backbone.image_dim else None
        tokens, pixels = (
            torch.zeros(1, CAPTION_TOKENS, dtype=torch.int64),
            torch.zeros(1, 3, CLIP_SIDE_PX, CLIP_SIDE_PX),
        )
    encoded = spec.vae_stride.num_latent_frames(num_frames)
    if spec.image_rule == "grey_clip":
        encoded += min(encoded, GREY_CLIP_LATENT_FRAMES)
    return PrepareCost(
        encoding_tflop(vae, (height, width), encoded),
        _tflop(lambda: text(tokens)),
        0.0 if image is None else _tflop(lambda: image(pixels)),
    )


def encoding_tflop(vae: WanVae, frame_size: tuple[int, int], num_latent_frames: int) -> float:
    """Of a clip of `frame_size` (height, width); latent frames are encoded one by one, after the second all alike."""

    def cost(count: int) -> float:
        frames = torch.zeros(1, 3, vae.stride.num_frames(count), *frame_size, device=META)
        return _tflop(lambda: vae.encode(frames))

    second, third = cost(2), cost(3)
    return second + (num_latent_frames - 2) * (third - second)


def wan_vae(num_channels: int) -> WanVae:
    """Wan's VAE with so many latent channels, without weights."""
    from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan

    with META:
        return WanVae(AutoencoderKLWan(**VAES[num_channels]))


@torch.no_grad()
def _tflop(run: Callable[[], Any]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e12
