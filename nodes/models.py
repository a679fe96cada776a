"""Models as the host holds them: a MotionStream model and its VAE behind ModelPatchers, and the files behind them."""

from __future__ import annotations

import os
from pathlib import Path

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch
from torch import Tensor

from ..motionstream_core.checkpoints import LoadedModel, ModelSpec
from ..motionstream_core.demo import weights
from ..motionstream_core.models.tiny_vae import TinyVae
from ..motionstream_core.streaming.decode import TinyStreamingDecoder

MODEL_FOLDER = "motionstream"
VAE_FOLDERS = (MODEL_FOLDER, "vae_approx")
BUNDLED = {
    "bundled/student": weights.STUDENT,
    "bundled/teacher": weights.TEACHER,
    "bundled/tiny_vae": weights.TINY_VAE,
}
SUFFIX = ".safetensors"


class StreamModel:
    """MOTIONSTREAM_MODEL: what a checkpoint is (`spec`) and its weights, whose memory the host manages (`patcher`)."""

    def __init__(self, loaded: LoadedModel, name: str) -> None:
        self.name = name
        self.spec: ModelSpec = loaded.spec
        # Not CoreModelPatcher: where that is the dynamic one it moves weights layer by layer, which plain torch
        # modules do not take part in; this one loads a model whole.
        self.patcher = comfy.model_patcher.ModelPatcher(
            loaded.model, load_device=mm.get_torch_device(), offload_device=mm.unet_offload_device()
        )

    @property
    def loaded(self) -> LoadedModel:
        """Model and spec, wherever the weights lie now; `make_ready` brings them to the device."""
        return LoadedModel(self.patcher.model, self.spec)

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.patcher.load_device


class StreamVae:
    """MOTIONSTREAM_VAE: a tiny VAE whose memory the host manages."""

    def __init__(self, vae: TinyVae, name: str) -> None:
        self.name = name
        self.patcher = comfy.model_patcher.ModelPatcher(
            vae, load_device=mm.vae_device(), offload_device=mm.vae_offload_device()
        )

    @property
    def vae(self) -> TinyVae:
        """The VAE, wherever its weights lie now; `make_ready` brings them to the device."""
        return self.patcher.model

    @property
    def device(self) -> torch.device:
        """Where the VAE computes."""
        return self.patcher.load_device

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1], on the VAE's device."""
        return self.vae.encode(frames.to(self.device))

    def decoder(self) -> HostDecoder:
        """A new streaming decoder; `make_ready` comes first."""
        return HostDecoder(self)


class HostDecoder:
    """A StreamingDecoder that takes latents from whichever device the model computes on (--cpu-vae parts the two)."""

    def __init__(self, vae: StreamVae) -> None:
        self._device = vae.device
        self._decoder = TinyStreamingDecoder(vae.vae)

    def push(self, latents: Tensor) -> Tensor:
        return self._decoder.push(latents.to(self._device))

    def flush(self) -> Tensor:
        return self._decoder.flush()

    def reset(self) -> None:
        self._decoder.reset()


def make_ready(*parts: StreamModel | StreamVae, memory_required: int = 0) -> None:
    """Bring all parts to their devices together, whole, with `memory_required` bytes left free beside them."""
    mm.load_models_gpu([part.patcher for part in parts], memory_required=memory_required, force_full_load=True)


def register_folder() -> None:
    """Tell ComfyUI of models/motionstream, beside whatever extra_model_paths.yaml has told it already."""
    default = os.path.join(folder_paths.models_dir, MODEL_FOLDER)
    paths, _ = folder_paths.folder_names_and_paths.get(MODEL_FOLDER, ([], set()))
    folder_paths.folder_names_and_paths[MODEL_FOLDER] = (list(dict.fromkeys([*paths, default])), {SUFFIX})


def file_options(bundled: tuple[str, ...], folders: tuple[str, ...]) -> list[str]:
    """The bundled names, then every safetensors file in the host's `folders`."""
    found = [name for folder in folders for name in folder_paths.get_filename_list(folder) if name.endswith(SUFFIX)]
    return [*bundled, *dict.fromkeys(found)]


def file_of(name: str, folders: tuple[str, ...]) -> Path:
    """The file that an option stands for. Raises FileNotFoundError naming file, folder and where weights are found."""
    if name in BUNDLED:
        if not BUNDLED[name].is_file():
            raise FileNotFoundError(
                f"{name}: {BUNDLED[name]} is missing. It belongs to this pack: update or reinstall the pack"
            )
        return BUNDLED[name]
    for folder in folders:
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            return Path(path)
    places = " or ".join(f"models/{folder}" for folder in folders)
    raise FileNotFoundError(
        f"{name!r} is not in {places} ({folder_paths.get_folder_paths(MODEL_FOLDER)[0]}). "
        f"Put the file there; where published weights are found is written in the pack's README"
    )


def fingerprint(name: str, folders: tuple[str, ...]) -> str:
    """Changes when the file behind an option changes, so that the host reads it again."""
    try:
        state = file_of(name, folders).stat()
    except FileNotFoundError:
        return f"{name}: missing"
    return f"{name}: {state.st_size} bytes, {state.st_mtime_ns} ns"
