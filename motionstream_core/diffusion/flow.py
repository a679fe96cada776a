"""The algebra of rectified flow: z_sigma = (1 - sigma) z_0 + sigma z_1, velocity z_1 - z_0 (arXiv 2511.01266).

z_0 is clean, z_1 is noise. Latents are (b c f h w). `sigma` is a number, a 0-d tensor, (b,) or (b f), so that
latent frames of one clip may stand at different noise levels. Results are computed in float32 or better and come
back in the dtype of the first argument, so that a bf16 rollout rounds once.
"""

from __future__ import annotations

import torch
from torch import Tensor

Sigma = float | Tensor


def expand_sigma(sigma: Sigma, latents: Tensor) -> Sigma:
    """`sigma` in a shape that broadcasts over `latents` (b c f h w).

    A number or a 0-d tensor comes back as it is: it broadcasts already, from any device and without a copy.
    Raises ValueError when `sigma` is neither a scalar, (b,) nor (b f) of these latents.
    """
    if not isinstance(sigma, Tensor) or sigma.ndim == 0:
        return sigma
    per_clip, per_frame = tuple(latents.shape[:1]), (latents.shape[0], *latents.shape[2:3])
    if latents.ndim == 5 and tuple(sigma.shape) == per_clip:
        return sigma[:, None, None, None, None]
    if latents.ndim == 5 and tuple(sigma.shape) == per_frame:
        return sigma[:, None, :, None, None]
    raise ValueError(
        f"sigma has shape {tuple(sigma.shape)}; latents (b c f h w) of shape {tuple(latents.shape)} "
        "take a scalar, (b,) or (b f)"
    )


def add_noise(clean: Tensor, noise: Tensor, sigma: Sigma) -> Tensor:
    """Latents at noise level `sigma`: (1 - sigma) clean + sigma noise. Shapes (b c f h w)."""
    level = expand_sigma(sigma, clean)
    return ((1 - level) * _wide(clean) + level * _wide(noise)).to(clean.dtype)


def velocity_target(clean: Tensor, noise: Tensor) -> Tensor:
    """What the model learns to predict at every sigma: noise - clean. Shapes (b c f h w)."""
    return (_wide(noise) - _wide(clean)).to(clean.dtype)


def clean_from_velocity(noisy: Tensor, velocity: Tensor, sigma: Sigma) -> Tensor:
    """The clean latents that `velocity` at `noisy` points to: noisy - sigma velocity. Shapes (b c f h w)."""
    return (_wide(noisy) - expand_sigma(sigma, noisy) * _wide(velocity)).to(noisy.dtype)


def _wide(latents: Tensor) -> Tensor:
    return latents.to(torch.promote_types(latents.dtype, torch.float32))
