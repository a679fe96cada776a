"""Weights that wait in the CPU's memory and visit the device only while their layer computes.

The large layers of a transformer (Linear, Embedding) hold nearly all of its weights. Those that fit a budget
stay on the device; of the rest each is copied in when its turn comes and dropped afterwards, so that beside the budget
the device holds one of them at a time. The output is that of a model which lies on the device as a whole.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .fp8 import Fp8Linear

LARGE = (nn.Linear, nn.Embedding, Fp8Linear)


def weight_bytes(module: nn.Module) -> int:
    """Size of all parameters and buffers, tied ones counted once."""
    tensors = {id(tensor): tensor for tensor in [*module.parameters(), *module.buffers()]}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def place(module: nn.Module, device: torch.device, budget_bytes: int | None = None, pin: bool = False) -> int:
    """Move `module` to `device`, for inference; returns how many bytes of its weights stay on the CPU.

    budget_bytes: for the large layers that stay on the device, the first ones first; None moves everything. Everything
    else (norms, modulations, buffers) always moves. pin: whether what waits is page-locked, which quickens its visits
    and takes the memory from everyone else. Call it once for a module: it adds hooks.
    """
    waiting: list[nn.Module] = []
    seen: set[int] = set()
    left = float("inf") if budget_bytes is None else budget_bytes
    for layer in module.modules():
        if not isinstance(layer, LARGE):
            continue
        size = sum(own.numel() * own.element_size() for own in layer.parameters(recurse=False) if id(own) not in seen)
        if size <= left:
            left -= size
            seen |= {id(own) for own in layer.parameters(recurse=False)}
        else:
            waiting.append(layer)
    homes = {id(own): own.data for layer in waiting for own in layer.parameters(recurse=False) if id(own) not in seen}
    for own in [*module.parameters(), *module.buffers()]:
        if id(own) not in homes:
            own.data = own.data.to(device)
    for layer in waiting:
        _Visit(layer, device, pin and device.type == "cuda")
    return sum(home.numel() * home.element_size() for home in homes.values())


class _Visit:
    """Hooks that lend a layer's weights to the device for each of its forward passes."""

    def __init__(self, layer: nn.Module, device: torch.device, pin: bool) -> None:
        self._device = device
        self._homes: list[tuple[nn.Parameter, Tensor]] = []
        for own in layer.parameters(recurse=False):
            if pin and own.device.type == "cpu":
                own.data = own.data.pin_memory()  # copies from pinned memory do not make the CPU wait
            self._homes.append((own, own.data))
        layer.register_forward_pre_hook(self._come)
        layer.register_forward_hook(self._leave, always_call=True)

    def _come(self, layer: nn.Module, args: Any) -> None:
        for own, home in self._homes:
            own.data = home.to(self._device, non_blocking=True, copy=True)

    def _leave(self, layer: nn.Module, args: Any, output: Any) -> None:
        for own, home in self._homes:
            own.data = home
