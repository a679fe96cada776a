"""Save this project's checkpoints, and load them and every published family (`families`).

Ours are safetensors files with the ModelSpec in the metadata; of others the spec is found by `detect`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..files import NewFile
from ..models.track_wan import ImageSkip, TrackWan
from ..models.vae.tiny_vae import TinyVae
from .components import transformer_of
from .detect import detect_wan, faults_between, model_shapes, shapes_of
from .files import naming
from .key_maps import to_original, without_unused
from .kinds import check_kind
from .read import Stored, read_any, read_stored
from .scaled import unscaled, weights_of
from .sound import check_finite, check_kinds_of_numbers
from .spec import ModelSpec, Role
from .tiny_vae_weights import TINY_VAE_KEY, detect_tiny_vae

SPEC_KEY = "motionstream_spec"


@dataclass(frozen=True)
class LoadedModel:
    """A model and what its checkpoint says of it."""

    model: TrackWan
    spec: ModelSpec


@dataclass(frozen=True)
class Checkpoint:
    """A transformer's weights before a model is built: for loading, for hosts that build their own, for conversion.

    title: what it is, in words. tensors: all that are stored, under original names and in their own dtypes; scales of
    fp8 weights may be among them (`scaled`), and one norm that no model uses (`key_maps.without_unused`).
    """

    title: str
    spec: ModelSpec
    tensors: dict[str, Tensor]


def build_model(spec: ModelSpec, ops: Any = nn) -> TrackWan:
    """A model with random weights, as `spec` describes it."""
    return TrackWan(**network_arguments(spec), ops=ops)


def network_arguments(spec: ModelSpec) -> dict[str, Any]:
    """What `TrackWan` is made of, but for the layers' kind: for whoever makes a subclass of it."""
    return {
        "config": spec.backbone,
        "track_head": spec.track_head,
        "vocabulary": spec.vocabulary,
        "image_skip": ImageSkip.of(spec.layout, spec.image_skip) if spec.image_skip else None,
    }


def save_model(path: str | Path, model: TrackWan, spec: ModelSpec, dtype: torch.dtype | None = None) -> None:
    """Write the model's weights (as `dtype`, or as they are) and its spec; the file is replaced whole or not at all."""
    write_safetensors(Path(path), model.state_dict(), {SPEC_KEY: spec.to_json()}, dtype)


def stored_spec(path: str | Path) -> ModelSpec:
    """The spec of a file of `save_model`, without its weights. Raises FileNotFoundError; ValueError for other files."""
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}")
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
    if SPEC_KEY not in metadata:
        raise ValueError(f"{path} does not say what it is; it was not written by this pack")
    return ModelSpec.from_json(metadata[SPEC_KEY])


def load_model(
    path: str | Path,
    dtype: torch.dtype | None = None,
    ops: Any = nn,
    *,
    role: Role | None = None,
    family: str | None = None,
) -> LoadedModel:
    """The model in a file or folder onto the CPU, ready to predict.

    path, role, family: as in `read_checkpoint`. dtype: what to cast to; without one every weight keeps the dtype that
    it is stored in, so that a file of several, or of fp8, must be cast before it runs. Raises as `read_checkpoint`.
    """
    checkpoint = read_checkpoint(path, role=role, family=family)
    with torch.device("meta"):
        model = build_model(checkpoint.spec, ops)
    with naming(path):
        weights = unscaled(without_unused(checkpoint.tensors))
        check_finite(weights)
    model.load_state_dict(weights, assign=True)  # the mapped file's own memory: no second copy
    model = model if dtype is None else model.to(dtype)
    return LoadedModel(model.eval().requires_grad_(False), checkpoint.spec)


def read_checkpoint(path: str | Path, *, role: Role | None = None, family: str | None = None) -> Checkpoint:
    """A transformer of this project or of a published family, under any of the known names.

    path: a file (safetensors, torch or GGUF), the index of a sharded one, or a folder (a diffusers folder's
    `transformer` is found). role, family: what the caller knows of a foreign file and its tensors do not tell
    (`families.FAMILIES`). Raises FileNotFoundError, MemoryError for a file that this machine cannot map, or
    WeightsError for one that is no such model, listing missing and unknown tensors, or whose role must be said.
    """
    with naming(path):
        return checkpoint_of(read_stored(path), role, family)


def read_spec(path: str | Path, *, role: Role | None = None, family: str | None = None) -> ModelSpec:
    """What `read_checkpoint` would find the file to be, without reading weights: quick for a file of any size."""
    with naming(path):
        return checkpoint_of(read_any(path, shapes_only=True), role, family).spec


def checkpoint_of(stored: Stored, role: Role | None = None, family: str | None = None) -> Checkpoint:
    """What `read_checkpoint` finds, of tensors that are read already. Raises ValueError as it does."""
    check_kind(stored, "transformer")
    tensors = to_original(transformer_of(stored).tensors)
    weights = without_unused(weights_of(tensors))
    check_kinds_of_numbers(weights)
    shapes = shapes_of(weights)
    if SPEC_KEY not in stored.metadata:
        found, spec = detect_wan(shapes, stored, role, family)
        return Checkpoint(found.name_of(spec.backbone), spec, tensors)
    spec = ModelSpec.from_json(stored.metadata[SPEC_KEY])
    if family is not None or role not in (None, spec.role):
        raise ValueError(f"its metadata say what it is, a {spec.role}; neither role nor family can be said of it")
    faults = faults_between(model_shapes(spec), shapes)
    if faults.count:
        raise ValueError(f"does not fit its own spec: {faults}")
    return Checkpoint("MotionStream checkpoint", spec, tensors)


def save_tiny_vae(path: str | Path, vae: TinyVae, dtype: torch.dtype | None = None) -> None:
    """Write a tiny VAE with its configuration; names are those of taehv."""
    config = json.dumps(dataclasses.asdict(vae.config), sort_keys=True)
    write_safetensors(Path(path), vae.state_dict(), {TINY_VAE_KEY: config}, dtype)


def load_tiny_vae(path: str | Path, dtype: torch.dtype = torch.float32, *, variant: str | None = None) -> TinyVae:
    """A tiny VAE onto the CPU: a file of `save_tiny_vae`, or one of taehv's or lightx2v's for Wan (safetensors, .pth).

    variant: which one it is, where its tensors do not tell (`tiny_vae_weights.VARIANTS`). Raises FileNotFoundError, or
    WeightsError for another kind of file, listing what differs.
    """
    stored = read_stored(path, "vae")
    with naming(path):
        check_kind(stored, "tiny VAE")
        check_kinds_of_numbers(stored.tensors)
        _, config = detect_tiny_vae(stored, variant)
        with torch.device("meta"):
            vae = TinyVae(config)
        faults = faults_between(shapes_of(vae.state_dict()), shapes_of(stored.tensors))
        if faults.count:
            raise ValueError(f"does not fit its own configuration: {faults}")
        check_finite(stored.tensors)
    vae.load_state_dict(stored.tensors, assign=True)
    return vae.to(dtype).eval().requires_grad_(False)


def write_safetensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str], dtype: torch.dtype | None = None
) -> None:
    """Write tensors (as `dtype`, or as they are); the file is replaced whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ready = _apart({name: tensor.detach().to("cpu", dtype or tensor.dtype) for name, tensor in tensors.items()})
    new = NewFile(path)
    try:
        save_file(ready, str(new.part), metadata)  # which takes no open file
        new.finish()
    except BaseException:
        new.drop()
        raise


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each in memory of its own, since a safetensors file holds no tensor under two names."""
    seen: set[int] = set()
    ready = {}
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        ready[name] = tensor.clone().contiguous() if place in seen else tensor.contiguous()
        seen.add(place)
    return ready
