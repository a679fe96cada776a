"""PatchGAN: a discriminator that judges small patches of a video, and what a decoder learns from it.

Every output value judges one patch, so the discriminator sees texture and edges and never whether a scene makes sense
(Isola et al., arXiv 1611.07004). The hinge loss and the spectral norm keep its slope bounded (Miyato et al., arXiv
1802.05957). How loud it may be against the reconstruction is set where both meet, at the decoder's last layer (Esser
et al., arXiv 2012.09841, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

from ....models.vae.wan_vae import IMAGE_CHANNELS

ADAPTIVE_LIMIT = 1e4
MAX_WIDENING = 8
START_ITERATIONS = 15


@dataclass(frozen=True)
class DiscriminatorConfig:
    """Shape of a `PatchDiscriminator`.

    width: channels after the first layer; they double with every halving, up to 8 times.
    num_halvings: of height and width; a patch is 7, 16, 34, 70 px wide for 0, 1, 2, 3.
    time_kernel: frames that every layer sees at once. 1 judges each frame alone, 3 also what moves.

    Raises ValueError for a width or number of halvings below 1 and for an even time kernel.
    """

    width: int = 64
    num_halvings: int = 3
    time_kernel: int = 3

    def __post_init__(self) -> None:
        if self.width < 1 or self.num_halvings < 1:
            raise ValueError(f"width {self.width} and num_halvings {self.num_halvings} must be at least 1")
        if self.time_kernel < 1 or self.time_kernel % 2 == 0:
            raise ValueError(f"time_kernel is {self.time_kernel}; it must be odd: 1, 3, ...")


class PatchDiscriminator(nn.Module):
    """Frames (b 3 t h w) in [0, 1] to one score per patch and frame (b 1 t h' w'): high is real."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        self.config = config
        widths = [min(2**level, MAX_WIDENING) * config.width for level in range(config.num_halvings + 1)]
        strides = [2] * config.num_halvings + [1]
        convolutions = [
            SpectralConv(before, width, config.time_kernel, stride)
            for before, width, stride in zip([IMAGE_CHANNELS, *widths[:-1]], widths, strides, strict=True)
        ]
        self.convolutions = nn.ModuleList([*convolutions, SpectralConv(widths[-1], 1, config.time_kernel, 1)])

    def forward(self, frames: Tensor, refine: bool = False) -> Tensor:
        """refine: also sharpen the estimates of the layers' norms; without it a call changes nothing."""
        x = frames * 2 - 1
        for index, convolution in enumerate(self.convolutions):
            x = convolution(F.leaky_relu(x, 0.2) if index else x, refine)
        return x


class SpectralConv(nn.Module):
    """A convolution over (t h w), 4 x 4 in space, whose weight as a matrix (out, in * kernel) has the norm 1.

    The norm is the power iteration's estimate. PyTorch's own parametrisation moves its estimate with every call in
    training mode; here the caller says when, so that neither micro-batches nor ranks change it.
    """

    left: Tensor

    def __init__(self, in_channels: int, out_channels: int, time_kernel: int, stride: int) -> None:
        super().__init__()
        self.stride, self.padding = (1, stride, stride), (time_kernel // 2, 1, 1)
        conv = nn.Conv3d(in_channels, out_channels, (time_kernel, 4, 4))
        self.weight, self.bias = conv.weight, conv.bias
        self.register_buffer("left", F.normalize(torch.randn(out_channels), dim=0))
        for _ in range(START_ITERATIONS):
            self.left.copy_(self._singular_vectors()[0])

    def forward(self, x: Tensor, refine: bool) -> Tensor:
        left, right = self._singular_vectors()
        if refine:
            self.left.copy_(left)
        norm = left @ self.weight.flatten(1) @ right  # of the weight alone does it carry gradient
        return F.conv3d(x, self.weight / norm, self.bias, self.stride, self.padding)

    @torch.no_grad()
    def _singular_vectors(self) -> tuple[Tensor, Tensor]:
        """The first pair (out), (in * kernel), one iteration after the stored one."""
        matrix = self.weight.flatten(1)
        right = F.normalize(self.left @ matrix, dim=0)
        return F.normalize(matrix @ right, dim=0), right


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss on the scores of real and of decoded frames: 2 where nothing is told apart, 0 at a margin of 1."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def adversarial_loss(fake: Tensor) -> Tensor:
    """What the decoder lowers: minus the mean score of its frames."""
    return -fake.mean()


def adaptive_weight(layer: nn.Conv2d, layer_input: Tensor, towards_target: Tensor, towards_real: Tensor) -> Tensor:
    """Factor that makes the adversarial gradient as long as the reconstruction's, on the weights of `layer`.

    layer: a convolution of stride 1 that keeps the size. layer_input: (n c h w), what it was given. towards_target,
    towards_real: the two losses' gradients with respect to its output (n c' h w). The gradients of the weights follow
    from these by one convolution each, so nothing is asked of the graph and the layer may be sharded. A scalar in
    [0, 1e4].
    """
    padding = layer.kernel_size[0] // 2
    target, real = (
        conv2d_weight(layer_input.detach().float(), layer.weight.shape, gradient.float(), padding=padding).norm()
        for gradient in (towards_target, towards_real)
    )
    return (target / (real + 1e-6)).clamp(0, ADAPTIVE_LIMIT)
