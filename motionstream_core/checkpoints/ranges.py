"""What a checkpoint may say of itself. Outside these ranges it is broken, or made to stop who loads it.

The upper ends are far above every published model, and low enough that what is built of them fits a machine.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

# By the field's path in a `ModelSpec`: whole numbers where both ends are written so. Of tuples, each entry.
RANGES: dict[str, tuple[float, float]] = {
    "backbone.dim": (2, 2**16),
    "backbone.ffn_dim": (1, 2**18),
    "backbone.num_heads": (1, 1024),
    "backbone.num_layers": (1, 1000),
    "backbone.in_channels": (1, 4096),
    "backbone.out_channels": (1, 4096),
    "backbone.patch": (1, 64),
    "backbone.freq_dim": (1, 2**16),
    "backbone.text_dim": (1, 2**16),
    "backbone.text_len": (1, 2**16),
    "backbone.image_dim": (1, 2**16),
    "backbone.eps": (1e-12, 1.0),
    "backbone.rope_theta": (1.0, 1e9),
    "track_head.id_dim": (1, 2**16),
    "track_head.out_channels": (1, 4096),
    "vae_stride.time": (1, 64),
    "vae_stride.space": (1, 256),
    "image_skip": (0.0, 1000.0),
    "chunk_plan.chunk_frames": (1, 1000),
    "sink_frames": (0, 10_000),
    "window_frames": (0, 10_000),
    "step_list": (1, 1000),
    "shift": (1e-3, 1000.0),
    "text_weight": (-1000.0, 1000.0),
    "motion_weight": (-1000.0, 1000.0),
    "frame_size": (1, 2**14),
    "fps": (0.1, 1000.0),
}
MAX_WORDS = 100_000


def check_ranges(spec: Any) -> None:
    """Raises ValueError naming the first field of a `ModelSpec` that is no number of its range."""
    for path, (low, high) in RANGES.items():
        part, _, _ = path.rpartition(".")
        if part and attrgetter(part)(spec) is None:
            continue
        found = attrgetter(path)(spec)
        for value in found if isinstance(found, tuple) else () if found is None else (found,):
            _check(path, value, low, high)
    if len(spec.vocabulary) > MAX_WORDS:
        raise ValueError(f"vocabulary has {len(spec.vocabulary)} words; it must have at most {MAX_WORDS}")


def _check(path: str, value: Any, low: float, high: float) -> None:
    whole = isinstance(low, int)
    kinds = (int,) if whole else (int, float)
    if type(value) not in kinds or not low <= value <= high:
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{path} is {short(value)}; it must be {kind} from {low} to {high}")


def short(value: Any) -> str:
    """`value` for a message, cut where it is long."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # a whole number of more than 4300 digits has no repr
        return f"a {type(value).__name__} out of all bounds"
    return text if len(text) <= 100 else text[:100] + " ..."
