"""From one layout of weights to another, bit for bit: nothing is cast, scaled or left out, unless a LoRA is merged in.

    original      Wan's own names, one safetensors file
    comfyui       the same behind `model.diffusion_model.`, students marked as core marks them
    diffusers     a folder with config.json, and diffusers' names
    motionstream  Wan's own names

Each keeps the ModelSpec in its metadata, so that what was found once is not guessed again. A full VAE goes between
original and diffusers names; a tiny VAE takes this project's description along.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from ..files import write_text
from .components import vae_of
from .files import DIFFUSERS_FILE, naming
from .key_maps import to_diffusers
from .kinds import kind_of
from .load import SPEC_KEY, Checkpoint, checkpoint_of, write_safetensors
from .lora import merged, read_lora
from .read import Stored, read_any
from .scaled import unscaled
from .spec import ModelSpec, Role
from .tiny_vae_weights import TINY_VAE_KEY, detect_tiny_vae
from .vae_weights import vae_config, vae_to_diffusers, vae_to_original

Layout = Literal["original", "diffusers", "comfyui", "motionstream"]
COMFY_PREFIX = "model.diffusion_model."


def convert(
    source: str | Path,
    target: str | Path,
    layout: Layout,
    *,
    role: Role | None = None,
    family: str | None = None,
    variant: str | None = None,
    lora: str | Path | None = None,
    strength: float = 1.0,
) -> str:
    """Write the weights at `source` to `target` (a file; for diffusers a folder) in another layout.

    role, family: as in `load.read_checkpoint`; variant: as in `load.load_tiny_vae`. lora: a file whose changes, times
    `strength`, are merged into a transformer (`lora.merged`). Returns what was merged, in words, "" without a LoRA.
    Raises FileNotFoundError, FileExistsError for a target that is there, or ValueError for weights of no known kind or
    a layout that they have not.
    """
    target = Path(target)
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    stored = read_any(source)
    kind, said = kind_of(stored), ""
    if lora is not None and kind in ("tiny VAE", "VAE"):
        raise ValueError(f"{source} is a {kind}; a LoRA is merged into a transformer")
    if kind == "tiny VAE":
        with naming(source):
            _convert_tiny_vae(stored, target, layout, variant)
    elif kind == "VAE":
        with naming(source):
            _convert_vae(vae_of(stored), target, layout)
    else:
        with naming(source):
            checkpoint = checkpoint_of(stored, role, family)
        if lora is not None:
            checkpoint, said = _with_lora(checkpoint, lora, strength)
        _convert_model(checkpoint, target, layout)
    return said


def _with_lora(checkpoint: Checkpoint, file: str | Path, strength: float) -> tuple[Checkpoint, str]:
    weights = unscaled(checkpoint.tensors)
    lora = read_lora(file, weights)
    with naming(file):
        return dataclasses.replace(checkpoint, tensors=merged(weights, lora, strength)), f"{file} {lora}"


def _convert_model(checkpoint: Checkpoint, target: Path, layout: Layout) -> None:
    spec, tensors = checkpoint.spec, checkpoint.tensors
    metadata = {SPEC_KEY: spec.to_json(), "format": "pt"}
    if layout == "diffusers":
        _write_folder(target, to_diffusers(tensors), diffusers_config(spec), metadata)
        return
    if layout == "comfyui":
        tensors = {COMFY_PREFIX + name: tensor for name, tensor in tensors.items()}
        if spec.role == "student":
            metadata["config"] = json.dumps({"transformer": {"causal_ar": True}})
    write_safetensors(target, tensors, metadata, None)


def _convert_vae(stored: Stored, target: Path, layout: Layout) -> None:
    if layout == "diffusers":
        config = {"_class_name": "AutoencoderKLWan", **vae_config(stored)}
        _write_folder(target, vae_to_diffusers(stored.tensors), config, {"format": "pt"})
    elif layout in ("original", "comfyui"):
        write_safetensors(target, vae_to_original(stored.tensors), {"format": "pt"}, None)
    else:
        raise ValueError("a full VAE has no layout 'motionstream'; it has original, comfyui (the same) and diffusers")


def _convert_tiny_vae(stored: Stored, target: Path, layout: Layout, variant: str | None) -> None:
    if layout == "diffusers":
        raise ValueError(
            "a tiny VAE has no layout 'diffusers'; it has original, comfyui and motionstream (all the same)"
        )
    _, config = detect_tiny_vae(stored, variant)
    metadata = {TINY_VAE_KEY: json.dumps(dataclasses.asdict(config), sort_keys=True), "format": "pt"}
    write_safetensors(target, stored.tensors, metadata, None)


def _write_folder(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any], metadata: dict[str, str]) -> None:
    """config.json comes last, so that a folder that has it is whole."""
    write_safetensors(folder / DIFFUSERS_FILE, tensors, metadata, None)
    write_text(folder / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")


def diffusers_config(spec: ModelSpec) -> dict[str, Any]:
    """config.json of a transformer, as diffusers and, for models with tracks, FastVideo write it."""
    backbone, head = spec.backbone, spec.track_head
    causal, tracks = "Causal" if spec.role == "student" else "", "Track" if head else ""
    config: dict[str, Any] = {
        "_class_name": f"{causal}{tracks}WanTransformer3DModel",
        "added_kv_proj_dim": backbone.dim if backbone.image_dim else None,
        "attention_head_dim": backbone.head_dim,
        "cross_attn_norm": True,
        "eps": backbone.eps,
        "ffn_dim": backbone.ffn_dim,
        "freq_dim": backbone.freq_dim,
        "image_dim": backbone.image_dim,
        "in_channels": backbone.in_channels,
        "num_attention_heads": backbone.num_heads,
        "num_layers": backbone.num_layers,
        "out_channels": backbone.out_channels,
        "patch_size": list(backbone.patch),
        "qk_norm": "rms_norm_across_heads",
        "rope_max_seq_len": 1024,
        "text_dim": backbone.text_dim,
    }
    if head:
        config["track_config"] = {
            "id_dim": head.id_dim,
            "track_channels": head.out_channels,
            "use_bias": head.bias,
            "vae_spatial_compression": head.space_stride,
            "vae_temporal_compression": head.time_stride,
        }
    return config
