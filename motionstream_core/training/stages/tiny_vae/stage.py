"""Stage tiny-vae: a decoder on a frozen VAE's latents, or encoder and decoder together.

The paper's (arXiv 2511.01266) trains taehv's decoder on the latents of Wan's VAE with pixel, perceptual and adversarial
losses: `PAPER_DECODER`. The bundled model trains both halves on the procedural world, under a light penalty that draws
every latent channel to zero mean and unit deviation, the scale at which the DiT works (batch-normalising the latents
instead takes away what a batch of few scenes has in common, its brightness: docs/log.md), then both of them wider.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ....evaluation.perceptual import Lpips, load_lpips
from ....models.vae.tiny_vae import TinyVae
from ....models.vae.wan_vae import WanVae
from ....world.leaves import leaves_picture
from ...data.vae_clips import ClipSource, VideoCrops, WorldCrops, held_out_frames
from ...data.video_scan import hold_out, scan_videos
from ...engine.engine import Engine, Part
from ...engine.log import Log
from ...engine.loop import train_loop
from .discriminator import PatchDiscriminator
from .settings import BUNDLED_WIDE, PAPER_DECODER, TinyVaeTraining
from .start import (
    BUNDLED_VAE,
    WIDE_DECODER,
    WIDE_ENCODER,
    initialise_color_path,
    widen,
)
from .step import FrozenEncoder, TinyVaeStep

__all__ = [
    "BUNDLED_VAE",
    "BUNDLED_WIDE",
    "PAPER_DECODER",
    "TinyVaeTraining",
    "train_tiny_vae",
    "train_video_decoder",
    "train_world_vae",
]

OnSave = Callable[[TinyVae, int], None]


def train_world_vae(
    narrow: TinyVaeTraining,
    wide: TinyVaeTraining | None,
    engine: Engine,
    folder: Path,
    log: Log,
    on_save: OnSave | None = None,
) -> TinyVae:
    """The bundled VAE from nothing: both halves on the procedural world, then, if asked, made wider.

    State lives in `folder`; a training that was stopped goes on. on_save: as of `train_tiny_vae`, in the last training.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(narrow.seed)
        vae = TinyVae(BUNDLED_VAE)
        initialise_color_path(vae)
    vae = train_tiny_vae(narrow, engine, vae, _world(narrow), folder, log, on_save=None if wide else on_save)
    if wide is None:
        return vae
    vae = widen(vae, WIDE_DECODER, WIDE_ENCODER, seed=wide.seed)
    return train_tiny_vae(wide, engine, vae, _world(wide), folder, log, on_save=on_save, name="tiny-vae-wide")


def leaf_patches(patch_size: int, seed: int, num_pictures: int = 100, size_px: int = 128) -> Tensor:
    """Patches (n d) of pictures of dead leaves, as `initialise_components` takes them."""
    rng = np.random.default_rng((seed, 2))
    pictures = np.stack([leaves_picture(rng, size_px, size_px) for _ in range(num_pictures)])
    cells = F.pixel_unshuffle(torch.from_numpy(pictures).permute(0, 3, 1, 2), patch_size)
    return cells.permute(0, 2, 3, 1).flatten(0, 2)


def train_video_decoder(
    training: TinyVaeTraining,
    engine: Engine,
    vae: TinyVae,
    teacher: WanVae | TinyVae,
    videos: Path,
    folder: Path,
    log: Log,
    fps: float = 16.0,
    vgg: Path | None = None,
    on_save: OnSave | None = None,
) -> TinyVae:
    """Train the decoder of `vae` on the latents that `teacher` makes of crops of all videos below a folder.

    One video in fifty is held out. vgg: LPIPS's file, see `perceptual.load_lpips`; asked for where `lpips_weight` is
    not 0. Which videos are skipped is noted in the log. Raises as `scan_videos`, `hold_out`, `load_lpips` and
    `train_tiny_vae` do.
    """
    lpips = load_lpips(vgg) if training.lpips_weight else None
    scan = scan_videos(videos, training.crop_px, (training.num_frames - 1) / fps)
    if engine.is_main:
        log.note(scan.report())
    source, held_out = (VideoCrops(part, training.crop, fps, training.seed) for part in hold_out(scan.videos))
    teacher = teacher.to(engine.device).eval().requires_grad_(False)
    return train_tiny_vae(training, engine, vae, source, folder, log, teacher.encode, held_out, lpips, on_save)


def train_tiny_vae(
    training: TinyVaeTraining,
    engine: Engine,
    vae: TinyVae,
    source: ClipSource,
    folder: Path,
    log: Log,
    encode: FrozenEncoder | None = None,
    held_out: ClipSource | None = None,
    lpips: Lpips | None = None,
    on_save: OnSave | None = None,
    name: str | None = None,
) -> TinyVae:
    """Train `vae`, or go on training it, and return it on the CPU: its average where `ema_decay` says so.

    source: clips of `training.crop`. encode: the frozen encoder on the engine's device, when the decoder alone is
    trained; None is the encoder of `vae` itself. held_out: source of the
    clips to judge by, under numbers that are never trained on; None is `source`. lpips: on any device.
    on_save: (what would be returned now, steps done) at every checkpoint, on rank 0.
    State lives in `<folder>/<name>.state`; name is `tiny-vae` or `tiny-vae-decoder` where it is not given. Raises
    ValueError for settings that do not fit each other or the VAE, TrainingDiverged when a loss is no longer finite.
    """
    vae = copy.deepcopy(vae).train().requires_grad_(True)
    _check(training, vae, encode, lpips)
    if engine.compute.shard:  # both networks are small; every rank keeps them whole
        engine = Engine(replace(engine.compute, shard=False))
    if training.trains == "decoder":
        vae.encoder.requires_grad_(False)
    vae = vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    part = engine.part("tiny_vae", vae, training.optimizer(training.learning_rate), training.ema_decay)
    judge = _judge(training, engine)
    step = TinyVaeStep(
        engine,
        training,
        part,
        judge,
        source,
        encode or vae.encode,
        engine.frozen(lpips) if lpips is not None and training.lpips_weight else None,
    )
    quality = _Quality(training, engine, part, held_out or source, encode)

    def measured_step(train_step: int) -> dict[str, float]:
        figures = step(train_step)
        return figures | quality.psnr_db() if training.plan.due(train_step + 1, training.log_every) else figures

    name = name or ("tiny-vae" if training.trains == "both" else "tiny-vae-decoder")
    parts = [part] if judge is None else [part, judge]

    def saved(train_step: int) -> None:
        if on_save is not None and engine.is_main:
            on_save(finished(part), train_step)

    train_loop(engine, name, parts, measured_step, training.plan, folder, log, saved)
    return finished(part)


def finished(part: Part) -> TinyVae:
    """A copy of a VAE in training, on the CPU, in eval mode: its average where one is kept."""
    assert isinstance(part.model, TinyVae)
    vae = TinyVae(part.model.config)
    vae.load_state_dict(part.ema.weights if part.ema is not None else part.model.state_dict())
    return vae.eval().requires_grad_(False)


class _Quality:
    """PSNR of clips that are never trained on."""

    def __init__(
        self, training: TinyVaeTraining, engine: Engine, part: Part, source: ClipSource, encode: FrozenEncoder | None
    ) -> None:
        self.training, self.engine, self.part, self.source, self.encode = training, engine, part, source, encode
        self._frames: Tensor | None = None

    @torch.no_grad()
    def psnr_db(self) -> dict[str, float]:
        """As a number for the log; measured on the VAE that would be saved now, by rank 0."""
        if not self.engine.is_main:
            return {}
        if self._frames is None:
            self._frames = held_out_frames(self.source, self.training.num_held_out)
        vae = finished(self.part).to(self.engine.device)
        errors = []
        for frames in self._frames.split(1):
            frames = frames.to(self.engine.device)
            with self.engine.autocast():
                output = vae.decode((self.encode or vae.encode)(frames)).float()
            errors.append(F.mse_loss(output, frames))
        return {"psnr_db": -10 * torch.stack(errors).mean().log10().item()}


def _check(training: TinyVaeTraining, vae: TinyVae, encode: FrozenEncoder | None, lpips: Lpips | None) -> None:
    training.check(vae.config.stride)
    if training.trains == "both" and encode is not None:
        raise ValueError("a frozen encoder was given, but the settings train both halves; set trains='decoder'")
    if training.lpips_weight and lpips is None:
        raise ValueError(
            f"lpips_weight is {training.lpips_weight}, but no LPIPS was given; load it with perceptual.load_lpips, "
            "or set lpips_weight=0"
        )


def _judge(training: TinyVaeTraining, engine: Engine) -> Part | None:
    if not training.adversarial_weight:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(training.seed)
        model = PatchDiscriminator(training.discriminator)
    return engine.part("discriminator", model, training.optimizer(training.discriminator_rate))


def _world(training: TinyVaeTraining) -> WorldCrops:
    return WorldCrops(training.crop, training.level_weights, training.seed)
