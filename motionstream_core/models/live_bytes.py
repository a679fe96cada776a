"""How much memory a computation takes at once, counted while it runs: on the meta device too, where nothing is held."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Within it, `now` is what the tensors made so far hold, `peak` the most that they held at once, in bytes.

    Views count once, and what was there before not at all. ignored: shapes that are not counted, as a network's own to
    leave out its gradients.
    """

    def __init__(self, ignored: Collection[torch.Size] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._ignored, self._seen = frozenset(ignored), set[int]()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {_storage(each) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        out = func(*args, **(kwargs or {}))
        for each in tree_leaves(out):
            if isinstance(each, Tensor) and _storage(each) not in given and each.shape not in self._ignored:
                self._count(each)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _storage(tensor)
        if key in self._seen:
            return
        self._seen.add(key)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, num_bytes: int) -> None:
        self._seen.discard(key)
        self.now -= num_bytes


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
