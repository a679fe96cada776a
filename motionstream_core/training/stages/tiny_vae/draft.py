"""The tiny VAE's linear draft: ridge regression of the encoder's latents on pixels, in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from ....models.vae.tiny_vae import Draft, TinyVae

RIDGE = 0.1
"""Added to the diagonal: of a sum over some ten thousand cells."""


@torch.no_grad()
def with_draft(vae: TinyVae, clips: Iterable[Tensor]) -> TinyVae:
    """The VAE with a draft that is fitted to its encoder on clips (b 3 1+4k h w) in [0, 1]; what it had is replaced."""
    drafted = TinyVae(replace(vae.config, draft=True)).to(next(vae.parameters()))
    drafted.load_state_dict(vae.state_dict() | {f"draft.{k}": v for k, v in _fitted(vae, clips).state_dict().items()})
    return drafted.eval()


def _fitted(vae: TinyVae, clips: Iterable[Tensor]) -> Draft:
    draft = Draft(vae.config.stride, vae.config.latent_channels)
    products = targets = torch.zeros((), dtype=torch.float64)
    for clip in clips:
        seen = _seen(draft, clip[:, :, 1:])
        latents = vae.encode(clip)[:, :, 1:]
        wanted = latents.permute(2, 0, 3, 4, 1).flatten(0, 3).double().cpu()
        products, targets = products + seen.T @ seen, targets + seen.T @ wanted
    solved = torch.linalg.solve(products + RIDGE * torch.eye(len(products), dtype=torch.float64), targets).float().T
    inside, around, bias = solved.split([draft.inside.in_channels, 9 * draft.around.in_channels, 1], dim=1)
    draft.inside.weight.copy_(inside[..., None, None])
    draft.around.weight.copy_(around.unflatten(1, (draft.around.in_channels, 3, 3)))
    assert draft.inside.bias is not None
    draft.inside.bias.copy_(bias[:, 0])
    return draft


def _seen(draft: Draft, frames: Tensor) -> Tensor:
    """All that the draft sees of every cell, and 1: (cells features), in float64 on the CPU."""
    inside, around = draft.features(frames)
    neighbours = torch.nn.functional.unfold(around, 3)  # (f b) 9c cells
    cells = inside.flatten(2)
    both = torch.cat([cells, neighbours, torch.ones_like(cells[:, :1])], dim=1)
    return both.permute(0, 2, 1).flatten(0, 1).double().cpu()
