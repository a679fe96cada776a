"""Which number format a device is fast in."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache
def is_fast_in_bf16(device: torch.device) -> bool:
    """Whether matrix products in bf16 beat those in fp32: a GPU that has them; a CPU with AMX or AVX512-BF16.

    A CPU whose PyTorch cannot tell counts as one without.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    asked = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(each is not None and each() for each in asked)
