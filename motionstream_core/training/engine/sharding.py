"""Sharding of a network over ranks (FSDP2), and checkpointing of its blocks' activations."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from ...models.memory import Memory
from ...models.track_wan import TrackWan
from ...models.wan import CrossContext, WanModel

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
    def run(x: Tensor, time: Tensor, context: CrossContext, memory: Memory, layer: int) -> Tensor:
        if not torch.is_grad_enabled():
            return forward(x, time, context, memory, layer)
        seen = memory.snapshot(layer)
        return checkpoint(forward, x, time, context, seen, layer, use_reentrant=False, preserve_rng_state=False)

    return run


def shard(model: Module, precision: torch.dtype, device: torch.device, methods: tuple[str, ...] = ()) -> Module:
    """Shard a network's parameters over all ranks: block by block, the track head, the word encoder, then the rest.

    precision: of gathered parameters; gradients are reduced in fp32. methods: the network's own methods, other than
    forward, that use parameters and take and return plain tensors; those of `TrackWan` are known.
    Gradients are summed over ranks, not averaged. No inputs are cast: timesteps would not survive bf16.
    """
    # nobody changes a velocity or a block's tokens in place
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
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
    if isinstance(model, WanModel):
        _run_root_first(model, precision, device)
    return model


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
