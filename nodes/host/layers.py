"""The host's layers and its attention, as WanModel takes them (`ops`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ...motionstream_core.models.attention import attention

OVERRIDE = "optimized_attention_override"


class HostAttention:
    """Attention as the host was told to do it, by its command line or by a node; on a CPU, PyTorch's own."""

    def __init__(self) -> None:
        self.options: Mapping[str, Any] = {}

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """As `motionstream_core.models.attention.attention`."""
        if mask is not None or (q.device.type == "cpu" and OVERRIDE not in self.options):
            return attention(q, k, v, mask)
        heads = q.shape[2]
        flat = [x.flatten(2) for x in (q, k, v)]
        return optimized_attention(*flat, heads=heads, transformer_options=self.options).unflatten(2, (heads, -1))


class HostLayers:
    """The `ops` of WanModel: the host's layers, and its attention, one object for the whole model."""

    def __init__(self, operations: Any) -> None:
        self.Linear, self.LayerNorm = operations.Linear, operations.LayerNorm
        self.Conv3d, self.RMSNorm = operations.Conv3d, operations.RMSNorm
        self.attention = HostAttention()
