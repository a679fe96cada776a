"""A Wan transformer with a track head: `track_head.*` stands beside the original Wan names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .conditioning import InputLayout
from .memory import Memory
from .track_head import TrackHead, TrackHeadConfig
from .wan import CrossContext, WanConfig, WanModel
from .word_encoder import WordEncoder


@dataclass(frozen=True)
class ImageSkip:
    """The image slot as a first guess of the clean latents, about which they deviate by `deviation`.

    What the blocks make is then added to the velocity that is right for a clean latent drawn about the guess: a skip
    as in EDM (Karras et al., arXiv 2206.00364, section 5), with a guess other than zero.
    """

    noise: slice
    image: slice
    deviation: float

    @classmethod
    def of(cls, layout: InputLayout, deviation: float) -> ImageSkip:
        """Where `layout` has noise and image."""
        return cls(layout.span("noise"), layout.span("image"), deviation)

    def velocity(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """E[noise - clean | noisy] for clean latents that are normal about the image slot; float32.

        latents: the model's input (b c f h w). timestep: (b) or (b f).
        """
        noisy, guess = latents[:, self.noise].float(), latents[:, self.image].float()
        steps = timestep[:, None] if timestep.ndim == 1 else timestep
        sigma = (steps.float() / 1000)[:, None, :, None, None]
        kept, variance = 1 - sigma, self.deviation**2
        about = noisy - kept * guess
        return about * (sigma - kept * variance) / (kept**2 * variance + sigma**2) - guess


class TrackWan(WanModel):
    """WanModel with, where the checkpoint has them, a track head, the bundled text encoder and an image skip."""

    track_head: TrackHead | None
    text_encoder: WordEncoder | None

    def __init__(
        self,
        config: WanConfig,
        track_head: TrackHeadConfig | None = None,
        vocabulary: tuple[str, ...] = (),
        ops: Any = nn,
        image_skip: ImageSkip | None = None,
    ) -> None:
        super().__init__(config, ops)
        self.track_head = TrackHead(track_head, ops) if track_head else None
        self.text_encoder = WordEncoder(vocabulary, config.text_dim, config.text_len) if vocabulary else None
        self.image_skip = image_skip

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        context: CrossContext,
        memory: Memory | None = None,
        keys_only: bool = False,
    ) -> Tensor:
        """See `WanModel.forward`."""
        velocity = super().forward(latents, timestep, context, memory, keys_only)
        if self.image_skip is None or keys_only:
            return velocity
        return (velocity + self.image_skip.velocity(latents, timestep)).to(velocity.dtype)
