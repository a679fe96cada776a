"""The full Wan VAE's weights: original names (Wan2.1_VAE.pth, Wan2.2_VAE.pth, ComfyUI's files) and diffusers' ones.

Both name the same tensors. In the 2.1 file the stages of encoder and decoder are one flat list; diffusers numbers the
encoder's just so and gathers the decoder's by four (three residual blocks and an upsampler). In the 2.2 file stages
are nested on both sides. Sources: Wan-Video/Wan2.1: wan/modules/vae.py; Wan-Video/Wan2.2: wan/modules/vae2_2.py;
huggingface/diffusers: autoencoder_kl_wan.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from ..models.vae.wan_vae import WAN21_MEAN, WAN21_STD, WAN22_MEAN, WAN22_STD, WanVae
from .components import vae_of
from .detect import Shapes, faults_between, shapes_of
from .files import naming
from .ranges import short
from .read import Stored, read_stored
from .sound import check_finite, check_kinds_of_numbers

Value = TypeVar("Value")

# Beginnings of names, original -> diffusers.
_STEMS = {
    "conv1": "quant_conv",
    "conv2": "post_quant_conv",
    **{f"{side}.conv1": f"{side}.conv_in" for side in ("encoder", "decoder")},
    **{f"{side}.head.0": f"{side}.norm_out" for side in ("encoder", "decoder")},
    **{f"{side}.head.2": f"{side}.conv_out" for side in ("encoder", "decoder")},
    **{f"{side}.middle.0": f"{side}.mid_block.resnets.0" for side in ("encoder", "decoder")},
    **{f"{side}.middle.1": f"{side}.mid_block.attentions.0" for side in ("encoder", "decoder")},
    **{f"{side}.middle.2": f"{side}.mid_block.resnets.1" for side in ("encoder", "decoder")},
}
# Parts of a residual block.
_PARTS = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_PARTS_BACK = {theirs: ours for ours, theirs in _PARTS.items()}
_PREFIXES = ("first_stage_model.", "vae.")
_STATISTICS = {16: (WAN21_MEAN, WAN21_STD), 48: (WAN22_MEAN, WAN22_STD)}
# What config.json may say and the shapes do not show.
_CONFIG_ONLY = (
    "latents_mean",
    "latents_std",
    "temperal_downsample",
    "dim_mult",
    "attn_scales",
    "scale_factor_spatial",
)
MAX_SAID, MAX_STAGES = 1e4, 16  # of numbers and of lists in config.json
_RESNETS_DOWN, _RESNETS_UP = 2, 3  # residual blocks in a stage; what follows them changes the size


def is_vae(names: Iterable[str]) -> bool:
    """Whether these are names of a Wan VAE, in either naming."""
    bare = {_bare(name) for name in names}
    return {"encoder.conv1.weight", "conv2.weight"} <= bare or {
        "encoder.conv_in.weight",
        "post_quant_conv.weight",
    } <= bare


def vae_to_diffusers(weights: Mapping[str, Value]) -> dict[str, Value]:
    """Weights of either naming as diffusers names them."""
    bare = {_bare(name): value for name, value in weights.items()}
    if "encoder.conv1.weight" not in bare:
        return bare
    return {_diffusers_name(name): value for name, value in bare.items()}


def vae_to_original(weights: Mapping[str, Value]) -> dict[str, Value]:
    """Weights of either naming under original names."""
    diffusers = vae_to_diffusers(weights)
    nested = any("downsampler." in name for name in diffusers)
    return {_original_name(name, nested): value for name, value in diffusers.items()}


def load_vae(path: str | Path, dtype: torch.dtype = torch.float32) -> WanVae:
    """The full VAE of Wan 2.1 or 2.2 in a file or a folder, in either naming, onto the CPU.

    A diffusers folder's `vae` is found. Raises ImportError without diffusers, FileNotFoundError, or WeightsError
    listing what is missing, unknown or of another shape.
    """
    try:
        from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
    except ImportError as error:
        raise ImportError("the full Wan VAE needs the package 'diffusers' (pip install diffusers)") from error
    stored = vae_of(read_stored(path, "vae"))
    weights = vae_to_diffusers(stored.tensors)
    with naming(path):
        check_kinds_of_numbers(weights)
        with torch.device("meta"):
            vae = AutoencoderKLWan(**vae_config(stored))
        faults = faults_between(shapes_of(vae.state_dict()), shapes_of(weights))
        if faults.count:
            raise ValueError(f"closest is {vae_title(stored)}: {faults}")
        check_finite(weights)
    vae.load_state_dict(weights, assign=True)
    nn.Module.to(vae, dtype)  # diffusers' own `to` has no types
    return WanVae(vae.eval().requires_grad_(False))


def vae_title(stored: Stored) -> str:
    """Which VAE these tensors are."""
    return "Wan 2.2 VAE" if vae_config(stored)["z_dim"] == 48 else "Wan 2.1 VAE"


def vae_config(stored: Stored) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKLWan, from config.json where there is one, else from the shapes.

    Raises ValueError for tensors that are no Wan VAE, or one whose latents have no known statistics.
    """
    shapes = shapes_of(vae_to_diffusers(stored.tensors))
    try:
        found = _config_from(shapes)
    except KeyError as error:
        some = ", ".join(name[:80] for name in sorted(shapes)[:5]) or "none"
        raise ValueError(
            f"these are no weights of a Wan VAE: {error} is not there; the first names are {some}"
        ) from None
    config = {name: value for name, value in stored.config.items() if name in _CONFIG_ONLY}
    for name, value in config.items():
        _check_said(name, value, found["z_dim"])
    if "latents_mean" not in config:
        if found["z_dim"] not in _STATISTICS:
            raise ValueError(
                f"the VAE has {found['z_dim']} latent channels; mean and spread are known for 16 and 48, else "
                "config.json must say latents_mean and latents_std"
            )
        mean, std = _STATISTICS[found["z_dim"]]
        config |= {"latents_mean": list(mean), "latents_std": list(std)}
    return found | config


def _check_said(name: str, value: Any, num_channels: int) -> None:
    """Raises ValueError for what config.json cannot mean."""
    entries = value if isinstance(value, list) else [value]
    numbers = all(isinstance(each, int | float) and abs(each) < MAX_SAID for each in entries)
    count = num_channels if name.startswith("latents_") else min(len(entries), MAX_STAGES)
    if not numbers or isinstance(value, list) == name.startswith("scale_") or len(entries) != count:
        raise ValueError(f"{name} in its config.json is {short(value)}, which no Wan VAE has")


def _config_from(shapes: Shapes) -> dict[str, Any]:
    first, last, quant = (
        shapes[f"{name}.weight"] for name in ("encoder.conv_in", "decoder.conv_out", "post_quant_conv")
    )
    if not len(first) == len(last) == len(quant) == 5 or 0 in (*first, *last, *quant):
        raise ValueError(f"its outer convolutions are {first}, {last} and {quant}; a Wan VAE's have five axes")
    z_dim = quant[0]
    residual = any("downsampler." in name for name in shapes)
    blocks = {name.split(".")[4] for name in shapes if name.startswith("decoder.up_blocks.0.resnets.")}
    patch = round((first[1] / 3) ** 0.5)
    return {
        "base_dim": first[0],
        "decoder_base_dim": last[1],
        "z_dim": z_dim,
        "num_res_blocks": len(blocks) - 1,
        "is_residual": residual,
        "in_channels": first[1],
        "out_channels": last[0],
        "patch_size": patch if patch > 1 else None,
        "scale_factor_spatial": 8 * patch,
    }


def _bare(name: str) -> str:
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    return name[len(prefix) :]


def _diffusers_name(name: str) -> str:
    for stem, other in _STEMS.items():
        if name.startswith(stem + "."):
            return other + _renamed_part(name[len(stem) :], _PARTS)
    if found := re.match(r"(encoder|decoder)\.(?:down|up)samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.*)", name):
        side, stage, index, rest = found[1], int(found[2]), int(found[3]), found[4]
        return _stage_name(side, stage, index, rest, nested=True)
    if found := re.match(r"encoder\.downsamples\.(\d+)\.(.*)", name):
        return _renamed_part(f"encoder.down_blocks.{found[1]}.{found[2]}", _PARTS)
    if found := re.match(r"decoder\.upsamples\.(\d+)\.(.*)", name):
        stage, index = divmod(int(found[1]), _RESNETS_UP + 1)
        return _stage_name("decoder", stage, index, found[2], nested=False)
    return name


def _stage_name(side: str, stage: int, index: int, rest: str, nested: bool) -> str:
    """diffusers' name in a stage of gathered blocks."""
    count, block, resize = _RESNETS_UP, "up_blocks", "upsampler" if nested else "upsamplers.0"
    if side == "encoder":
        count, block, resize = _RESNETS_DOWN, "down_blocks", "downsampler"
    if index == count:
        return f"{side}.{block}.{stage}.{resize}.{rest}"
    return _renamed_part(f"{side}.{block}.{stage}.resnets.{index}.{rest}", _PARTS)


def _original_name(name: str, nested: bool) -> str:
    for stem, other in _STEMS.items():
        if name.startswith(other + "."):
            return stem + _renamed_part(name[len(other) :], _PARTS_BACK)
    if found := re.match(r"(encoder|decoder)\.(down|up)_blocks\.(\d+)\.(.*)", name):
        side, way, stage, rest = found[1], found[2] + "samples", int(found[3]), found[4]
        count = _RESNETS_DOWN if side == "encoder" else _RESNETS_UP
        inner = re.match(r"resnets\.(\d+)\.(.*)|(?:down|up)sampler(?:s\.0)?\.(.*)", rest)
        if inner is None:  # the encoder of 2.1: one flat list already
            return _renamed_part(f"{side}.{way}.{stage}.{rest}", _PARTS_BACK)
        index, rest = (int(inner[1]), inner[2]) if inner[1] else (count, inner[3])
        place = f"{stage}.{way}.{index}" if nested else str(stage * (count + 1) + index)
        return _renamed_part(f"{side}.{way}.{place}.{rest}", _PARTS_BACK)
    return name


def _renamed_part(name: str, parts: Mapping[str, str]) -> str:
    for part, other in parts.items():
        if f".{part}." in name:
            return name.replace(f".{part}.", f".{other}.")
    return name
