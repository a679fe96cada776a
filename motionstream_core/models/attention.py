"""Attention with one face and several backends: PyTorch's SDPA, FlashAttention 2 and 3, and plain matrix products.

The backend is named, or "auto": the fastest that is importable, runs on the tensors' GPU and takes them. A named one
that is not installed, or was not made for that GPU, is an error, never another one in its place.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

_log = logging.getLogger(__name__)

Backend = Literal["auto", "sdpa", "flash2", "flash3", "matmul"]
_MODULES = {"flash2": ("flash_attn", "flash-attn"), "flash3": ("flash_attn_interface", "flash-attn 3 (hopper)")}
# Compute capabilities that each has kernels for, from low up to but not high (Dao-AILab/flash-attention: README.md)
_CAPABILITIES = {"flash2": ((8, 0), (99, 0)), "flash3": ((9, 0), (10, 0))}
_CARDS = {"flash2": "Ampere or newer (compute capability 8.0 and up)", "flash3": "Hopper (compute capability 9.x)"}

# What was found is kept in plain tables: torch.compile reads these, where it would run a function anew.
_FASTEST: dict[torch.device, str] = {}
_FLASH: dict[str, Callable[..., Any]] = {}


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, backend: Backend = "auto") -> Tensor:
    """softmax(q k^T / sqrt(d)) v for q (b l k d) and k, v (b m k d) -> (b l k d).

    mask: bool, broadcast to (b k l m), True where a query may look; FlashAttention takes none.
    Raises ImportError when a named backend is not installed, ValueError when it is unknown, takes no mask, or was not
    made for the GPU that the tensors are on.
    """
    chosen = _choose(q, mask) if backend == "auto" else backend
    if chosen in ("sdpa", "matmul"):
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if chosen == "matmul":
            return _matmul_attention(q, k, v, mask).transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2)
    if mask is not None:
        raise ValueError(f"attention backend {chosen!r} takes no mask; use 'sdpa'")
    flash = _FLASH.get(chosen) or _flash(chosen)
    if backend != "auto" and q.is_cuda and not _runs_on(chosen, q.device):
        raise ValueError(f"attention backend {chosen!r} needs {_needed(chosen, q.device)}; use 'sdpa' or 'auto'")
    out = flash(q, k, v)
    return out[0] if isinstance(out, tuple) else out  # early FlashAttention 3 also returns the softmax sums


def _matmul_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of q (b k l d) as it is written; its backward is matrix products too."""
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return torch.matmul(torch.softmax(scores, dim=-1).to(v.dtype), v)


def available_backends(device: torch.device | None = None) -> tuple[str, ...]:
    """Backends that can be imported here and run on `device`, fastest first; None asks for no device."""
    found = (name for name in ("flash3", "flash2") if _importable(name))
    return (*(name for name in found if device is None or _runs_on(name, device)), "sdpa")


def _choose(q: Tensor, mask: Tensor | None) -> str:
    if mask is not None or not q.is_cuda or q.element_size() != 2:
        return "sdpa"
    return fastest_backend(q.device)


def fastest_backend(device: torch.device) -> str:
    """What "auto" takes on `device`; found once. Asked for before a compiled pass, it is no question within it."""
    if device.type != "cuda":
        return "sdpa"
    if device not in _FASTEST:
        _FASTEST[device] = available_backends(device)[0]
    return _FASTEST[device]


def _runs_on(name: str, device: torch.device) -> bool:
    """Whether a FlashAttention has kernels for a device."""
    low, high = _CAPABILITIES[name]
    return device.type == "cuda" and low <= _capability(device) < high


@lru_cache
def _capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)


def _needed(name: str, device: torch.device) -> str:
    major, minor = _capability(device)
    return f"a GPU of the kind {_CARDS[name]}, and this one has {major}.{minor}"


def why_unavailable(backend: str) -> str | None:
    """Why a backend cannot be used on this machine at all; None where it can. Raises ValueError for an unknown one."""
    if backend in ("sdpa", "matmul"):
        return None
    try:
        _flash(backend)
    except ImportError as error:
        return f"{error} ({error.__cause__})"
    if not torch.cuda.is_available():
        return "it needs a CUDA GPU, and torch finds none"
    device = torch.device("cuda", torch.cuda.current_device())
    return None if _runs_on(backend, device) else f"it needs {_needed(backend, device)}"


@lru_cache
def _importable(name: str) -> bool:
    """Whether a FlashAttention can be used; one that is installed and cannot is named in the log, once."""
    try:
        _flash(name)
    except ImportError as error:
        if not _is_absent(name, error.__cause__):
            _log.warning("%s", error)
        return False
    return True


def _is_absent(name: str, cause: BaseException | None) -> bool:
    return isinstance(cause, ModuleNotFoundError) and cause.name == _MODULES[name][0]


def _flash(name: str) -> Callable[..., Any]:
    if name not in _MODULES:
        raise ValueError(f"attention backend is {name!r}; known are {', '.join(get_args(Backend))}")
    module, package = _MODULES[name]
    try:
        _FLASH[name] = importlib.import_module(module).flash_attn_func
    except Exception as error:  # a wheel made for another torch or CUDA fails in whatever way it happens to
        if _is_absent(name, error):
            raise ImportError(f"attention backend {name!r} needs {package}; install it or use 'sdpa'") from error
        raise ImportError(
            f"attention backend {name!r}: the installed {package} cannot be used ({type(error).__name__}: {error}); "
            "install one that was made for this torch, or use 'sdpa'"
        ) from error
    return _FLASH[name]
