"""Exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ema:
    """Averages in fp32; the decay warms up with the steps so that early averages are not of the random start."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self.weights = {name: value.detach().clone().float() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for name, value in model.state_dict().items():
            self.weights[name].lerp_(value.float(), 1 - decay)

    def state_dict(self) -> dict[str, Tensor | int]:
        return {**self.weights, "num_updates": self.num_updates}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        self.num_updates = int(state["num_updates"])
        for name, value in self.weights.items():  # in place: they stay on their device
            value.copy_(torch.as_tensor(state[name]))
