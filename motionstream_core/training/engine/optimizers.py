"""The optimizers of all stages: Muon for the blocks' matrices and AdamW for everything else, or AdamW alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Replicate

from .sharding import local

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # steepest at zero while it still converges (Jordan et al., Muon, 2024)
NEWTON_SCHULZ_STEPS = 4


@dataclass(frozen=True)
class OptimizerSettings:
    """kind "muon": Muon for the blocks' matrices, AdamW for the rest; "adamw": AdamW for all (the paper's).

    betas: of AdamW. clip_norm: longest gradient; longer ones are shortened to it, math.inf leaves all as they are.
    """

    kind: Literal["muon", "adamw"] = "muon"
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in ("muon", "adamw"):
            raise ValueError(f"optimizer kind is {self.kind!r}; known are 'muon' and 'adamw'")
        if not self.learning_rate > 0 or not self.clip_norm > 0:
            raise ValueError(
                f"learning_rate ({self.learning_rate}) and clip_norm ({self.clip_norm}) must be greater than 0; "
                "clip_norm math.inf does not clip"
            )


def orthogonalised(matrix: Tensor, precision: torch.dtype | None = None) -> Tensor:
    """The nearly orthogonal matrix (n m) that a few Newton-Schulz steps make of `matrix`.

    precision: None is bf16 on a GPU and fp32 on a CPU, where bf16 without units for it takes forty times as long.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.to(precision or (torch.bfloat16 if matrix.is_cuda else torch.float32))
    x = x.T if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon for whole and sharded matrices; updates are as long as AdamW's (arXiv 2502.16982).

    The whole matrix of the update is gathered, since half a matrix has another orthogonal neighbour than the whole;
    momentum and weights stay sharded. precision: as `orthogonalised` takes it.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        momentum: float = 0.95,
        precision: torch.dtype | None = None,
    ) -> None:
        self.precision = precision
        super().__init__(matrices, {"lr": learning_rate, "weight_decay": weight_decay, "momentum": momentum})
        for group in self.param_groups:
            for matrix in group["params"]:
                self.state[matrix]["momentum"] = torch.zeros_like(matrix)

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, matrix.grad, group["lr"], group["weight_decay"], group["momentum"])

    def _update(self, matrix: Tensor, grad: Tensor, rate: float, weight_decay: float, momentum: float) -> None:
        average = self.state[matrix]["momentum"]
        local(average).lerp_(local(grad), 1 - momentum)
        ahead = grad.lerp(average, momentum)
        if isinstance(ahead, DTensor):
            whole = DTensor.from_local(
                orthogonalised(ahead.full_tensor(), self.precision),
                ahead.device_mesh,
                [Replicate()] * ahead.device_mesh.ndim,
            )
            direction = whole.redistribute(placements=ahead.placements).to_local()
        else:
            direction = orthogonalised(ahead, self.precision)
        length = 0.2 * max(matrix.shape) ** 0.5
        local(matrix).mul_(1 - rate * weight_decay).add_(direction, alpha=-rate * length)


class Optimizer:
    """One face for the optimizers of a network, with one learning rate."""

    def __init__(self, model: nn.Module, settings: OptimizerSettings) -> None:
        self.settings = settings
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        muon = settings.kind == "muon"
        matrices = [p for name, p in self.parameters.items() if muon and name.startswith("blocks.") and p.ndim == 2]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.parameters.values() if id(p) not in chosen]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(Muon(matrices, settings.learning_rate, settings.weight_decay))
        if others:
            self.parts.append(_adamw(others, settings))

    def step(self, rate: float = 1.0) -> None:
        """One step at `rate` times the learning rate; gradients are cleared."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.settings.learning_rate * rate
            part.step()
        self.zero_grad()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds of it, as `quantity.parameter`; a checkpoint is read into these very tensors."""
        names = {id(p): name for name, p in self.parameters.items()}
        return {
            f"{quantity}.{names[id(p)]}": value
            for part in self.parts
            for p, state in part.state.items()
            for quantity, value in state.items()
        }


def _adamw(parameters: list[nn.Parameter], settings: OptimizerSettings) -> torch.optim.AdamW:
    optimizer = torch.optim.AdamW(
        parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay
    )
    for parameter in parameters:  # at once and not in the first step, so that a checkpoint can be read into it
        optimizer.state[parameter] = {
            "step": torch.zeros(()),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return optimizer
