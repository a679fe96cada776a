"""Just enough of what ComfyUI offers to models, for tests without it: of each thing the few traits that are used."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class BaseModel(nn.Module):
    """Builds the network that its configuration names, of torch's own layers."""

    def __init__(self, config: Any, model_type: Any, device: Any = None, unet_model: Callable[..., Any] = nn.Module):
        super().__init__()
        self.model_config, self.latent_format = config, config.latent_format
        self.diffusion_model = unet_model(**config.unet_config, device=device, operations=nn)

    def memory_required(self, input_shape: tuple[int, ...]) -> float:
        """Bytes beside the weights for an input (b c f h w)."""
        return 1e3 * float(np.prod(input_shape))


class Base:
    """A model's configuration."""

    def __init__(self, unet_config: dict[str, Any]) -> None:
        self.unet_config = dict(unet_config)


class LatentFormat:
    """Latents that are the same on both sides."""

    latent_channels, latent_dimensions = 4, 2

    def process_in(self, latent: torch.Tensor) -> torch.Tensor:
        return latent

    def process_out(self, latent: torch.Tensor) -> torch.Tensor:
        return latent


class Wan21(LatentFormat):
    """Latents that differ by a factor."""

    latent_channels, factor = 16, 2.0

    def process_in(self, latent: torch.Tensor) -> torch.Tensor:
        return latent / self.factor

    def process_out(self, latent: torch.Tensor) -> torch.Tensor:
        return latent * self.factor


class Wan22(Wan21):
    latent_channels = 48


class Patcher:
    """A ModelPatcher that notes when a run begins and ends."""

    def __init__(self, model: Any, load_device: Any, offload_device: Any) -> None:
        self.model, self.load_device, self.offload_device = model, load_device, offload_device
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.wrappers: dict[str, dict[str, list[Any]]] = {}
        self.running = 0

    def get_wrappers(self, kind: str, key: str) -> list[Any]:
        return self.wrappers.get(kind, {}).get(key, [])

    def pre_run(self) -> None:
        self.running += 1

    def cleanup(self) -> None:
        self.running -= 1


class WrapperExecutor:
    """Calls the first wrapper with an executor of the rest, as the host does."""

    def __init__(self, original: Callable[..., Any], class_obj: Any, wrappers: list[Any]) -> None:
        self.original, self.class_obj, self.wrappers = original, class_obj, wrappers

    @classmethod
    def new_class_executor(cls, original: Callable[..., Any], class_obj: Any, wrappers: list[Any]) -> WrapperExecutor:
        return cls(original, class_obj, wrappers)

    def execute(self, *args: Any, **given: Any) -> Any:
        if not self.wrappers:
            return self.original(*args, **given)
        rest = WrapperExecutor(self.original, self.class_obj, self.wrappers[1:])
        return self.wrappers[0](rest, *args, **given)

    __call__ = execute


class CFGGuider:
    """Keeps conditions."""

    def __init__(self, model: Any) -> None:
        self.model_patcher, self.original_conds = model, {}

    def inner_set_conds(self, conds: dict[str, Any]) -> None:
        self.original_conds = conds


class Condition:
    """A condition as a sampler gets it."""

    def __init__(self, cond: torch.Tensor) -> None:
        self.cond = cond


def save_image_path(prefix: str, folder: str, _width: int = 0, _height: int = 0) -> tuple[str, str, int, str, str]:
    """As folder_paths.get_save_image_path."""
    whole = (Path(folder) / prefix).resolve()
    if not whole.is_relative_to(Path(folder).resolve()):
        raise ValueError("saving outside the output folder is not allowed")
    whole.parent.mkdir(parents=True, exist_ok=True)
    counter = 1 + len(list(whole.parent.glob(f"{whole.name}_*")))
    return str(whole.parent), whole.name, counter, str(Path(prefix).parent), prefix


class ExecutionBlocker:
    """Stands where an output would; what is linked to it does not run, and the message is shown."""

    def __init__(self, message: str | None) -> None:
        self.message = message


def modules() -> dict[str, dict[str, Any]]:
    """Contents of the host's modules, by name, parents first."""
    no_vae = type("WanVAE", (), {})
    return {
        "comfy.cli_args": {"args": types.SimpleNamespace(fp32_vae=False)},
        "comfy.model_base": {"BaseModel": BaseModel, "ModelType": types.SimpleNamespace(FLOW="flow")},
        "comfy.supported_models_base": {"BASE": Base},
        "comfy.latent_formats": {"LatentFormat": LatentFormat, "Wan21": Wan21, "Wan22": Wan22},
        "comfy.conds": {"CONDRegular": Condition, "CONDNoiseShape": Condition},
        "comfy.samplers": {"CFGGuider": CFGGuider, "calc_cond_batch": lambda *_: []},
        "comfy.patcher_extension": {
            "WrappersMP": types.SimpleNamespace(APPLY_MODEL="apply_model"),
            "WrapperExecutor": WrapperExecutor,
        },
        "comfy.ldm": {},
        "comfy.ldm.modules": {},
        "comfy.ldm.modules.attention": {"optimized_attention": None},
        "comfy.ldm.wan": {},
        "comfy.ldm.wan.vae": {"WanVAE": no_vae},
        "comfy.ldm.wan.vae2_2": {"WanVAE": no_vae},
    }
