"""How people's tools name a LoRA's tensors. Stands by itself: the host's Python loads it by its path too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

RANK, ALPHA = 3, 6.0
# By tool: the name of a module, from Wan's own (`original`) or diffusers', with underscores for dots where `flat`;
# and the endings of down and up.
NAMINGS: dict[str, tuple[str, str, str]] = {
    "diffusion-pipe": ("diffusion_model.{original}", "lora_A.weight", "lora_B.weight"),
    "diffusers": ("transformer.{diffusers}", "lora_A.weight", "lora_B.weight"),
    "diffusers, formerly": ("transformer.{diffusers}", "lora.down.weight", "lora.up.weight"),
    "PEFT": ("base_model.model.{original}", "lora_A.weight", "lora_B.weight"),
    "PEFT, wrapped": ("base_model.model.model._fsdp_wrapped_module.{original}", "lora_A.weight", "lora_B.weight"),
    "PEFT, diffusers' names": ("base_model.model.{diffusers}", "lora_A.weight", "lora_B.weight"),
    "DiffSynth": ("{original}", "lora_A.default.weight", "lora_B.default.weight"),
    "DiffSynth, pipeline": ("pipe.dit.{original}", "lora_A.default.weight", "lora_B.default.weight"),
    "kohya": ("lora_unet_{flat original}", "lora_down.weight", "lora_up.weight"),
    "kohya, dots": ("lora_unet_{original}", "lora_down.weight", "lora_up.weight"),
    "VideoX-Fun": ("lora_unet__{flat original}", "lora_down.weight", "lora_up.weight"),
    "OneTrainer": ("lora_transformer_{flat diffusers}", "lora_down.weight", "lora_up.weight"),
    "SimpleTuner": ("lycoris_{flat diffusers}", "lora_down.weight", "lora_up.weight"),
    "bare": ("{original}", "lora_A", "lora_B"),
}


def written(naming: str, module: str, diffusers_name: Callable[[str], str]) -> str:
    """Wan's own name of a module as a tool writes it."""
    pattern = NAMINGS[naming][0]
    for what, value in (("original", module), ("diffusers", diffusers_name(module))):
        pattern = pattern.replace(f"{{flat {what}}}", value.replace(".", "_")).replace(f"{{{what}}}", value)
    return pattern


def targets(weights: Mapping[str, Tensor]) -> list[str]:
    """What the LoRAs here change: every matrix of the blocks, and the patch embedding."""
    matrices = [name for name, value in weights.items() if name.startswith("blocks.") and value.ndim == 2]
    return [*matrices, "patch_embedding.weight"]


def lora_of(
    weights: Mapping[str, Tensor], naming: str, diffusers_name: Callable[[str], str], alpha: bool = True
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A random LoRA as a tool writes it, and what it adds to each weight at strength 1."""
    generator = torch.Generator().manual_seed(1)
    _, down_end, up_end = NAMINGS[naming]
    file, change = {}, {}
    for name in targets(weights):
        shape = weights[name].shape
        down = torch.randn(RANK, *shape[1:], generator=generator)
        up = torch.randn(shape[0], RANK, *[1] * (len(shape) - 2), generator=generator)
        module = written(naming, name.removesuffix(".weight"), diffusers_name)
        file |= {f"{module}.{down_end}": down, f"{module}.{up_end}": up}
        if alpha:
            file[f"{module}.alpha"] = torch.tensor(ALPHA)
        scale = ALPHA / RANK if alpha else 1.0
        change[name] = scale * torch.einsum("or,r...->o...", up.reshape(-1, RANK), down)
    return file, change


def lycoris_of(weights: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """LoKr, LoHa or DoRA of every matrix, behind `diffusion_model.`."""
    generator = torch.Generator().manual_seed(1)

    def randn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.1

    file: dict[str, Tensor] = {}
    for name in targets(weights)[:-1]:
        rows, columns = weights[name].shape
        parts = {
            "LoKr": {"lokr_w1": (2, 2), "lokr_w2": (rows // 2, columns // 2)},
            "LoHa": {f"hada_w{i}_{side}": (rows, 2) if side == "a" else (2, columns) for i in (1, 2) for side in "ab"},
            "DoRA": {"lora_A.weight": (2, columns), "lora_B.weight": (rows, 2), "dora_scale": (rows, 1)},
        }[kind]
        file |= {f"diffusion_model.{name.removesuffix('.weight')}.{end}": randn(*shape) for end, shape in parts.items()}
    return file
