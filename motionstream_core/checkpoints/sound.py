"""Whether weights are numbers that a model can compute with."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

NUM_AT_ONCE = 2**24  # of numbers that are widened or masked on the way
# Of fp8, the least pattern of bits, but for the sign, that is no finite number.
FP8_NO_NUMBER = {torch.float8_e4m3fn: 0x7F, torch.float8_e5m2: 0x7C}


def check_kinds_of_numbers(weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError for weights that are whole numbers, truth values or complex."""
    for name, weight in weights.items():
        if not weight.is_floating_point():
            kind = str(weight.dtype).removeprefix("torch.")
            raise ValueError(
                f"{name} is stored as {kind}; weights must be floating-point numbers. Quantised files of other "
                "programs are not read: take the same model in fp8, fp16, bf16 or fp32"
            )


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError where one of the weights is NaN or infinite. Reads them all once, and copies none."""
    for name, weight in weights.items():
        if weight.numel() and not _is_finite(weight):
            wrong = sum(int((~_wide(part).isfinite()).sum()) for part in _parts(weight))
            raise ValueError(
                f"{wrong} of the {weight.numel()} numbers of {name} are NaN or infinite: the file is damaged, or its "
                "training failed; get it anew"
            )


def _is_finite(weight: Tensor) -> bool:
    """Two extremes tell it: either is NaN where any number is."""
    if weight.element_size() > 1:
        return bool(torch.stack(torch.aminmax(weight)).isfinite().all())
    if limit := FP8_NO_NUMBER.get(weight.dtype):  # which torch knows no extremes of, and widens slowly
        return all(int((part & 0x7F).amax()) < limit for part in _parts(weight.view(torch.uint8)))
    return all(bool(_wide(part).isfinite().all()) for part in _parts(weight))


def _wide(weight: Tensor) -> Tensor:
    """fp8 as float32: torch looks at none of its numbers for itself."""
    return weight.float() if weight.element_size() == 1 else weight


def _parts(weight: Tensor) -> tuple[Tensor, ...]:
    return weight.reshape(-1).split(NUM_AT_ONCE)
