"""What an all-in-one checkpoint holds: the transformer beside a VAE and encoders, each behind a prefix of its own.

ComfyUI saves them so (Comfy-Org/ComfyUI: comfy/supported_models.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from torch import Tensor

from .read import Stored

Component = Literal["VAE", "text encoder", "image encoder"]
# `text_encoder.` is not among them: a model of this project with words of its own has it as a part.
_PREFIXES: dict[str, Component] = {
    "vae.": "VAE",
    "first_stage_model.": "VAE",
    "text_encoders.": "text encoder",
    "cond_stage_model.": "text encoder",
    "conditioner.": "text encoder",
    "clip_vision.": "image encoder",
    "image_encoder.": "image encoder",
    "vision_model.": "image encoder",  # as ComfyUI's Image Only Checkpoint Save leaves them
    "visual_projection.": "image encoder",
}


def transformer_of(stored: Stored) -> Stored:
    """The same without what lies beside the transformer."""
    return replace(stored, tensors={name: value for name, value in stored.tensors.items() if not _component(name)})


def vae_of(stored: Stored) -> Stored:
    """The VAE alone; weights that name no VAE as a part stay as they are."""
    parts = part_of(stored, "VAE")
    return replace(stored, tensors=parts) if parts else stored


def part_of(stored: Stored, component: Component) -> dict[str, Tensor]:
    """What lies beside the transformer of one kind, under its stored names."""
    return {name: value for name, value in stored.tensors.items() if _component(name) == component}


def beside_transformer(names: Iterable[str]) -> Mapping[Component, int]:
    """Numbers of tensors of what lies beside the transformer."""
    return Counter(kind for name in names if (kind := _component(name)))


def _component(name: str) -> Component | None:
    return next((kind for prefix, kind in _PREFIXES.items() if name.startswith(prefix)), None)
