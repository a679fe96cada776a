"""Where a Wan teacher starts from: published weights, whose patch embedding grows to the teacher's input channels.

Channels keep their meaning: every slot of the new layout takes the weights of the same slot of the old one. The track
slot is new. It starts from the control channels of Fun-Control where that file is given, else small and random; the
track head starts random. Were both zero, no gradient would ever reach either (FastVideo 7349e07).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...checkpoints.load import build_model
from ...checkpoints.spec import ModelSpec
from ...models.conditioning import InputLayout
from ...models.track_wan import TrackWan
from ..engine.checkpoint import shape_faults

PATCH = "patch_embedding.weight"
# What the files of Wan and VideoX-Fun are fed (aigc-apps/VideoX-Fun; control latents stand where our tracks do).
WAN21_FUN_INP = InputLayout((("noise", 16), ("mask", 4), ("image", 16)))
WAN21_FUN_CONTROL = InputLayout((("noise", 16), ("track", 16), ("image", 16)))
WAN22_TI2V_5B = InputLayout((("noise", 48),))
WAN22_FUN_CONTROL = InputLayout((("noise", 48), ("track", 48), ("mask", 4), ("image", 48)))
# A random track slot's spread as a share of the noise slot's: the start is nearly the model that was published.
RANDOM_SHARE = 0.1
# Parts that published weights do not have.
OWN_PARTS = ("track_head.", "text_encoder.")


@dataclass(frozen=True)
class WanWeights:
    """weights under original names (`checkpoints.wan_weights`), the layout of their input, and what to call them."""

    weights: Mapping[str, Tensor]
    layout: InputLayout
    source: str


def teacher_from(spec: ModelSpec, base: WanWeights, control: WanWeights | None = None, seed: int = 0) -> TrackWan:
    """A model of `spec` that takes over the tensors of `base`; its track slot from `control`'s, where that is given.

    What is mapped from a file stays there until it is used: `Engine.part` makes it fp32. Without tracks it predicts
    just what `base` predicts. Raises ValueError listing what is missing, unknown or of another shape, when a slot other
    than the tracks' is not in `base`, or when the control channels are all zero.
    """
    with torch.device("meta"):
        model = build_model(spec)
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if not name.startswith(OWN_PARTS)}
    wanted[PATCH] = (wanted[PATCH][0], base.layout.num_channels, *wanted[PATCH][2:])
    given = {name: tuple(value.shape) for name, value in base.weights.items()}
    if faults := shape_faults(wanted, given):
        raise ValueError(f"the weights of {base.source} do not fit the model that is to start from them: {faults}")
    weights = {**_own_parts(spec, seed), **base.weights}
    weights[PATCH] = grown_patches(base, spec.layout, control, torch.Generator().manual_seed(seed))
    model.load_state_dict(weights, assign=True)
    return model


def _own_parts(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """What published weights do not have, at random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        thin = build_model(replace(spec, backbone=replace(spec.backbone, ffn_dim=1, num_layers=1)))
    return {name: value for name, value in thin.state_dict().items() if name.startswith(OWN_PARTS)}


def grown_patches(
    base: WanWeights, layout: InputLayout, control: WanWeights | None, generator: torch.Generator
) -> Tensor:
    """Patch embedding (d c 1 p q) in fp32 for the channels of `layout`; errors as in `teacher_from`."""
    known = _slots(base)
    if control is not None and layout.width("track"):
        known = {**known, "track": _control_slot(base, control)}
    parts = []
    for kind, width in layout.slots:
        part = known.get(kind)
        if part is None and kind == "track":
            noise = known["noise"]
            drawn = torch.randn((noise.shape[0], width, *noise.shape[2:]), generator=generator)
            part = drawn * (RANDOM_SHARE * noise.square().mean().sqrt())
        if part is None:
            raise ValueError(f"{base.source} has no input channels for {kind!r}; start from weights that have them")
        if part.shape[1] != width:
            raise ValueError(f"{base.source} has {part.shape[1]} channels for {kind!r}, but the model takes {width}")
        parts.append(part)
    return torch.cat(parts, dim=1)


def _slots(weights: WanWeights) -> dict[str, Tensor]:
    """The patch embedding's weights by slot, in fp32. Raises ValueError when it has other channels than its layout."""
    patches, layout = weights.weights[PATCH].float(), weights.layout
    if patches.shape[1] != layout.num_channels:
        kinds = " | ".join(f"{kind} {width}" for kind, width in layout.slots)
        raise ValueError(
            f"{weights.source} takes {patches.shape[1]} input channels, not {layout.num_channels}: {kinds}"
        )
    parts = patches.split([width for _, width in layout.slots], dim=1)
    return {kind: part for (kind, _), part in zip(layout.slots, parts, strict=True)}


def _control_slot(base: WanWeights, control: WanWeights) -> Tensor:
    if PATCH not in control.weights:
        raise ValueError(f"{control.source} has no {PATCH}")
    slot = _slots(control).get("track")
    if slot is None or not slot.any():
        state = "names no control channels in its layout" if slot is None else "has control channels that are all zero"
        raise ValueError(f"{control.source} {state}; leave it out to start the track slot at random")
    if (slot.shape[0], *slot.shape[2:]) != (base.weights[PATCH].shape[0], *base.weights[PATCH].shape[2:]):
        raise ValueError(
            f"the patch embedding of {control.source} is {tuple(slot.shape)}, that of {base.source} "
            f"{tuple(base.weights[PATCH].shape)}; both must be of one size of model"
        )
    return slot
