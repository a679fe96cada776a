"""Which kind of model a set of weights is, before anything more is asked of it."""

from __future__ import annotations

from typing import Literal

from .components import transformer_of
from .key_maps import bare_name, naming_of
from .lora_names import is_lora
from .read import Stored
from .tiny_vae_weights import is_tiny_vae
from .vae_weights import is_vae

Kind = Literal["transformer", "tiny VAE", "VAE", "LoRA", "text encoder", "image encoder"]
PLACES: dict[Kind, str] = {
    "transformer": "it belongs into models/motionstream, for Load MotionStream Model (`render --model`)",
    "tiny VAE": "it belongs into models/vae_approx, for Load MotionStream Tiny VAE (`render --vae`)",
    "VAE": "it belongs into models/vae, for core's Load VAE (`render --vae`)",
    "LoRA": "it changes a model and is none by itself: it belongs into models/loras, for Load MotionStream LoRA behind "
    "Load MotionStream Model; `convert MODEL TARGET --merge-lora FILE` merges it for good",
    "text encoder": "it belongs into models/text_encoders, for core's Load CLIP (type wan)",
    "image encoder": "it belongs into models/clip_vision, for core's Load CLIP Vision",
}
# Names that only such a model has: Wan's own files, then Hugging Face's and ComfyUI's.
_ENCODERS: dict[str, Kind] = {
    "token_embedding.weight": "text encoder",
    "shared.weight": "text encoder",
    "encoder.embed_tokens.weight": "text encoder",
    "visual.patch_embedding.weight": "image encoder",
    "vision_model.embeddings.patch_embedding.weight": "image encoder",
}


def kind_of(stored: Stored) -> Kind | None:
    """The kind, by the names of the tensors; an all-in-one checkpoint is its transformer. None for something else."""
    if is_tiny_vae(stored):
        return "tiny VAE"
    if is_lora(stored.tensors):
        return "LoRA"
    if _is_transformer(stored):
        return "transformer"
    if is_vae(stored.tensors):
        return "VAE"
    return next((kind for name, kind in _ENCODERS.items() if name in stored.tensors), None)


def check_kind(stored: Stored, wanted: Kind) -> None:
    """Raise ValueError when these weights are known to be of another kind than `wanted`."""
    found = kind_of(stored)
    if found not in (None, wanted):
        raise ValueError(f"this is {_a(found)}, not {_a(wanted)}; {PLACES[found]}")


def _is_transformer(stored: Stored) -> bool:
    try:
        naming_of(map(bare_name, transformer_of(stored).tensors))
    except ValueError:
        return False
    return True


def _a(kind: Kind) -> str:
    return f"an {kind}" if kind == "image encoder" else f"a {kind}"
