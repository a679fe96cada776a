"""What a set of weights is, from the names and shapes of its tensors and from what is written beside them.

File names are never looked at. Where two families are the same tensors, only their role tells them apart; it is taken
from config.json, from the metadata or from the form of the file, else the caller must say it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..models.conditioning import InputLayout
from ..models.track_head import TrackHeadConfig
from ..models.track_wan import TrackWan
from ..models.wan import WanConfig
from .families import BY_KEY, FAMILIES, HEAD_DIM, Family
from .files import object_in
from .ranges import short
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
MAX_NAME = 200  # letters of a name in a message
MAX_DIGITS = 4  # of a block's number
FIRST_BLOCK = "blocks.0."
# Weights that every Wan has, whose shapes tell its sizes, and how many axes each has.
_AXES = {
    "patch_embedding.weight": 5,
    "blocks.0.ffn.0.weight": 2,
    "head.head.weight": 2,
    "time_embedding.0.weight": 2,
    "text_embedding.0.weight": 2,
}
Shapes = Mapping[str, tuple[int, ...]]
Number = TypeVar("Number", int, float)


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
    """Names and shapes of the tensors that a model of `spec` takes. Its blocks are alike: one is built."""
    one_layer = replace(spec.backbone, num_layers=1)
    with torch.device("meta"):
        shapes = shapes_of(TrackWan(one_layer, spec.track_head, spec.vocabulary).state_dict())
    later = range(1, spec.backbone.num_layers)
    first = {name: shape for name, shape in shapes.items() if name.startswith(FIRST_BLOCK)}
    return shapes | {f"blocks.{i}.{name[len(FIRST_BLOCK) :]}": shape for i in later for name, shape in first.items()}


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
        transformer = object_in(stored.metadata.get("config", "{}")).get("transformer")
    except ValueError:
        return None  # "config" is no word of ours: another program may write there what it wants
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
    for name, num_axes in _AXES.items():
        shape = shapes[name]
        if len(shape) != num_axes or 0 in shape:
            raise ValueError(f"{name} is {shape}; Wan's has {num_axes} axes, none of them empty")
    dim, in_channels, *patch = shapes["patch_embedding.weight"]
    layers = {int(found[1]) for name in shapes if (found := re.match(rf"blocks\.(\d{{1,{MAX_DIGITS}}})\.", name))}
    num_heads = _said(config, int, "num_attention_heads", "num_heads")
    if not num_heads and dim % HEAD_DIM:
        raise ValueError(
            f"the model is {dim} wide, which is no multiple of Wan's head size {HEAD_DIM}; its config.json must say "
            "num_attention_heads"
        )
    image = shapes.get("img_emb.proj.1.weight") or ()
    return WanConfig(
        dim=dim,
        ffn_dim=shapes["blocks.0.ffn.0.weight"][0],
        num_heads=num_heads or dim // HEAD_DIM,
        num_layers=max(layers) + 1,
        in_channels=in_channels,
        out_channels=shapes["head.head.weight"][0] // (patch[0] * patch[1] * patch[2]),
        patch=(patch[0], patch[1], patch[2]),
        freq_dim=shapes["time_embedding.0.weight"][1],
        text_dim=shapes["text_embedding.0.weight"][1],
        text_len=_said(config, int, "text_len") or 512,
        image_dim=image[1] if len(image) == 2 else None,
        eps=_said(config, float, "eps") or 1e-6,
    )


def _track_head(shapes: Shapes, config: Mapping[str, Any], out_channels: int) -> TrackHeadConfig | None:
    """FastVideo's track encoder; None without one. Its strides are the VAE's, which the latent channels tell."""
    if "track_head.temporal_conv.weight" not in shapes:
        return None
    shape = shapes["track_head.temporal_conv.weight"]
    if len(shape) != 5:
        raise ValueError(f"track_head.temporal_conv.weight is {shape}; a track head's has five axes")
    channels, id_dim, stride = shape[:3]
    track_config = config.get("track_config") or {}
    if not isinstance(track_config, dict):
        raise ValueError(f"track_config in its config.json is {short(track_config)}; it must be an object")
    return TrackHeadConfig(
        variant="temporal_conv",
        coordinates="round",
        id_dim=id_dim,
        out_channels=channels,
        time_stride=stride,
        space_stride=_said(track_config, int, "vae_spatial_compression") or (16 if out_channels == 48 else 8),
        bias="track_head.temporal_conv.bias" in shapes,
    )


def _said(config: Mapping[str, Any], kind: type[Number], *names: str) -> Number | None:
    """A number that config.json says under one of `names`; None where it says none. Raises ValueError for another."""
    for name in names:
        value = config.get(name)
        if value is None:
            continue
        if type(value) not in (int, kind) or not 0 < value < math.inf:
            raise ValueError(f"{name} in its config.json is {short(value)}; it must be a number above 0")
        return kind(value)
    return None


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
    listed = [name[:MAX_NAME] for name in names[:MAX_LISTED]]
    more = len(names) - len(listed)
    return (str(listed) if listed else "none") + (f" and {more} more" if more else "")
