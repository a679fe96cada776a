"""Reference codes from checkouts that environment variables name; a test whose checkout is not named skips and says so.

The checkouts are never changed and never copied. What of them needs CUDA or packages that are not here is replaced from
this side, with the same mathematics: attention in fp32 by torch, and modules that a forward pass has no use for.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from unittest.mock import MagicMock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOLERANCE = 1e-4  # of the relative error in fp32


def checkout(variable: str, repository: str) -> Path:
    """The folder that the environment variable names; skips the test without one."""
    path = os.environ.get(variable)
    if not path:
        pytest.skip(f"{variable} is not set: name a checkout of {repository}")
    return Path(path)


def error(found: Tensor, expected: Tensor) -> float:
    """Largest difference, in standard deviations of what is expected."""
    assert found.shape == expected.shape
    return ((found - expected).abs().max() / expected.std()).item()


def report(what: str, value: float) -> None:
    """What docs/parity.md quotes: `pytest -s tests/parity` shows it."""
    sys.stdout.write(f"\nparity: {what}: {value:.1e}")
    assert value < TOLERANCE


@torch.no_grad()
def randomise(module: nn.Module, spread: float = 0.2, seed: int = 0) -> None:
    """Random numbers in every parameter, zero-initialised ones among them; norms stay near 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator) * spread
        parameter.copy_(1 + drawn if "norm" in name and name.endswith("weight") else drawn)


def attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> Tensor:
    """softmax(q k^T / sqrt(d)) v of (b l k d) in the inputs' own dtype, where references call flash attention."""
    return F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)


class _Absent(ModuleType):
    """Stands for a package that is not here and that a forward pass has no use for."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock()


class _AbsentFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        wanted = any(fullname == name or fullname.startswith(name + ".") for name in self.names)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if wanted else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Absent(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def importable(root: Path, packages: tuple[str, ...], absent: tuple[str, ...] = ()) -> Iterator[None]:
    """`root`'s modules can be imported within.

    packages: those whose own __init__ is not run, because it imports what is not needed. absent: modules that are
    replaced by empty ones where they cannot be found (top-level names) or altogether (dotted names).
    """
    before = set(sys.modules)
    finder = _AbsentFinder(absent)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(root))
        for name in packages:
            module = ModuleType(name)
            module.__path__ = [str(root.joinpath(*name.split(".")))]
            patch.setitem(sys.modules, name, module)
        sys.meta_path.append(finder)
        for name in (name for name in absent if "." in name):
            patch.setitem(sys.modules, name, _Absent(name))
        try:
            yield
        finally:
            sys.meta_path.remove(finder)
            tops = {name.split(".")[0] for name in (*packages, *absent)}
            for name in [name for name in sys.modules if name not in before and name.split(".")[0] in tops]:
                del sys.modules[name]
