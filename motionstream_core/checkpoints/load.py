"""Save and load this project's checkpoints: safetensors with the ModelSpec in the metadata."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..models.tiny_vae import TinyVae, TinyVaeConfig
from ..models.track_wan import TrackWan
from .spec import ModelSpec, revive

SPEC_KEY = "motionstream_spec"
TINY_VAE_KEY = "motionstream_tiny_vae"


@dataclass(frozen=True)
class LoadedModel:
    """A model and what its checkpoint says of it."""

    model: TrackWan
    spec: ModelSpec


def build_model(spec: ModelSpec, ops: Any = nn) -> TrackWan:
    """A model with random weights, as `spec` describes it."""
    return TrackWan(spec.backbone, spec.track_head, spec.vocabulary, ops)


def save_model(path: str | Path, model: TrackWan, spec: ModelSpec, dtype: torch.dtype | None = None) -> None:
    """Write the model's weights (as `dtype`, or as they are) and its spec; the file is replaced whole or not at all."""
    _write(Path(path), model.state_dict(), {SPEC_KEY: spec.to_json()}, dtype)


def load_model(path: str | Path, dtype: torch.dtype | None = None, ops: Any = nn) -> LoadedModel:
    """Read a file of `save_model` onto the CPU.

    Raises FileNotFoundError, or ValueError for a file without a spec or whose tensors do not fit it.
    """
    tensors, metadata = _read(Path(path))
    if SPEC_KEY not in metadata:
        raise ValueError(f"{path} has no {SPEC_KEY} in its metadata: it is no MotionStream checkpoint")
    spec = ModelSpec.from_json(metadata[SPEC_KEY])
    model = build_model(spec, ops)
    _fill(model, tensors, path)
    return LoadedModel(model.to(dtype or next(iter(tensors.values())).dtype).eval().requires_grad_(False), spec)


def save_tiny_vae(path: str | Path, vae: TinyVae, dtype: torch.dtype | None = None) -> None:
    """Write a tiny VAE with its configuration; names are those of taehv."""
    config = json.dumps(dataclasses.asdict(vae.config), sort_keys=True)
    _write(Path(path), vae.state_dict(), {TINY_VAE_KEY: config}, dtype)


def load_tiny_vae(path: str | Path, dtype: torch.dtype = torch.float32) -> TinyVae:
    """Read a file of `save_tiny_vae` onto the CPU. Raises FileNotFoundError, or ValueError for another kind of file."""
    tensors, metadata = _read(Path(path))
    if TINY_VAE_KEY not in metadata:
        raise ValueError(f"{path} has no {TINY_VAE_KEY} in its metadata: it is no MotionStream tiny VAE")
    vae = TinyVae(revive(TinyVaeConfig, json.loads(metadata[TINY_VAE_KEY]), "tiny VAE"))
    _fill(vae, tensors, path)
    return vae.to(dtype).eval().requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}") from error


def _fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Load `tensors`, or raise ValueError listing what is missing, unknown or of another shape."""
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if tensors[name].shape != own[name].shape
    ]
    if missing or unknown or shapes:
        raise ValueError(
            f"{path} does not fit its spec: missing {missing or 'none'}; unknown {unknown or 'none'}; "
            f"wrong shape {shapes or 'none'}"
        )
    module.load_state_dict(dict(tensors))


def _write(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], dtype: torch.dtype | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    ready = {name: tensor.detach().to("cpu", dtype or tensor.dtype).contiguous() for name, tensor in tensors.items()}
    try:
        save_file(ready, str(partial), metadata)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
