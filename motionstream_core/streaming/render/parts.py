"""Where a Wan model's encoders and VAE lie: in a folder, or in the checkpoint itself beside the transformer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from ...checkpoints.encoder_weights import inner_image_encoder, inner_text_encoder, inner_tokenizer, parts_inside
from ...models.encoders import ImageEncoder, TextEncoder, load_tokenizer, load_umt5, require_parts

Part = Literal["text_encoder", "tokenizer", "image_encoder", "vae"]
_BESIDE = {"image_encoder": ("image_processor",)}
"""Subfolders that belong to a part beside the one of its own name."""


@dataclass(frozen=True)
class Parts:
    """Where each part is that a model needs: a folder in diffusers' layout, or a checkpoint that holds it."""

    places: dict[Part, Path]

    def where(self, part: Part) -> Path:
        """The part's own folder, or the checkpoint that holds it."""
        place = self.places[part]
        return place / part if place.is_dir() else place

    def load_text(self, dtype: torch.dtype) -> TextEncoder:
        """UMT5 with its tokenizer, on the CPU. Raises as `TextEncoder.load` and `inner_text_encoder` do."""
        pieces, model = self.places["tokenizer"], self.places["text_encoder"]
        return TextEncoder(
            load_tokenizer(pieces) if pieces.is_dir() else inner_tokenizer(pieces),
            load_umt5(model, dtype) if model.is_dir() else inner_text_encoder(model, dtype),
        )

    def load_image(self, dtype: torch.dtype) -> ImageEncoder:
        """CLIP's vision model, on the CPU. Raises as `ImageEncoder.load` and `inner_image_encoder` do."""
        place = self.places["image_encoder"]
        return ImageEncoder.load(place, dtype) if place.is_dir() else inner_image_encoder(place, dtype)


def find_parts(model: Path, encoders: Path | None, needed: Sequence[Part]) -> Parts:
    """The parts of a folder; of a lone file those that the folder `encoders` has, and of the others its own.

    Raises FileNotFoundError or ValueError naming what is missing and where it may come from.
    """
    if model.is_dir():
        require_parts(model, _subfolders(needed))
        return Parts(dict.fromkeys(needed, model))
    places: dict[Part, Path] = {}
    if encoders is not None:
        there = [part for part in needed if all((encoders / each).is_dir() for each in _subfolders([part]))]
        places = dict.fromkeys(there, encoders)
    if len(places) < len(needed):
        inside = parts_inside(model)
        places |= {part: model for part in needed if part not in places and part in inside}
    missing = _subfolders([part for part in needed if part not in places])
    if missing and encoders is not None:
        require_parts(encoders, missing)
    if missing:
        raise ValueError(
            f"{model} lacks {', '.join(missing)}; with --encoders name a folder that has them as subfolders, such as a "
            "Wan repository ending in -Diffusers on Hugging Face"
        )
    return Parts(places)


def _subfolders(parts: Sequence[Part]) -> list[str]:
    return [name for part in parts for name in (part, *_BESIDE.get(part, ()))]
