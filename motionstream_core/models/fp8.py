"""Matrix products in 8 bits: weights with a scale a row, activations with a scale a token, by PyTorch's own product.

GPUs of compute capability 8.9 and higher multiply so twice as fast as in bf16 (docs/adr/0015). Only large matrices that
every pass multiplies by are changed. Cross-attention's k and v are read once a prompt; embeddings, modulation and head
are small, and what they round stands in every value of the video.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from .wan import WanModel

Arithmetic = Literal["plain", "fp8"]

CHANGED = (*(f"self_attn.{name}" for name in "qkvo"), "cross_attn.q", "cross_attn.o", "ffn.0", "ffn.2")
"""The layers of a block whose products are in fp8."""
E4M3 = torch.float8_e4m3fn
LARGEST = torch.finfo(E4M3).max
LEAST_SIZE = 1e-12  # of a row, so that one of zeros has a scale
LEAST_CAPABILITY = (8, 9)
MANTISSA, EXPONENT = 0x7FFFFF, 0x7F800000  # of a float32
SIDE = 16  # both sides of a matrix are multiples of it, as GPUs want them


def require_fp8(device: torch.device, dtype: torch.dtype) -> None:
    """Raise ValueError where `device` has no products in fp8, or none that make `dtype`.

    A CPU has them: slower than its others, and the same numbers.
    """
    fault = None
    if device.type == "cpu":
        if dtype == torch.float16:
            fault = "makes bfloat16 or float32 on a CPU, and this model is to compute in torch.float16"
    elif device.type != "cuda" or torch.version.hip is not None:
        fault = f"needs an NVIDIA GPU, and this device is {device}"
    elif (has := torch.cuda.get_device_capability(device)) < LEAST_CAPABILITY:
        needed = "8.9 or higher (Ada, Hopper, Blackwell)"
        fault = f"needs a GPU of compute capability {needed}, and this one has {has[0]}.{has[1]}"
    elif dtype != torch.bfloat16:
        fault = f"makes bfloat16 on a GPU, and this model is to compute in {dtype}"
    if fault is not None:
        raise ValueError(f"arithmetic: fp8 {fault}; take 'plain'")


def to_fp8(model: WanModel) -> None:
    """Change the blocks' large layers in place, for inference; the weights then take half of bf16's memory.

    Raises ValueError for a matrix whose sides are no multiples of 16.
    """
    for index, block in enumerate(cast(Iterable[nn.Module], model.blocks)):
        for name in CHANGED:
            linear = block.get_submodule(name)
            assert isinstance(linear, nn.Linear)
            if linear.in_features % SIDE or linear.out_features % SIDE:
                size = f"{linear.out_features} x {linear.in_features}"
                raise ValueError(
                    f"arithmetic: fp8 takes matrices of multiples of {SIDE}, and this model's blocks.{index}.{name} is "
                    f"{size}; take 'plain'"
                )
            parent, _, own = name.rpartition(".")
            setattr(block.get_submodule(parent), own, Fp8Linear(linear))


class Fp8Linear(nn.Module):
    """A linear layer whose weights are e4m3, times scale.T; tokens are rounded as they come."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = rounded(linear.weight.detach())
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.scale = nn.Parameter(scale.T.contiguous(), requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        tokens, scale = rounded(x.flatten(0, -2))
        out = torch._scaled_mm(  # pyright: ignore[reportPrivateImportUsage]
            tokens,
            self.weight.T,
            scale_a=scale,
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return out.unflatten(0, x.shape[:-1])


def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (n d) in e4m3, as large as that goes, and a scale (n 1) float32 for each: x is about their product.

    Scales are powers of two, by which bf16 is divided exactly: no activation is widened on the way.
    """
    size = torch.linalg.vector_norm(x, torch.inf, dim=-1, keepdim=True).float()
    bits = (size.clamp(min=LEAST_SIZE) / LARGEST).view(torch.int32)
    scale = ((bits + MANTISSA) & EXPONENT).view(torch.float32)  # the next power of two
    return (x / scale.to(x.dtype)).to(E4M3), scale
