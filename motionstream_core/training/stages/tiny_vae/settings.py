"""Settings of the stage tiny-vae, the paper's among them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ....geometry import VaeStride
from ...data.vae_clips import CropShape
from ...engine.engine import MicroBatches
from ...engine.loop import LoopPlan
from ...engine.optimizers import OptimizerSettings
from .discriminator import DiscriminatorConfig


@dataclass(frozen=True)
class TinyVaeTraining:
    """Knobs of the stage.

    trains: "both" halves, or the "decoder" on frozen latents. num_frames (1 + 4k) and crop_px (whole latent cells):
    size of every crop. warmup_steps, last_rate: the learning rate rises linearly, then falls linearly to this share.
    latent_noise: deviation of the noise that the decoder's latents are given. The loss is L1 and the other terms with
    their weights: mse; edge (L1 of the differences to the next pixel); scale (of the latents, "both" only); lpips;
    adversarial, from step `adversarial_start` on, its share rising over `adversarial_ramp` steps and relative to the
    reconstruction's gradient on the last layer. detail_weight: by how much more pixels beside an outline count in L1
    and mse. ema_decay: None saves the last weights instead of an average.
    level_weights: share of plain, patterned and textured clips of the procedural world.
    """

    trains: Literal["both", "decoder"] = "both"
    num_steps: int = 1600
    batch_size: int = 8
    micro_batch_size: int | None = None
    num_frames: int = 17
    crop_px: int = 64
    learning_rate: float = 7e-4
    warmup_steps: int = 100
    last_rate: float = 0.02
    weight_decay: float = 1e-4
    latent_noise: float = 0.08
    mse_weight: float = 2.0
    edge_weight: float = 0.5
    detail_weight: float = 0.0
    scale_weight: float = 0.02
    lpips_weight: float = 0.0
    adversarial_weight: float = 0.0
    adversarial_start: int = 0
    adversarial_ramp: int = 1000
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    discriminator_rate: float = 3e-4
    ema_decay: float | None = None
    level_weights: tuple[float, float, float] = (0.6, 0.3, 0.1)
    num_held_out: int = 12
    num_workers: int = 1
    log_every: int = 50
    save_every: int = 250
    seed: int = 1

    def __post_init__(self) -> None:
        if self.trains not in ("both", "decoder"):
            raise ValueError(f"trains is {self.trains!r}; known are 'both' and 'decoder'")
        names = (
            "latent_noise",
            "mse_weight",
            "edge_weight",
            "detail_weight",
            "scale_weight",
            "lpips_weight",
            "adversarial_weight",
        )
        negative = [name for name in names if getattr(self, name) < 0]
        if negative:
            raise ValueError(f"{', '.join(negative)} must not be negative")

    @property
    def crop(self) -> CropShape:
        """Size of every crop."""
        return CropShape(self.num_frames, self.crop_px)

    @property
    def plan(self) -> LoopPlan:
        """How long, and how often to save and to log."""
        return LoopPlan(self.num_steps, self.save_every, self.log_every)

    @property
    def batches(self) -> MicroBatches:
        """How a step's batch is cut."""
        return MicroBatches(self.batch_size, self.micro_batch_size)

    def optimizer(self, learning_rate: float) -> OptimizerSettings:
        """AdamW for the VAE and for the discriminator."""
        return OptimizerSettings("adamw", learning_rate, betas=(0.9, 0.99), weight_decay=self.weight_decay)

    def rate(self, train_step: int) -> float:
        """Share of the learning rate."""
        left = 1 - train_step / self.num_steps
        return min(1.0, (train_step + 1) / max(1, self.warmup_steps)) * max(self.last_rate, left)

    def adversarial_share(self, train_step: int) -> float:
        """Weight of the adversarial gradient at a step; 0 before its start."""
        since = train_step + 1 - self.adversarial_start
        return self.adversarial_weight * min(1.0, max(0, since) / max(1, self.adversarial_ramp))

    def check(self, stride: VaeStride) -> None:
        """Raises ValueError for crops that are not whole latent frames and cells."""
        stride.num_latent_frames(self.num_frames)
        if self.crop_px < stride.space or self.crop_px % stride.space:
            raise ValueError(f"crop_px is {self.crop_px}; it must be a multiple of {stride.space}")


# Steps, rate, batch and crop are the paper's; the weights of the losses, which it does not give, are ours.
PAPER_DECODER = TinyVaeTraining(
    trains="decoder",
    num_steps=200_000,
    batch_size=16,
    num_frames=21,
    crop_px=144,
    learning_rate=3e-4,
    warmup_steps=1000,
    last_rate=1.0,
    weight_decay=0.0,
    latent_noise=0.0,
    mse_weight=1.0,
    edge_weight=0.0,
    lpips_weight=1.0,
    adversarial_weight=0.1,
    adversarial_start=20_000,
    adversarial_ramp=2000,
    ema_decay=0.999,
    num_held_out=32,
    num_workers=8,
    log_every=100,
    save_every=2000,
)
# The bundled VAE once both halves are made wider: outlines count more than before, in a larger view. No LPIPS, since
# the demo's world is not what VGG was trained on.
BUNDLED_WIDE = TinyVaeTraining(
    num_steps=1500,
    batch_size=4,
    crop_px=96,
    learning_rate=4e-4,
    warmup_steps=80,
    last_rate=0.01,
    latent_noise=0.05,
    detail_weight=3.0,
    ema_decay=0.995,
    level_weights=(0.7, 0.2, 0.1),
    save_every=100,
    seed=3,
)
# The VAE for photos, on dead leaves; latents are left the scale of their start, which the components' own is.
PHOTO = TinyVaeTraining(
    num_steps=12_000,
    batch_size=4,
    num_frames=9,
    crop_px=96,
    learning_rate=5e-4,
    warmup_steps=50,
    last_rate=0.01,
    latent_noise=0.05,
    edge_weight=0.5,
    scale_weight=0.002,
    ema_decay=0.998,
    num_held_out=8,
    log_every=100,
    save_every=200,
    seed=11,
)
