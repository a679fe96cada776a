"""Exponential moving average of a model's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .sharding import local


class Ema:
    """Averages in fp32; the decay warms up with the steps so that early averages are not of the random start.

    Of a sharded model every rank averages its own shards.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone().float() for name, value in model.state_dict().items()}
        self._num_updates = torch.zeros((), dtype=torch.int64)

    @property
    def num_updates(self) -> int:
        """Updates so far."""
        return int(self._num_updates)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the averages towards the model's weights."""
        self._num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        for name, value in model.state_dict().items():
            local(self.weights[name]).lerp_(local(value).float(), 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Give the model the averages for weights and keep its weights in their place; once more undoes it."""
        for name, value in model.state_dict().items():
            own, average = local(value), local(self.weights[name])
            kept = own.clone()
            own.copy_(average)
            average.copy_(kept)

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds of it; a checkpoint is read into these very tensors."""
        return {"num_updates": self._num_updates} | {f"weights.{name}": value for name, value in self.weights.items()}
