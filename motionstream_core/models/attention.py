"""Attention with one face and several backends: PyTorch's SDPA, FlashAttention 2 and 3, and plain matrix products.

The backend is named, or "auto": the fastest that is importable and fits the tensors. A named backend that is not
installed is an error, never another one in its place.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

Backend = Literal["auto", "sdpa", "flash2", "flash3", "matmul"]
_MODULES = {"flash2": ("flash_attn", "flash-attn"), "flash3": ("flash_attn_interface", "flash-attn 3 (hopper)")}


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, backend: Backend = "auto") -> Tensor:
    """softmax(q k^T / sqrt(d)) v for q (b l k d) and k, v (b m k d) -> (b l k d).

    mask: bool, broadcast to (b k l m), True where a query may look; FlashAttention takes none.
    Raises ImportError when a named backend is not installed, ValueError when it is unknown or takes no mask.
    """
    chosen = _choose(q, mask) if backend == "auto" else backend
    if chosen in ("sdpa", "matmul"):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if chosen == "matmul":
            return _matmul_attention(q, k, v, mask).transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    if mask is not None:
        raise ValueError(f"attention backend {chosen!r} takes no mask; use 'sdpa'")
    out = _flash(chosen)(q, k, v)
    return out[0] if isinstance(out, tuple) else out  # early FlashAttention 3 also returns the softmax sums


def _matmul_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q (b k l d) as it is written; its backward is matrix products too."""
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), v)


def available_backends() -> tuple[str, ...]:
    """Backends that can be imported here, fastest first."""
    return (*(name for name in ("flash3", "flash2") if _importable(name)), "sdpa")


def _choose(q: Tensor, mask: Tensor | None) -> str:
    if mask is not None or not q.is_cuda or q.element_size() != 2:
        return "sdpa"
    return available_backends()[0]


def why_unavailable(backend: str) -> str | None:
    """Why a backend cannot be used on this machine at all; None where it can. Raises ValueError for an unknown one."""
    if backend in ("sdpa", "matmul"):
        return None
    try:
        _flash(backend)
    except ImportError as error:
        return f"{error} ({error.__cause__})"
    return None if torch.cuda.is_available() else "it needs a CUDA GPU, and torch finds none"


@lru_cache
def _importable(name: str) -> bool:
    try:
        _flash(name)
    except ImportError:
        return False
    return True


@lru_cache
def _flash(name: str) -> Callable[..., Any]:
    if name not in _MODULES:
        raise ValueError(f"attention backend is {name!r}; known are {', '.join(get_args(Backend))}")
    module, package = _MODULES[name]
    try:
        return importlib.import_module(module).flash_attn_func
    except ImportError as error:
        raise ImportError(f"attention backend {name!r} needs {package}; install it or use 'sdpa'") from error
