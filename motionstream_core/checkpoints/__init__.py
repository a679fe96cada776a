"""What a checkpoint is, and how one is saved and loaded."""

from .families import FAMILIES, Family
from .load import (
    Checkpoint,
    LoadedModel,
    build_model,
    load_model,
    load_tiny_vae,
    read_checkpoint,
    read_spec,
    save_model,
    save_tiny_vae,
)
from .spec import ModelSpec
from .vae_weights import load_vae

__all__ = [
    "FAMILIES",
    "Checkpoint",
    "Family",
    "LoadedModel",
    "ModelSpec",
    "build_model",
    "load_model",
    "load_tiny_vae",
    "load_vae",
    "read_checkpoint",
    "read_spec",
    "save_model",
    "save_tiny_vae",
]
