"""Which number format a CPU is fast in."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache
def cpu_is_fast_in_bf16() -> bool:
    """Whether this CPU multiplies in bf16 faster than in float32: it has AMX or AVX512-BF16.

    False where PyTorch is too old to tell.
    """
    asked = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(each is not None and each() for each in asked)
