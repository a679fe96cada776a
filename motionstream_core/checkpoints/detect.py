"""What a set of weights is, from the names and shapes of its tensors and from what is written beside them.

File names are never looked at. Where two families are the same tensors, only their role tells them apart; it is taken
from config.json, from the metadata or from the form of the file, else the caller must say it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..models.conditioning import InputLayout
from ..models.track_head import TrackHeadConfig
from ..models.track_wan import TrackWan
from ..models.wan import WanConfig
from .families import BY_KEY, FAMILIES, HEAD_DIM, Family
from .read import CAUSAL_PARTS, Stored
from .spec import ModelSpec, Role

# Class names in config.json and model_index.json (huggingface/diffusers, hao-ai-lab/FastVideo, Wan-Video/Wan2.1).
CLASS_ROLES: dict[str, Role] = {
    "CausalTrackWanTransformer3DModel": "student",
    "CausalWanTransformer3DModel": "student",
    "CausalWanModel": "student",
    "TrackWanTransformer3DModel": "teacher",
    "WanTransformer3DModel": "teacher",
    "WanModel": "teacher",
}
MAX_LISTED = 40
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Faults:
    """How tensors differ from what a model takes; each a list of names, `shapes` with the two shapes."""

    missing: list[str]
    unknown: list[str]
    shapes: list[str]

    @property
    def count(self) -> int:
        return len(self.missing) + len(self.unknown) + len(self.shapes)

    def __str__(self) -> str:
        return f"missing {_some(self.missing)}; unknown {_some(self.unknown)}; wrong shape {_some(self.shapes)}"


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def faults_between(expected: Shapes, found: Shapes) -> Faults:
    """What `found` lacks, has beside, or has in another shape than `expected`."""
    return Faults(
        sorted(expected.keys() - found.keys()),
        sorted(found.keys() - expected.keys()),
        [
            f"{name} is {found[name]}, not {expected[name]}"
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ],
    )


def model_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that a model of `spec` takes."""
    with torch.device("meta"):
        return shapes_of(TrackWan(spec.backbone, spec.track_head, spec.vocabulary).state_dict())


def detect_wan(
    shapes: Shapes, stored: Stored, role: Role | None = None, family: str | None = None
) -> tuple[Family, ModelSpec]:
    """The family and the spec of a Wan transformer whose tensors, under original names, have `shapes`.

    role, family: what the caller knows; a family must be one that the tensors fit. Raises ValueError that lists missing
    and unknown tensors and names the closest family, or that asks for the role where nothing tells it.
    """
    if family and family not in BY_KEY:
        raise ValueError(f"family is {family!r}; known are {', '.join(BY_KEY)}")
    role = role or (BY_KEY[family].role if family else None)
    try:
        backbone = _backbone(shapes, stored.config)
    except KeyError:
        raise ValueError(_closest(shapes)) from None
    head = _track_head(shapes, stored.config, backbone.out_channels)
    fitting = [each for each in FAMILIES if _fits(each, backbone, head)]
    if family:
        if BY_KEY[family] not in fitting:
            raise ValueError(f"these weights are no {BY_KEY[family].title}. {_closest(shapes)}")
        fitting = [BY_KEY[family]]
    if not fitting:
        raise ValueError(
            f"no known model takes {backbone.in_channels} input channels and gives {backbone.out_channels}, "
            f"{_with(head, 'a track head')} and {_with(backbone.image_dim, 'image cross-attention')}. "
            + _closest(shapes)
        )
    chosen = _of_role(fitting, role or role_hint(stored) or _default_role(fitting))
    layout = InputLayout(chosen.slots(head.out_channels if head else 0))  # type: ignore[arg-type]
    spec = replace(chosen.spec, backbone=backbone, layout=layout, track_head=head)
    faults = faults_between(model_shapes(spec), shapes)
    if faults.count:
        raise ValueError(f"closest is {chosen.name_of(backbone)}: {faults}")
    return chosen, spec


def role_hint(stored: Stored) -> Role | None:
    """What is written beside the weights of their role, None where nothing is.

    Self-Forcing and its kin save {generator, generator_ema, critic}; ComfyUI marks its causal checkpoints by
    {"transformer": {"causal_ar": true}} as "config" in the metadata (comfy/model_detection.py).
    """
    if hint := CLASS_ROLES.get(str(stored.config.get("_class_name", ""))):
        return hint
    if stored.part in CAUSAL_PARTS:
        return "student"
    try:
        config = json.loads(stored.metadata.get("config", "{}"))
    except json.JSONDecodeError:
        return None
    transformer = config.get("transformer") if isinstance(config, dict) else None
    return "student" if isinstance(transformer, dict) and transformer.get("causal_ar") else None


def _default_role(fitting: list[Family]) -> Role:
    """The role where nothing tells it: without a track head a bare file is taken for plain Wan."""
    if any(family.spec.track_head is not None for family in fitting):
        raise ValueError(
            "these tensors are FastVideo's TrackWan (teacher) or Track-v0 (student) alike, and nothing beside them "
            'says which: give the folder with its config.json, or say role="teacher" or role="student"'
        )
    return "teacher"


def _of_role(fitting: list[Family], role: Role) -> Family:
    for family in fitting:
        if family.role == role:
            return family
    titles = ", ".join(family.title for family in fitting)
    raise ValueError(f"these weights fit {titles}, which is no {role}")


def _fits(family: Family, backbone: WanConfig, head: TrackHeadConfig | None) -> bool:
    spec = family.spec
    if (spec.track_head is None) != (head is None) or (spec.backbone.image_dim is None) != (backbone.image_dim is None):
        return False
    if spec.track_head and head and spec.track_head.variant != head.variant:
        return False
    channels = sum(width for _, width in family.slots(head.out_channels if head else 0))
    return (channels, spec.backbone.out_channels) == (backbone.in_channels, backbone.out_channels)


def _backbone(shapes: Shapes, config: Mapping[str, Any]) -> WanConfig:
    """Sizes from the shapes; what they do not show from config.json, else as every published Wan has it.

    Raises KeyError when a part that every Wan has is missing, ValueError for a width that tells no head size.
    """
    if len(shapes["patch_embedding.weight"]) != 5:
        raise ValueError(f"patch_embedding.weight is {tuple(shapes['patch_embedding.weight'])}; Wan's has five axes")
    dim, in_channels, *patch = shapes["patch_embedding.weight"]
    layers = {int(found[1]) for name in shapes if (found := re.match(r"blocks\.(\d+)\.", name))}
    num_heads = config.get("num_attention_heads") or config.get("num_heads")
    if not num_heads and dim % HEAD_DIM:
        raise ValueError(
            f"the model is {dim} wide, which is no multiple of Wan's head size {HEAD_DIM}; its config.json must say "
            "num_attention_heads"
        )
    image = shapes.get("img_emb.proj.1.weight")
    return WanConfig(
        dim=dim,
        ffn_dim=shapes["blocks.0.ffn.0.weight"][0],
        num_heads=int(num_heads or dim // HEAD_DIM),
        num_layers=max(layers) + 1,
        in_channels=in_channels,
        out_channels=shapes["head.head.weight"][0] // (patch[0] * patch[1] * patch[2]),
        patch=(patch[0], patch[1], patch[2]),
        freq_dim=shapes["time_embedding.0.weight"][1],
        text_dim=shapes["text_embedding.0.weight"][1],
        text_len=int(config.get("text_len", 512)),
        image_dim=image[1] if image else None,
        eps=float(config.get("eps", 1e-6)),
    )


def _track_head(shapes: Shapes, config: Mapping[str, Any], out_channels: int) -> TrackHeadConfig | None:
    """FastVideo's track encoder; None without one. Its strides are the VAE's, which the latent channels tell."""
    if "track_head.temporal_conv.weight" not in shapes:
        return None
    channels, id_dim, stride = shapes["track_head.temporal_conv.weight"][:3]
    track_config = config.get("track_config") or {}
    return TrackHeadConfig(
        variant="temporal_conv",
        coordinates="round",
        id_dim=id_dim,
        out_channels=channels,
        time_stride=stride,
        space_stride=int(track_config.get("vae_spatial_compression", 16 if out_channels == 48 else 8)),
        bias="track_head.temporal_conv.bias" in shapes,
    )


def _closest(shapes: Shapes) -> str:
    """Which family's tensors these are nearest to, and how they differ: by names, whatever the number of layers."""
    found, names = _one_block(shapes), {}
    for family in FAMILIES:
        one_layer = replace(family.spec, backbone=replace(family.spec.backbone, num_layers=1))
        names[family] = set(_one_block(model_shapes(one_layer)))
    best = min(FAMILIES, key=lambda family: len(names[family] ^ found.keys()))
    missing, unknown = sorted(names[best] - found.keys()), sorted(found.keys() - names[best])
    return f"Closest is {best.title}: missing {_some(missing)}; unknown {_some(unknown)}"


def _one_block(shapes: Shapes) -> Shapes:
    """The same with all blocks' names as one, `blocks.*`."""
    return {re.sub(r"^blocks\.\d+\.", "blocks.*.", name): shape for name, shape in shapes.items()}


def _with(there: object, what: str) -> str:
    return f"with {what}" if there else f"without {what}"


def _some(names: list[str]) -> str:
    """A list in words, cut where it grows long."""
    if len(names) <= MAX_LISTED:
        return str(names) if names else "none"
    return f"{names[:MAX_LISTED]} and {len(names) - MAX_LISTED} more"
