"""Numbers that are none, in every dtype of weights: against torch's own isfinite of each number by itself."""

from __future__ import annotations

import pytest
import torch

from motionstream_core.checkpoints.sound import check_finite, check_kinds_of_numbers

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)


@pytest.mark.parametrize("dtype", FP8, ids=str)
def test_every_pattern_of_fp8(dtype: torch.dtype) -> None:
    for bits in range(256):
        weight = torch.zeros(70, dtype=torch.uint8)
        weight[50] = bits
        weight = weight.view(dtype)
        if bool(weight.float().isfinite().all()):
            check_finite({"a": weight})
        else:
            with pytest.raises(ValueError, match=r"^1 of the 70 numbers of a are NaN or infinite"):
                check_finite({"a": weight})


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_one_among_many(dtype: torch.dtype, bad: float) -> None:
    weight = torch.randn(9, 11, dtype=dtype)
    weight[0, 0] = torch.finfo(dtype).max
    check_finite({"good": weight, "none": torch.zeros(0, 3), "scalar": torch.zeros(())})
    weight[8, 10] = bad
    with pytest.raises(ValueError, match=r"^1 of the 99 numbers of b are NaN or infinite"):
        check_finite({"a": torch.zeros(2), "b": weight})


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bool, torch.complex64], ids=str)
def test_other_kinds_of_numbers(dtype: torch.dtype) -> None:
    with pytest.raises(
        ValueError, match=f"^a is stored as {str(dtype).removeprefix('torch.')}; weights must be floating"
    ):
        check_kinds_of_numbers({"a": torch.zeros(2, dtype=dtype)})
