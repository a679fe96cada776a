"""Sharding of a network over ranks (FSDP2), and checkpointing of its blocks' activations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from ...models.memory import LayerMemory
from ...models.track_wan import TrackWan
from ...models.wan import LayerContext, WanModel

Module = TypeVar("Module", bound=nn.Module)


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a tensor; all of it where it is not sharded. In-place changes reach the tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@torch.no_grad()
def broadcast_weights(model: nn.Module, device: torch.device) -> None:
    """Give every rank the weights of rank 0, one tensor at a time through `device`."""
    for tensor in model.state_dict().values():
        moved = tensor.to(device)
        dist.broadcast(moved, src=0)
        tensor.copy_(moved)


def checkpoint_blocks(model: nn.Module) -> None:
    """Keep of every transformer block only its input, and run it again when its gradient is asked for.

    Names of parameters stay as they are. A block is given a snapshot of its memory: the memory itself moves on before
    the block runs again. Raises ValueError for a model without blocks.
    """
    blocks = getattr(model, "blocks", None)
    if not isinstance(blocks, nn.ModuleList):
        raise ValueError(f"activation checkpointing is per transformer block, and {type(model).__name__} has none")
    for block in blocks:
        block.forward = _checkpointed(block.forward)


def cast_tokens(model: nn.Module) -> None:
    """Let CLIP tokens come in the precision of the weights that they meet, which may be gathered or kept in bf16.

    They meet a norm first, and autocast leaves norms alone.
    """
    if isinstance(model, WanModel) and model.config.image_dim is not None:
        model.img_emb.register_forward_pre_hook(_as_weights)


def _as_weights(projection: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(tokens.to(next(projection.parameters()).dtype) for tokens in args)


def _checkpointed(forward: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def run(x: Tensor, time: Tensor, context: LayerContext, memory: LayerMemory, keys_only: bool = False) -> Tensor:
        if keys_only or not torch.is_grad_enabled():
            return forward(x, time, context, memory, keys_only)
        return checkpoint(forward, x, time, context, memory.snapshot(), use_reentrant=False, preserve_rng_state=False)

    return run


def shard(
    model: Module, precision: torch.dtype, device: torch.device, methods: tuple[str, ...] = (), num_replicas: int = 1
) -> Module:
    """Shard a network's parameters over all ranks: block by block, the track head, the word encoder, then the rest.

    precision: of gathered parameters; gradients are reduced in fp32. methods: the network's own methods, other than
    forward, that use parameters and take and return plain tensors; those of `TrackWan` are known. num_replicas: groups
    of ranks that hold the whole network each (HSDP); 1 spreads it over all ranks.
    Gradients are summed over ranks, not averaged. No inputs are cast: timesteps would not survive bf16.
    """
    # nobody changes a velocity or a block's tokens in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = _mesh(device, num_replicas)
    policy = MixedPrecisionPolicy(param_dtype=precision, reduce_dtype=torch.float32, cast_forward_inputs=False)
    own_methods = ("embed_context",) if isinstance(model, WanModel) else ()
    for part, names in (*_parts(model), (model, own_methods + methods)):
        # the root too gives its parameters back after a forward pass: held on to, they would be stale after a step
        fully_shard(part, mesh=mesh, reshard_after_forward=True, mp_policy=policy)
        for name in names:
            register_fsdp_forward_method(part, name)
    for part in model.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
    return model


def shard_from_main(
    model: Module,
    precision: torch.dtype,
    device: torch.device,
    methods: tuple[str, ...],
    num_replicas: int,
    dtype: torch.dtype | None,
) -> Module:
    """`shard`, in `dtype`, of a network of which rank 0 has the weights; the others need none, and get shards alone.

    Rank 0 takes one weight at a time: those that are mapped from a file never lie in its memory together.
    """
    if not isinstance(model, WanModel):  # buffers that no state names would be lost
        model = model.to(dtype=dtype)
        broadcast_weights(model, device)
        return shard(model, precision, device, methods, num_replicas)
    weights = model.state_dict() if dist.get_rank() == 0 else None
    model.to_empty(device="meta").to(dtype=dtype)
    sharded = shard(model, precision, device, methods, num_replicas).to_empty(device=device)
    with torch.no_grad():
        for name, own in sharded.state_dict().items():
            assert isinstance(own, DTensor)  # there are no buffers
            whole = torch.empty(own.shape, dtype=own.dtype, device=device)
            if weights is not None:
                whole.copy_(weights.pop(name))
            local(own).copy_(local(distribute_tensor(whole, own.device_mesh, own.placements)))
    _run_root_first(model, precision, device)
    return sharded


def _mesh(device: torch.device, num_replicas: int) -> DeviceMesh:
    """All ranks in a row, or in as many rows as there are replicas. Raises ValueError where they are not alike."""
    num_ranks = dist.get_world_size()
    if num_replicas == 1:
        return init_device_mesh(device.type, (num_ranks,))
    if num_ranks % num_replicas:
        raise ValueError(f"{num_ranks} ranks cannot hold {num_replicas} replicas of one size; use a divisor")
    names = ("replicate", "shard")
    return init_device_mesh(device.type, (num_replicas, num_ranks // num_replicas), mesh_dim_names=names)


def _parts(model: nn.Module) -> list[tuple[nn.Module, tuple[str, ...]]]:
    """Parts that are gathered on their own, with the methods by which they are used beside forward."""
    if not isinstance(model, WanModel):
        return []
    parts: list[tuple[nn.Module, tuple[str, ...]]] = [(block, ("context_keys",)) for block in model.blocks]
    if isinstance(model, TrackWan) and model.track_head is not None:
        parts.append((model.track_head, ("encode",)))
    if isinstance(model, TrackWan) and model.text_encoder is not None:
        parts.append((model.text_encoder, ()))
    return parts


@torch.no_grad()
def _run_root_first(model: WanModel, precision: torch.dtype, device: torch.device) -> None:
    """FSDP takes for the root whatever runs first, and of a clip that would be the track head."""
    config = model.config
    text = torch.zeros(1, 1, config.text_dim, dtype=precision, device=device)
    image = None
    if config.image_dim is not None:
        image = torch.zeros(1, 1, config.image_dim, dtype=precision, device=device)
    model.embed_context(text, image)
