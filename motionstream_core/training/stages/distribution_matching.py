"""Distribution matching (arXiv 2405.14867; arXiv 2511.01266, Eq. 4): which way a generated clip should move.

Two score models see the clip at a random noise level: `real`, the frozen teacher under joint guidance, and `fake`, the
critic, which knows what the student makes now. The difference of what they take for the clean clip is the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...diffusion.flow import add_noise, clean_from_velocity
from ...diffusion.schedule import shift_sigmas
from ...models.conditioning import assemble
from ...streaming.rollout import pinned_input
from ...streaming.stream import guided_velocity
from ..data import Batch
from .conditions import Conditioned, conditions_of, text_embeddings


@dataclass(frozen=True)
class LevelRange:
    """Noise levels at which clips are judged.

    clamped: uniform in [0, 1], shifted, and then clamped to [low, high], as Self-Forcing does (model/dmd.py). False:
    uniform in [low, high] and then shifted.
    """

    low: float = 0.02
    high: float = 0.98
    clamped: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.high <= 1:
            raise ValueError(f"levels are judged in [{self.low}, {self.high}]; it must be 0 < low <= high <= 1")

    def draw(self, batch_size: int, shift: float, generator: torch.Generator) -> Tensor:
        """Levels (b)."""
        u = torch.rand(batch_size, generator=generator)
        if self.clamped:
            return shift_sigmas(u, shift).clamp(self.low, self.high)
        return shift_sigmas(self.low + (self.high - self.low) * u, shift)


@dataclass(frozen=True)
class Scores:
    """The two score models; text_weight, motion_weight: the joint guidance of the real one."""

    real: LoadedModel
    fake: LoadedModel
    text_weight: float
    motion_weight: float

    @torch.no_grad()
    def clean(self, noisy: Tensor, sigma: Tensor, batch: Batch, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(real, fake): the clean clips (b c f h w) that both see behind `noisy` at levels sigma (b)."""
        real = clean_from_velocity(noisy, self.guided(noisy, sigma, batch, ids), sigma)
        return real, clean_from_velocity(noisy, self._plain(noisy, sigma, batch, ids), sigma)

    def guided(self, noisy: Tensor, sigma: Tensor, batch: Batch, ids: Tensor) -> Tensor:
        """The real model's velocity (b c f h w) under joint guidance."""
        model, spec = self.real.model, self.real.spec
        conditioned = Conditioned.on_everything(len(batch.captions)).to(noisy.device)
        conditions = conditions_of(model, batch, ids, spec, conditioned)
        negative = model.prepare_context(text_embeddings(model, batch, ~conditioned.text), batch.image_tokens)
        return guided_velocity(self.real, conditions, negative, self.text_weight, self.motion_weight)(noisy, sigma)

    def _plain(self, noisy: Tensor, sigma: Tensor, batch: Batch, ids: Tensor) -> Tensor:
        model, spec = self.fake.model, self.fake.spec
        conditions = conditions_of(
            model, batch, ids, spec, Conditioned.on_everything(len(batch.captions)).to(noisy.device)
        )
        noisy, timestep = pinned_input(noisy, sigma, conditions.clean_first)
        return model(assemble(spec.layout, noisy, conditions), timestep, conditions.context)


def matching_loss(clip: Tensor, real: Tensor, fake: Tensor) -> Tensor:
    """A loss whose gradient in `clip` (b c f h w) is that of distribution matching, each clip's to its own scale.

    d loss / d clip = (fake - real) / mean |clip - real| / number of elements (arXiv 2405.14867; Self-Forcing
    model/dmd.py): the mean is over the clip, so that levels at which the teacher corrects much do not drown the others.
    """
    clip = clip.float()
    scale = (clip.detach() - real).abs().mean(dim=(1, 2, 3, 4), keepdim=True)
    gradient = (fake - real) / scale.clamp_min(1e-6)
    return 0.5 * F.mse_loss(clip, (clip - gradient).detach())


def distribution_loss(
    scores: Scores, clip: Tensor, batch: Batch, ids: Tensor, levels: LevelRange, generator: torch.Generator, first: int
) -> Tensor:
    """`matching_loss` of a generated clip at random levels; its latent frames before `first` are not judged."""
    spec = scores.real.spec
    sigma = levels.draw(clip.shape[0], spec.shift, generator).to(clip.device)
    noise = torch.randn(clip.shape, generator=generator).to(clip.device)
    noisy = add_noise(clip.detach().float(), noise, sigma)
    real, fake = scores.clean(noisy, sigma, batch, ids)
    return matching_loss(clip[:, :, first:], real[:, :, first:], fake[:, :, first:])
