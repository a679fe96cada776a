"""The optimizer of all stages: Muon for the blocks' matrices, AdamW for everything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Optimizer:
    """Muon (torch.optim.Muon, updates scaled to AdamW's) and AdamW behind one face, with one learning rate."""

    def __init__(self, model: nn.Module, learning_rate: float, weight_decay: float = 0.01) -> None:
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        matrices = [p for name, p in named if name.startswith("blocks.") and p.ndim == 2]
        others = [p for name, p in named if not (name.startswith("blocks.") and p.ndim == 2)]
        self.learning_rate = learning_rate
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw", ns_steps=4
            ),
            torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay),
        ]

    def step(self, rate: float = 1.0) -> None:
        """One step at `rate` times the learning rate; gradients are cleared."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.learning_rate * rate
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
