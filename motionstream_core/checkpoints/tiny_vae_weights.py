"""Which tiny VAE a file holds: this project's own, or one of taehv's layout (madebyollin/taehv, lightx2v/Autoencoders).

taew2_1 and lighttaew2_1 have the same names and shapes, and the same encoder; the latter's decoder wants the full VAE's
latents. taehv's published weights are fp16, the others are fp32, so a decoder whose numbers all are fp16 numbers is
taehv's, in whatever dtype it is stored. In bfloat16 nothing tells them apart, and the caller must say.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..models.vae.tiny_vae import LIGHTTAEW2_1, LIGHTTAEW2_2, TAEW2_1, TAEW2_2, TinyVae, TinyVaeConfig
from .detect import faults_between, shapes_of
from .files import object_in
from .read import Stored
from .spec import revive

TINY_VAE_KEY = "motionstream_tiny_vae"
VARIANTS = {
    "taew2_1": TAEW2_1,
    "lighttaew2_1": LIGHTTAEW2_1,
    "taew2_2": TAEW2_2,
    "lighttaew2_2": LIGHTTAEW2_2,
}
FIRST_CONV = "decoder.1.weight"


def is_tiny_vae(stored: Stored) -> bool:
    """Whether these tensors have the names of taehv's."""
    return TINY_VAE_KEY in stored.metadata or {FIRST_CONV, "encoder.0.weight"} <= stored.tensors.keys()


def detect_tiny_vae(stored: Stored, variant: str | None = None) -> tuple[str, TinyVaeConfig]:
    """Its name and configuration.

    variant: one of VARIANTS, where the caller knows better. Raises ValueError for tensors that fit none, listing the
    differences to the closest, or where nothing tells two variants apart.
    """
    if TINY_VAE_KEY in stored.metadata:
        config = revive(TinyVaeConfig, object_in(stored.metadata[TINY_VAE_KEY]), "tiny VAE")
        return "MotionStream tiny VAE", config
    if variant is not None and variant not in VARIANTS:
        raise ValueError(f"variant is {variant!r}; known are {', '.join(VARIANTS)}")
    shapes = shapes_of(stored.tensors)
    faults = {
        name: faults_between(tiny_vae_shapes(config), shapes)
        for name, config in VARIANTS.items()
        if variant in (None, name)
    }
    closest = min(faults, key=lambda name: faults[name].count)
    if faults[closest].count:
        raise ValueError(f"these tensors are no tiny VAE. Closest is {closest}: {faults[closest]}")
    fitting = [name for name, found in faults.items() if not found.count]
    name = fitting[0] if len(fitting) == 1 else _by_precision(fitting, stored.tensors)
    return name, VARIANTS[name]


def tiny_vae_shapes(config: TinyVaeConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a tiny VAE."""
    with torch.device("meta"):
        return shapes_of(TinyVae(config).state_dict())


def _by_precision(fitting: list[str], tensors: Mapping[str, Tensor]) -> str:
    """taehv's or lightx2v's, of two variants with the same shapes."""
    weight = tensors[FIRST_CONV]
    if weight.dtype == torch.float16:
        return fitting[0]
    if weight.dtype == torch.float32:
        return fitting[0] if torch.equal(weight.half().float(), weight) else fitting[1]
    raise ValueError(
        f"these tensors are {' or '.join(fitting)}, which in {weight.dtype} look alike; say which by variant, or give "
        "the file that was published"
    )
