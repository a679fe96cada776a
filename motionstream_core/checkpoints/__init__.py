"""What a checkpoint is, and how one is saved and loaded."""

from .load import LoadedModel, build_model, load_model, load_tiny_vae, save_model, save_tiny_vae
from .spec import ModelSpec

__all__ = ["LoadedModel", "ModelSpec", "build_model", "load_model", "load_tiny_vae", "save_model", "save_tiny_vae"]
