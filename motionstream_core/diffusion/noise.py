"""Noise from a seed, the same on every device."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

WORD = 2**32


def noise_generator(seed: int, mixed: int | None = None) -> torch.Generator:
    """A generator on the CPU; all 64 bits of the seed count.

    mixed: what takes the place of the seed, where several draws are made of one. torch's generator reads the lower 32
    bits alone, by which seed and seed + 2**32 would be one. Seeds below 2**32 are what they are to torch.
    """
    return torch.Generator().manual_seed((seed if mixed is None else mixed) % WORD ^ _upper(seed))


@lru_cache
def _upper(seed: int) -> int:
    """Of seeds that do not fit into a word, a word that tells their upper halves apart."""
    return int(np.random.SeedSequence(seed // WORD).generate_state(1)[0]) if seed >= WORD else 0
