"""One step of the stage tiny-vae: the VAE on its losses, and its discriminator on what the VAE has just decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ....evaluation.perceptual import Lpips
from ....models.vae.tiny_vae import TinyVae
from ...data.vae_clips import ClipSource, VaeClip, clip_batches
from ...engine.engine import Engine, Part
from .discriminator import PatchDiscriminator, adaptive_weight, adversarial_loss, discriminator_loss
from .settings import TinyVaeTraining

FrozenEncoder = Callable[[Tensor], Tensor]  # frames (b 3 t h w) in [0, 1] -> latents (b c f h w)

FULL_DETAIL = 0.1  # step between neighbouring pixels, of 1, from which on the whole weight counts


def reconstruction_loss(output: Tensor, target: Tensor, training: TinyVaeTraining) -> Tensor:
    """L1 and squared error of pixels, and L1 of their differences to the next pixel in x and y: edges count."""
    difference = output - target
    error = difference.abs() + training.mse_weight * difference.square()
    if training.detail_weight:
        error = error * detail_map(target, training.detail_weight)
    loss = error.mean()
    if training.edge_weight:
        for dim in (-1, -2):
            loss = loss + training.edge_weight * difference.diff(dim=dim).abs().mean()
    return loss


@torch.no_grad()
def detail_map(target: Tensor, weight: float) -> Tensor:
    """Weights (b 1 t h w) of mean 1: 1 + `weight` within 2 px of a step in the target, relative to 1 where it is flat.

    Most of a scene is smooth background, which is soon right; the outlines of small objects drown in it.
    """
    down = F.pad(target.diff(dim=-2), (0, 0, 0, 1)).abs()
    right = F.pad(target.diff(dim=-1), (0, 1)).abs()
    step = (down + right).amax(1, keepdim=True)
    near = F.max_pool3d(step, (1, 5, 5), stride=1, padding=(0, 2, 2))
    weights = 1 + weight * (near / FULL_DETAIL).clamp(max=1)
    return weights / weights.mean()


def scale_penalty(latents: Tensor) -> Tensor:
    """Squared distance of each channel's mean from 0 and deviation from 1, over a batch (b c f h w)."""
    deviation, mean = torch.std_mean(latents, dim=(0, 2, 3, 4))
    return (mean.square() + (deviation - 1).square()).mean()


def latent_noise(shape: torch.Size, clips: tuple[int, ...], seed: int) -> Tensor:
    """Unit noise (b c f h w) on the CPU that belongs to the numbers of the clips, however they are batched."""
    generator = torch.Generator()
    drawn = []
    for clip in clips:
        generator.manual_seed(int(np.random.SeedSequence((seed, 2, clip)).generate_state(1, np.uint64)[0] >> 1))
        drawn.append(torch.randn(shape[1:], generator=generator))
    return torch.stack(drawn)


class TinyVaeStep:
    """Called with train_step, it trains `vae` and, once it has a say, `discriminator` by one step each.

    encode: the frozen encoder where the decoder alone is trained. Decoder and
    discriminator see the same clips; the discriminator, what was decoded before the decoder's step.
    """

    def __init__(
        self,
        engine: Engine,
        training: TinyVaeTraining,
        vae: Part,
        discriminator: Part | None,
        source: ClipSource,
        encode: FrozenEncoder,
        lpips: Lpips | None,
    ) -> None:
        assert isinstance(vae.model, TinyVae)
        self.engine, self.training = engine, training
        self.vae, self.discriminator = vae, discriminator
        self.model: TinyVae = vae.model
        self.encode, self.lpips = encode, lpips
        self._feed = _Feed(engine, training, source)
        self._decoded: dict[int, tuple[Tensor, Tensor]] = {}
        self._seen: dict[str, list[float]] = {}

    def __call__(self, train_step: int) -> dict[str, float]:
        """Losses of this step; those beside `loss` and the gradients' lengths are of this rank's clips alone."""
        batches, context = self.training.batches, f"tiny-vae step {train_step}"
        self._seen.clear()
        self._decoded.clear()
        share = self.training.adversarial_share(train_step)

        def vae_loss(micro_index: int, micro_size: int) -> Tensor:
            return self._vae_loss(self._feed.take(train_step, micro_index), micro_index, share)

        figures = self.engine.accumulate(self.vae, batches, vae_loss, self.training.rate(train_step), context)
        if share > 0:
            assert self.discriminator is not None
            judged = self.engine.accumulate(
                self.discriminator, batches, self._judge_loss, context=f"{context}, discriminator"
            )
            figures |= {"judge_loss": judged["loss"], "judge_norm": judged["grad_norm"]}
        return figures | {name: sum(values) / len(values) for name, values in self._seen.items()}

    def _vae_loss(self, clip: VaeClip, micro_index: int, share: float) -> Tensor:
        frames = clip.frames
        latents, penalty = self._latents(clip)
        noise = self.training.latent_noise
        if noise:
            latents = latents + noise * latent_noise(latents.shape, clip.index, self.training.seed).to(latents.device)
        last = self.model.decoder[-1]
        assert isinstance(last, nn.Conv2d)
        with _watched(last) as passed:
            output = self.model.decode(latents, clamp=False).float()
        if output.shape != frames.shape:
            raise ValueError(
                f"latents {tuple(latents.shape)} of frames {tuple(frames.shape)} are decoded to {tuple(output.shape)}: "
                "the encoder's strides must be those of the decoder"
            )
        shown = output.detach().requires_grad_()
        loss = self._reconstruction(shown, frames)
        (gradient,) = torch.autograd.grad(loss, shown)
        if share > 0:
            self._decoded[micro_index] = frames, output.detach()
            verdict = adversarial_loss(self._judge(shown))
            (towards_real,) = torch.autograd.grad(verdict, shown)
            inputs, outputs = passed[0]
            at_layer = [
                torch.autograd.grad(output, outputs, each, retain_graph=True)[0] for each in (gradient, towards_real)
            ]
            factor = share * adaptive_weight(last, inputs, *at_layer)
            gradient = gradient + factor * towards_real
            self._note(adversarial=verdict, adversarial_factor=factor)
        # Its value is 0. The losses' graphs end at `shown`, and their gradient enters the decoder here, in one pass.
        handed_on = ((output - output.detach()) * gradient).sum()
        return loss.detach() + handed_on + penalty

    def _latents(self, clip: VaeClip) -> tuple[Tensor, Tensor | float]:
        """Latents to decode, float32, and the penalty on their scale."""
        if self.training.trains == "both":
            latents = self.model.encode(clip.frames).float()
            return latents, self.training.scale_weight * scale_penalty(latents)
        with torch.no_grad():
            return self.encode(clip.frames).float(), 0.0

    def _reconstruction(self, output: Tensor, target: Tensor) -> Tensor:
        loss = reconstruction_loss(output, target, self.training)
        self._note(mse=F.mse_loss(output, target))
        if self.lpips is not None:
            distance = self.lpips(output, target).mean()
            self._note(lpips=distance)
            loss = loss + self.training.lpips_weight * distance
        return loss

    def _judge(self, frames: Tensor, refine: bool = False) -> Tensor:
        assert self.discriminator is not None
        model = self.discriminator.model
        assert isinstance(model, PatchDiscriminator)
        return model(frames, refine).float()

    def _judge_loss(self, micro_index: int, micro_size: int) -> Tensor:
        frames, output = self._decoded[micro_index]
        # once a step on every rank, so that the estimates do not depend on how the batch is cut
        real = self._judge(frames, refine=micro_index == min(self._decoded))
        return discriminator_loss(real, self._judge(output))

    def _note(self, **values: Tensor) -> None:
        for name, value in values.items():
            self._seen.setdefault(name, []).append(value.item())


class _Feed:
    """This rank's micro-batches in the order in which they are asked for, prepared ahead."""

    def __init__(self, engine: Engine, training: TinyVaeTraining, source: ClipSource) -> None:
        self.engine, self.training, self.source = engine, training, source
        self._batches: Iterator[tuple[int, int, VaeClip]] | None = None

    def take(self, train_step: int, micro_index: int) -> VaeClip:
        """Clips of a micro-batch, on the engine's device."""
        if self._batches is None:
            size, mine, _ = self.training.batches.share(self.engine.rank, self.engine.num_ranks)
            self._batches = clip_batches(
                self.source, self.training.batch_size, size, mine, train_step, self.training.num_workers
            )
        step, micro, clip = next(self._batches)
        assert (step, micro) == (train_step, micro_index), "micro-batches are taken in order"
        return clip.to(self.engine.device)


@contextmanager
def _watched(layer: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collects what goes into a layer and what comes out of it."""
    passed: list[tuple[Tensor, Tensor]] = []

    def watch(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        passed.append((inputs[0], output))

    handle = layer.register_forward_hook(watch)
    try:
        yield passed
    finally:
        handle.remove()
