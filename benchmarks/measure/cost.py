"""Arithmetic, operand traffic and operations of a stream, counted on the meta device: at any size, without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

aten = torch.ops.aten
FP8_PRODUCT = aten._scaled_mm.default
ATTENTION = aten.scaled_dot_product_attention.default
# One kernel each on a GPU, though they are written as several operations.
WHOLE = {ATTENTION, aten.rms_norm.default}
ONLY_WRITTEN = {"copy_", "fill_", "zero_"}
UNWRITTEN = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}
QUESTIONS = {aten.is_nonzero.default: True, aten._local_scalar_dense.default: 1}


@dataclass(frozen=True)
class Cost:
    """flop: of multiply-adds, each two. bytes: of all operands that are read or written. ops: operations that compute
    or copy, each at least one kernel. fp8_flop: those of `flop` that are in 8 bits."""

    flop: float = 0
    bytes: float = 0
    ops: float = 0
    fp8_flop: float = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(ours + theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(ours - theirs for ours, theirs in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, times: float) -> Cost:
        return Cost(*(ours * times for ours in astuple(self)))

    @property
    def flop_in_bf16(self) -> float:
        """As many as would take as long if all of them were in bf16: 8 bits are twice as fast."""
        return self.flop - self.fp8_flop / 2


class Counter(TorchDispatchMode):
    """Inside, what meta tensors go through is counted, as if no operation were fused with another.

    Attention is one operation that keeps its scores to itself. Views cost nothing; work between tensors of the host
    does not count. A question after a value, of which there is none, is answered with yes. An `Instrument`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cost = Cost()

    def read(self) -> Cost:
        """What was counted until now."""
        return self.cost

    def between(self, begun: Cost, ended: Cost) -> Cost:
        """What was counted between two readings."""
        return ended - begun

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = on_meta((args, kwargs))
        if func in QUESTIONS and given:
            return QUESTIONS[func]
        if func is ATTENTION and given:
            return self._attention(*args[:3])
        if func not in WHOLE:
            with self:
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        known = {each.untyped_storage()._cdata for each in given}
        made = func(*args, **kwargs)
        fresh = [each for each in on_meta(made) if each.untyped_storage()._cdata not in known]
        written = [*_mutated(func, args, kwargs), *fresh]
        if written and func._schema.name.split("::")[1] not in UNWRITTEN:
            self._add(_flop(func, args, kwargs, made), _read(func, given, args), written, func is FP8_PRODUCT)
        return made

    def _attention(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = q.new_empty(*q.shape[:-1], v.shape[-1])
        self._add(sdpa_flop_count(q.shape, k.shape, v.shape), [q, k, v], [out])
        return out

    def _add(self, flop: float, read: list[Tensor], written: list[Tensor], in_fp8: bool = False) -> None:
        unique = {_place(each): each for each in read}
        self.cost += Cost(flop, sum(map(_bytes, [*unique.values(), *written])), 1, flop * in_fp8)


def on_meta(value: Any) -> list[Tensor]:
    """The tensors without data in it, whatever holds them."""
    return [each for each in tree_leaves(value) if isinstance(each, Tensor) and each.is_meta]


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Which values a tensor looks at."""
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape)


def _bytes(tensor: Tensor) -> int:
    """Of its values; what is only repeated counts once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else 1
    return count * tensor.element_size()


def _mutated(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operation writes into."""
    named = zip(func._schema.arguments, args, strict=False)
    values = [value for argument, value in named if argument.alias_info is not None and argument.alias_info.is_write]
    for argument in func._schema.arguments[len(args) :]:
        if argument.alias_info is not None and argument.alias_info.is_write and argument.name in kwargs:
            values.append(kwargs[argument.name])
    return on_meta(values)


def _read(func: Any, given: list[Tensor], args: Any) -> list[Tensor]:
    if func._schema.name.split("::")[1] in ONLY_WRITTEN:
        return [each for each in given if each is not args[0]]
    return given


def _flop(func: Any, args: Any, kwargs: Any, made: Any) -> float:
    count: Callable[..., Any] | None = flop_registry.get(func._overloadpacket)
    return 0 if count is None else count(*args, **kwargs, out_val=made)
