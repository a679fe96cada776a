"""fp8 weights with scales, as ComfyUI and its users publish them: what is stored times the scale is the weight.

Two spellings are in use: `scale_weight` beside each weight and `scaled_fp8` once (2025), and `weight_scale` with
`comfy_quant` beside each weight (Comfy-Org/ComfyUI: comfy/utils.py, comfy/quant_ops.py). Scales of inputs serve fp8
matrix products only and are not needed to have the weight.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .files import object_in
from .ranges import short

MAX_DESCRIPTION = 4096  # bytes
SCALES = ("scale_weight", "weight_scale")
BESIDE = (*SCALES, "scale_input", "input_scale", "comfy_quant")
MARKER = "scaled_fp8"
FP8_FORMATS = ("float8_e4m3fn", "float8_e5m2")
COMPUTED = torch.bfloat16  # what a scaled weight becomes: the dtype that such files were made from


def is_scale(name: str) -> bool:
    """Whether a tensor of this name describes others rather than being a weight."""
    return name == MARKER or name.rsplit(".", 1)[-1] in BESIDE


def weights_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights alone, not yet scaled."""
    return {name: tensor for name, tensor in tensors.items() if not is_scale(name)}


def unscaled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, scaled ones multiplied out to bfloat16, all others as they are stored.

    Raises ValueError for another quantisation than fp8 with one scale for a weight or one for each of its rows.
    """
    weights = weights_of(tensors)
    for name, tensor in tensors.items():
        stem, _, kind = name.rpartition(".")
        if kind == "comfy_quant":
            _check_format(name, tensor)
        if kind in SCALES:
            weights[f"{stem}.weight"] = _multiplied(f"{stem}.weight", weights, tensor)
    return weights


def _multiplied(name: str, weights: Mapping[str, Tensor], scale: Tensor) -> Tensor:
    weight = weights.get(name)
    if weight is None or not weight.ndim or scale.numel() not in (1, weight.shape[0]):
        found = "is missing" if weight is None else f"is {tuple(weight.shape)}"
        raise ValueError(f"there is a scale of shape {tuple(scale.shape)} for {name}, which {found}")
    factor = scale.float().reshape(-1, *[1] * (weight.ndim - 1))
    return (weight.float() * factor).to(COMPUTED)


def _check_format(name: str, tensor: Tensor) -> None:
    if tensor.dtype != torch.uint8 or tensor.ndim != 1 or tensor.numel() > MAX_DESCRIPTION:
        raise ValueError(f"{name} is {tensor.dtype} of shape {tuple(tensor.shape)}, no description of a quantisation")
    try:
        said = object_in(bytes(tensor.tolist()).decode()).get("format")
    except ValueError as error:
        raise ValueError(f"{name} is no description of a quantisation: {error}") from None
    if said not in FP8_FORMATS:
        raise ValueError(
            f"{name} says {short(said)}; of ComfyUI's quantisations only {', '.join(FP8_FORMATS)} are read here"
        )
