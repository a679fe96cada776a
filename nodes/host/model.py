"""MODELs of ours as the sampling nodes use them, and the files behind them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import comfy.model_management as mm
import comfy.patcher_extension
import folder_paths
import torch
from torch import Tensor

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.checkpoints.fingerprint import fingerprint as weights_fingerprint
from ...motionstream_core.demo.weights import BUNDLED
from ...motionstream_core.models.memory import Memory
from ...motionstream_core.models.wan import CrossContext
from ...motionstream_core.streaming.network import Network, SpecifiedNetwork
from ...motionstream_core.streaming.state_file import Maker
from .network import HostedWan, MotionStreamWan

WRAPPER = comfy.patcher_extension.WrappersMP.APPLY_MODEL
MODEL_FOLDER = "motionstream"
VAE_FOLDERS = (MODEL_FOLDER, "vae_approx")
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".gguf")


class StreamModel:
    """A MODEL of ours as the sampling nodes see it: what its checkpoint is, and what the chunk loop calls."""

    def __init__(self, patcher: Any) -> None:
        self.patcher = patcher
        self.name: str = patcher.model.checkpoint
        self.spec: ModelSpec = patcher.model.spec

    @property
    def network(self) -> HostedWan:
        """The network itself, wherever its weights lie now."""
        return self.patcher.model.diffusion_model

    @property
    def model(self) -> Network:
        """The network as `motionstream_core` calls it; `make_ready` brings weights to the device, all or some."""
        return _HostedNetwork(self.patcher)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.patcher.load_device

    @property
    def maker(self) -> Maker:
        """What a saved stream says of the model that made it; LoRA count."""
        patches = getattr(self.patcher, "patches", {})
        weights = self.patcher.model.weights
        if patches:
            weights = weights_fingerprint({weights: torch.zeros(0), **_patch_tensors(patches)})
        return Maker(self.name, self.spec.to_json(), weights)

    def context(self, text: Tensor, clip_tokens: Tensor | None = None) -> CrossContext:
        """Cross-attention keys of text (1 l c) and CLIP tokens (1 m d); the model is ready."""
        device, dtype = self.network.placement
        tokens = None if clip_tokens is None else clip_tokens.to(device, dtype)
        return self.network.prepare_context(text.to(device, dtype), tokens)


class _HostedNetwork:
    """The network, called through what nodes have put around the MODEL (torch.compile, attention overrides)."""

    def __init__(self, patcher: Any) -> None:
        self._base, self._network = patcher.model, patcher.model.diffusion_model
        self.placement = self._network.placement
        self.track_head, self.text_encoder = self._network.track_head, self._network.text_encoder
        self.prepare_context, self.make_cache = self._network.prepare_context, self._network.make_cache
        # others expect a sampler's arguments
        self._wrappers: list[Any] = patcher.get_wrappers(WRAPPER, "torch.compile")
        self._options: dict[str, Any] = patcher.model_options.get("transformer_options", {})

    def __call__(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: CrossContext,
        memory: Memory | None = None,
        keys_only: bool = False,
    ) -> Tensor:
        step = comfy.patcher_extension.WrapperExecutor.new_class_executor(
            self._base.stream_step, self._base, self._wrappers
        )
        self._network.attend.options = self._options
        try:
            return step.execute(latents, timestep, context, memory, keys_only)
        finally:
            self._network.attend.options = {}


def _patch_tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor and number in what the host keeps of LoRA, under a name that says where."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, int | float):
        return {f"{name} {value}": torch.zeros(0)}
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list | tuple):
        parts = list(enumerate(value))
    else:
        parts = [("weights", getattr(value, "weights", None))] if hasattr(value, "weights") else []
    return {key: each for part, inner in parts for key, each in _patch_tensors(inner, f"{name}.{part}").items()}


def stream_model(model: Any) -> StreamModel:
    """A MODEL as a StreamModel. Raises ValueError for a MODEL that is none of ours."""
    kind = getattr(model, "model", None)
    if not isinstance(kind, MotionStreamWan):
        raise ValueError(
            f"model: this is a {type(kind).__name__}, which is not of this pack; use Load MotionStream Model"
        )
    return StreamModel(model)


class Placed(Protocol):
    """What has weights in the host's memory."""

    @property
    def patcher(self) -> Any: ...


def make_ready(*parts: Placed, memory_required: int = 0) -> None:
    """Bring all parts to their devices together, with `memory_required` bytes left free beside them.

    A model of the host's layers may stay behind in part; what is made of plain layers comes whole.
    """
    plain = [part.patcher for part in parts if getattr(part, "plain", False)]
    if plain:
        mm.load_models_gpu(plain, memory_required=memory_required, force_full_load=True)
    if len(plain) < len(parts):
        mm.load_models_gpu([part.patcher for part in parts], memory_required=memory_required)


@contextmanager
def running(model: StreamModel) -> Iterator[SpecifiedNetwork]:
    """The model for the time of a run, after `make_ready`."""
    model.patcher.pre_run()
    try:
        yield model
    finally:
        model.patcher.cleanup()


def register_folder() -> None:
    """Tell ComfyUI of models/motionstream, beside whatever extra_model_paths.yaml has told it already."""
    default = os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    paths, _ = folder_paths.folder_names_and_paths.get(MODEL_FOLDER, ([], set()))
    folder_paths.folder_names_and_paths[MODEL_FOLDER] = (list(dict.fromkeys([*paths, default])), set(SUFFIXES))


def file_options(bundled: tuple[str, ...], folders: tuple[str, ...]) -> list[str]:
    """The bundled names, then every file of weights in the host's `folders`, then diffusers folders, as "name/"."""
    found = [name for folder in folders for name in folder_paths.get_filename_list(folder) if name.endswith(SUFFIXES)]
    return [*bundled, *dict.fromkeys([*found, *_diffusers_folders()])]


def _diffusers_folders() -> list[str]:
    """Folders in models/motionstream that hold a pipeline or the parts of one sharded model."""
    roots = [Path(root) for root in folder_paths.get_folder_paths(MODEL_FOLDER)]
    folders = [folder for root in roots if root.is_dir() for folder in sorted(root.iterdir()) if folder.is_dir()]
    marks = ("transformer", "*.index.json")
    return [f"{folder.name}/" for folder in folders if any(any(folder.glob(mark)) for mark in marks)]


def file_of(name: str, folders: tuple[str, ...]) -> Path:
    """The file or folder that an option stands for.

    Raises FileNotFoundError naming file, folder and where weights are found.
    """
    if name in BUNDLED:
        if not BUNDLED[name].is_file():
            raise FileNotFoundError(
                f"{name}: {BUNDLED[name]} is missing. It belongs to this pack: update or reinstall the pack"
            )
        return BUNDLED[name]
    if name in _diffusers_folders():
        roots = (Path(root) / name for root in folder_paths.get_folder_paths(MODEL_FOLDER))
        return next(root for root in roots if root.is_dir())
    for folder in folders:
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            return Path(path)
    places = " or ".join(f"models/{folder}" for folder in folders)
    raise FileNotFoundError(
        f"{name!r} is not in {places} ({folder_paths.get_folder_paths(MODEL_FOLDER)[0]}). Put the file there; where "
        f"it is published, how large it is and under which licence is written in this pack's docs/models.md"
    )


def is_there(name: str | None, folders: tuple[str, ...]) -> bool | str:
    """Stands in for the host's "value not in list", which does not say where a file belongs."""
    try:
        if name is not None:  # None: the input is linked, and its value not known yet
            file_of(name, folders)
    except FileNotFoundError as error:
        return str(error)
    return True


def fingerprint(name: str | None, folders: tuple[str, ...]) -> str:
    """Changes when the file behind an option changes, so that the host reads it again.

    None stands for a name that is linked: the host follows the link itself.
    """
    if name is None:
        return "linked"
    try:
        path = file_of(name, folders)
    except FileNotFoundError:
        return f"{name}: missing"
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    states = [(file.name, file.stat()) for file in files]
    return f"{name}: " + "; ".join(f"{own} {state.st_size} bytes, {state.st_mtime_ns} ns" for own, state in states)
