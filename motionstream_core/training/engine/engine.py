"""The engine of all stages: networks on one device or sharded over ranks, and one optimizer step from micro-batches.

Micro-batches are the unit of randomness. A stage draws all that a micro-batch needs from (seed, train_step,
micro_index), and the engine deals the micro-batches of a step out to the ranks: the same batch_size and
micro_batch_size give the same training whatever the number of ranks.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from .ema import Ema
from .meter import Meter
from .optimizers import Optimizer, OptimizerSettings
from .ranks import TIMEOUT
from .sharding import Module, broadcast_weights, cast_tokens, checkpoint_blocks, local, shard_from_main


class TrainingDiverged(RuntimeError):
    """A loss or a gradient is no longer finite; nothing was changed by the step that found it."""


@dataclass(frozen=True)
class Compute:
    """Where and how a stage computes.

    precision "bf16": matrix products in bf16, weights and sums in fp32. shard: parameters, gradients and optimizer
    states are spread over all ranks (FSDP2), or over the ranks of each of `num_replicas` groups (HSDP), between which
    gradients alone travel. activation_checkpointing: blocks run twice and keep less.
    """

    device: torch.device
    precision: Literal["bf16", "fp32"] = "bf16"
    shard: bool = False
    activation_checkpointing: bool = False
    compile: bool = False
    num_replicas: int = 1

    def __post_init__(self) -> None:
        if self.precision not in ("bf16", "fp32"):
            raise ValueError(f"precision is {self.precision!r}; known are 'bf16' and 'fp32'")
        if self.num_replicas < 1 or (self.num_replicas > 1 and not self.shard):
            raise ValueError(f"num_replicas is {self.num_replicas}; it must be at least 1, more only with shards")


@dataclass(frozen=True)
class MicroBatches:
    """How one step's batch is cut. batch_size: over all ranks and accumulations.

    micro_batch_size: samples of one forward and backward pass; None is all that falls to one rank.
    """

    batch_size: int
    micro_batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1 or (self.micro_batch_size is not None and self.micro_batch_size < 1):
            raise ValueError(
                f"batch_size ({self.batch_size}) and micro_batch_size ({self.micro_batch_size}) must be at least 1"
            )

    @property
    def num_micro(self) -> int:
        """Micro-batches of a step, where their size is given; else 1, of the whole batch."""
        return 1 if self.micro_batch_size is None else self.batch_size // self.micro_batch_size

    def share(self, rank: int, num_ranks: int) -> tuple[int, range, int]:
        """(micro_batch_size, indices of the rank's micro-batches, number of all micro-batches).

        Raises ValueError when the batch cannot be cut evenly.
        """
        if self.batch_size % num_ranks:
            raise ValueError(f"batch_size {self.batch_size} cannot be dealt out evenly to {num_ranks} ranks")
        size = self.micro_batch_size or self.batch_size // num_ranks
        total, rest = divmod(self.batch_size, size)
        if rest or total % num_ranks:
            raise ValueError(
                f"batch_size {self.batch_size} in micro-batches of {size} cannot be dealt out evenly to {num_ranks} "
                f"ranks; make batch_size a multiple of micro_batch_size x ranks ({size * num_ranks})"
            )
        each = total // num_ranks
        return size, range(rank * each, (rank + 1) * each), total


class Part:
    """One trained network with its optimizer and its average. Parameters below `frozen_prefixes` do not move."""

    def __init__(self, name: str, model: nn.Module, optimizer: Optimizer, ema: Ema | None) -> None:
        self.name = name
        self.model = model
        self.optimizer = optimizer
        self.ema = ema
        self.frozen_prefixes: tuple[str, ...] = ()

    def freeze(self, prefixes: Sequence[str]) -> None:
        """From now on leave parameters whose names begin with one of `prefixes` as they are; none unfreezes all.

        A sharded parameter cannot be told later that it needs no gradient, so the gradient is made and thrown away.
        """
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in self.optimizer.parameters):
                raise ValueError(f"{self.name} has no parameter whose name begins with {prefix!r}")
        self.frozen_prefixes = tuple(prefixes)

    def gradients(self) -> list[Tensor]:
        """This rank's gradients of all parameters that move, in the order of their names; others are dropped."""
        found = []
        for name, parameter in self.optimizer.parameters.items():
            if self.frozen_prefixes and name.startswith(self.frozen_prefixes):
                parameter.grad = None
            elif parameter.grad is not None:
                found.append(local(parameter.grad))
        return found

    @contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network with its averages for weights, sharded as it is, in eval mode, for as long as the context lasts.

        Raises ValueError where no average is kept.
        """
        if self.ema is None:
            raise ValueError(f"no average is kept of {self.name}; give `part` an ema_decay")
        training = self.model.training
        self.ema.swap(self.model)
        try:
            yield self.model.eval()
        finally:
            self.ema.swap(self.model)
            self.model.train(training)

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint holds of it; a checkpoint is read into these very tensors."""
        groups = {"model": self.model.state_dict(), "optimizer": self.optimizer.tensors()}
        if self.ema is not None:
            groups["ema"] = self.ema.tensors()
        return {f"{self.name}.{group}.{name}": v for group, values in groups.items() for name, v in values.items()}


class Engine:
    """What every stage trains with. Ranks are those of the process group, or one where there is none.

    Raises ValueError for sharding without a process group (`distributed.joined`).
    """

    def __init__(self, compute: Compute) -> None:
        self.compute = compute
        self.device = compute.device
        joined = dist.is_available() and dist.is_initialized()
        if compute.shard and not joined:
            raise ValueError("sharding needs the ranks of torchrun; start with torchrun, or leave out --shard")
        self.rank = dist.get_rank() if joined else 0
        self.num_ranks = dist.get_world_size() if joined else 1
        self.meter = Meter(self.device, self.num_ranks)
        # checkpoints are written by a thread, and two threads must never meet in one group
        self.control, self.writing = (_group() if joined else None for _ in range(2))

    @property
    def is_main(self) -> bool:
        """Whether this is the rank that writes logs, exports and videos."""
        return self.rank == 0

    def part(
        self,
        name: str,
        model: nn.Module,
        settings: OptimizerSettings,
        ema_decay: float | None = None,
        methods: tuple[str, ...] = (),
    ) -> Part:
        """A network to train in fp32, its parameters that require gradients at least; rank 0's weights are the start.

        A Wan network that is sharded may be on the meta device on all other ranks.

        methods: see `sharding.shard`.
        """
        if self.compute.activation_checkpointing and hasattr(model, "blocks"):
            checkpoint_blocks(model)
        model = self._placed(model, methods, self.compute.compile, torch.float32)
        return Part(name, model, Optimizer(model, settings), None if ema_decay is None else Ema(model, ema_decay))

    def frozen(self, model: Module, methods: tuple[str, ...] = (), compact: bool = False) -> Module:
        """A network that is only asked: in eval mode, without gradients, placed as the trained ones are.

        compact: its weights are kept in the engine's precision.
        """
        model = model.eval().requires_grad_(False)
        return self._placed(model, methods, compiled=False, dtype=self._dtype if compact else None)

    def twin(self, model: Module) -> Module:
        """Another network with the weights of one that is not placed yet.

        Where networks are sharded the two share them, until each is placed and takes shards of its own.
        """
        if not self.compute.shard:
            return copy.deepcopy(model)
        shared = {id(each): nn.Parameter(each.detach(), each.requires_grad) for each in model.parameters()}
        return copy.deepcopy(model, shared)

    @property
    def _dtype(self) -> torch.dtype:
        """Of matrix products."""
        return torch.bfloat16 if self.compute.precision == "bf16" else torch.float32

    def _placed(self, model: Module, methods: tuple[str, ...], compiled: bool, dtype: torch.dtype | None) -> Module:
        if compiled:
            for part in model.blocks if self.compute.shard and hasattr(model, "blocks") else [model]:  # type: ignore
                part.compile()
        cast_tokens(model)
        if self.compute.shard:
            return shard_from_main(model, self._dtype, self.device, methods, self.compute.num_replicas, dtype)
        model = model.to(dtype=dtype)
        if self.num_ranks > 1:
            broadcast_weights(model, self.device)
        return model.to(self.device)

    def autocast(self) -> AbstractContextManager[object]:
        """Matrix products in the engine's precision.

        Casts of weights are not kept: some releases of torch hand one made under no_grad to a pass with gradient, which
        then never reaches the weight, and gradients of several passes would be summed in bf16.
        """
        enabled = self.compute.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def accumulate(
        self,
        part: Part,
        batches: MicroBatches,
        loss: Callable[[int, int], Tensor],
        rate: float = 1.0,
        context: str = "",
    ) -> dict[str, float]:
        """One optimizer step of `part` on the mean gradient of all micro-batches; all ranks call it.

        loss: (micro_index, micro_size) -> mean loss of that micro-batch; called for this rank's share. Sharded ranks
        gather parameters together, so every rank must run the same forward passes in the same order.
        rate: share of the learning rate. Returns {"loss": mean, "grad_norm": before clipping}, equal on all ranks.
        Raises TrainingDiverged, on every rank and with nothing stepped, when a loss or the gradient is not finite.
        """
        size, mine, total = batches.share(self.rank, self.num_ranks)
        part.optimizer.zero_grad()  # another part's loss may have left gradients here
        losses = torch.zeros(total, dtype=torch.float64, device=self.device)
        for index in mine:
            with self.autocast():
                value = loss(index, size)
            value.backward()
            losses[index] = value.detach()
        self._sum([losses])
        gradients = part.gradients()
        if not self.compute.shard:
            self._sum(gradients)
        if total > 1:
            for gradient in gradients:
                gradient.div_(total)
        norm = self._norm(gradients)
        each, length = losses.tolist(), norm.item()
        if not all(map(math.isfinite, [*each, length])):
            part.optimizer.zero_grad()
            raise TrainingDiverged(_divergence(context, each, length))
        shorten = (part.optimizer.settings.clip_norm / (norm + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(shorten)
        part.optimizer.step(rate)
        if part.ema is not None:
            part.ema.update(part.model)
        return {"loss": sum(each) / total, "grad_norm": length}

    def _sum(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sum over all ranks."""
        if self.num_ranks > 1:
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                work.wait()  # type: ignore[union-attr]

    def _norm(self, gradients: list[Tensor]) -> Tensor:
        """Length of the whole gradient, fp32; summed in fp64, so that it does not depend on how it is sharded."""
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for gradient in gradients:
            total += torch.linalg.vector_norm(gradient, dtype=torch.float64).square()
        if self.compute.shard:
            self._sum([total])
            total /= self.compute.num_replicas  # every shard was counted in each of them
        return total.sqrt().float()

    @torch.no_grad()
    def whole_state(self, part_or_module: Part | nn.Module, ema: bool = False) -> dict[str, Tensor]:
        """Whole weights, or their averages, in fp32 on the CPU of rank 0, ready for `save_model`; empty elsewhere.

        All ranks call it. Raises ValueError for the averages of something that keeps none.
        """
        if ema:
            average = part_or_module.ema if isinstance(part_or_module, Part) else None
            if average is None:
                raise ValueError("no average is kept of this network; give `part` an ema_decay")
            state = average.weights
        else:
            state = (part_or_module.model if isinstance(part_or_module, Part) else part_or_module).state_dict()
        whole = {}
        for name, value in state.items():
            tensor = value.full_tensor() if isinstance(value, DTensor) else value
            if self.is_main:
                whole[name] = tensor.detach().to("cpu", torch.float32, copy=True)
        return whole

    def largest(self, value: int) -> int:
        """The largest of all ranks' values."""
        if self.control is None:
            return value
        tensor = torch.tensor(value)
        dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.control)
        return int(tensor)

    def total(self, value: float) -> float:
        """The sum of all ranks' values."""
        if self.control is None:
            return value
        tensor = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(tensor, group=self.control)
        return tensor.item()

    def collected(self, value: object) -> list[object]:
        """All ranks' values, on rank 0; empty elsewhere."""
        if self.control is None:
            return [value]
        values: list[object] = [None] * self.num_ranks
        dist.gather_object(value, values if self.is_main else None, group=self.control)
        return values if self.is_main else []

    def from_main(self, value: object) -> object:
        """Rank 0's value, on every rank."""
        if self.control is None:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]

    def barrier(self) -> None:
        """Wait until every rank is here."""
        if self.control is not None:
            dist.barrier(group=self.control)


def _group() -> dist.ProcessGroup:
    """All ranks, talking over gloo."""
    group = dist.new_group(backend="gloo", timeout=TIMEOUT)
    assert isinstance(group, dist.ProcessGroup)
    return group


def _divergence(context: str, losses: list[float], norm: float) -> str:
    bad = [index for index, value in enumerate(losses) if not math.isfinite(value)]
    where = f"{context}: " if context else ""
    if bad:
        named = ", ".join(f"micro-batch {index} is {losses[index]}" for index in bad)
        return f"{where}the loss of {named} (of {len(losses)}); nothing was stepped"
    return f"{where}the gradient's length is {norm} although all {len(losses)} micro-batches have finite losses"
