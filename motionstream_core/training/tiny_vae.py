"""Stage tiny-vae: encoder and decoder of the bundled model, trained together on the procedural world.

A light penalty draws every latent channel to zero mean and unit deviation, the scale at which the DiT works, so the
decoder takes the DiT's latents as they are. (Batch-normalising the latents instead takes away what a batch of few
scenes has in common, its brightness: docs/log.md.) The decoder sees latents with a little noise, as a generator's are
never exact.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ..models.tiny_vae import Grow, MemBlock, TimePool, TinyVae, TinyVaeConfig
from ..world import LEVELS, render, sample_motion, sample_scene
from .log import Log
from .state import load_state, save_state


@dataclass(frozen=True)
class TinyVaeTraining:
    """Knobs of the stage. `level_weights`: share of plain, patterned and textured clips."""

    num_steps: int = 1600
    batch_size: int = 8
    num_frames: int = 17
    crop_px: int = 64
    learning_rate: float = 7e-4
    latent_noise: float = 0.08
    level_weights: tuple[float, float, float] = (0.6, 0.3, 0.1)
    seed: int = 1


BUNDLED_VAE = TinyVaeConfig(
    latent_channels=16,
    patch_size=2,
    decoder_widths=(96, 64, 32, 32),
    encoder_width=32,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(True, True, False),
)


HELD_OUT_SEED = 1 << 30
COLOR_DEVIATION = 0.2  # of mean colours about mid-grey in the world


class WorldCrops(IterableDataset):
    """Endless crops (3 t h w) in [0, 1] of procedural clips; every worker draws other seeds."""

    def __init__(self, training: TinyVaeTraining, first_seed: int) -> None:
        self.training = training
        self.first_seed = first_seed

    def __iter__(self) -> Iterator[Tensor]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        names = list(LEVELS)
        for index in itertools.count(offset, stride):
            rng = np.random.default_rng((self.training.seed, self.first_seed + index))
            level = LEVELS[str(rng.choice(names, p=self.training.level_weights))]
            scene = sample_scene(rng, level)
            frames = render(scene, sample_motion(rng, scene, level, 49)).frames
            for _ in range(3):
                t = int(rng.integers(0, len(frames) - self.training.num_frames + 1))
                y, x = rng.integers(0, frames.shape[1] - self.training.crop_px + 1, 2)
                crop = frames[t : t + self.training.num_frames, y:, x:][
                    :, : self.training.crop_px, : self.training.crop_px
                ]
                yield torch.from_numpy(np.ascontiguousarray(crop)).permute(3, 0, 1, 2).float() / 255


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 on pixels and on their differences to the next pixel in x and y: edges count."""
    loss = F.l1_loss(output, target) + 2 * F.mse_loss(output, target)
    for dim in (-1, -2):
        loss = loss + 0.5 * F.l1_loss(output.diff(dim=dim), target.diff(dim=dim))
    return loss


@torch.no_grad()
def held_out_psnr(vae: TinyVae, frames: Tensor) -> float:
    """PSNR in dB of crops (b 3 t h w) that are never trained on."""
    return -10 * torch.log10(F.mse_loss(vae.decode(vae.encode(frames)), frames)).item()


def scale_penalty(latents: Tensor) -> Tensor:
    """Squared distance of each channel's mean from 0 and deviation from 1, over a batch (b c f h w)."""
    deviation, mean = torch.std_mean(latents, dim=(0, 2, 3, 4))
    return (mean.square() + (deviation - 1).square()).mean()


@torch.no_grad()
def initialise_color_path(vae: TinyVae) -> None:
    """Start as a VAE of mean colours: latents 0..2 carry red, green and blue through otherwise random layers.

    From a plain random start nothing passes the bottleneck and the first minutes are spent on predicting grey
    (docs/log.md). Memory blocks start as the identity.
    """
    area = vae.config.patch_size**2
    for layer in (*vae.encoder, *vae.decoder):
        if isinstance(layer, MemBlock):
            nn.init.zeros_(layer.conv[4].weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.conv[4].bias)  # type: ignore[arg-type]
        elif isinstance(layer, TimePool):
            layer.conv.weight[:3] = 0
            for color in range(3):
                layer.conv.weight[color, color :: layer.conv.out_channels] = 1 / layer.stride
        elif isinstance(layer, Grow):
            width = layer.conv.in_channels
            for row in range(layer.time_stride * width):
                if row % width < 6:
                    layer.conv.weight[row] = 0
                    layer.conv.weight[row, row % width] = 1
    encoder_convs = [layer for layer in vae.encoder if isinstance(layer, nn.Conv2d)]
    decoder_convs = [layer for layer in vae.decoder if isinstance(layer, nn.Conv2d)]
    for index, conv in enumerate(encoder_convs):
        conv.weight[:3] = 0
        if conv.bias is not None:
            conv.bias[:3] = 0
        for color in range(3):
            source = slice(color * area, (color + 1) * area) if index == 0 else color
            tap = (slice(1, 3), slice(1, 3)) if conv.stride[0] == 2 else (1, 1)
            conv.weight[(color, source, *tap)] = 1 / area if index == 0 else 1 / conv.stride[0] ** 2
    out = encoder_convs[-1]
    assert out.bias is not None
    out.weight[:3] /= COLOR_DEVIATION
    out.bias[:3] = -0.5 / COLOR_DEVIATION
    out.weight[3:] *= 4  # the random rest starts at about unit deviation too
    for index, conv in enumerate(decoder_convs[:-1]):
        conv.weight[:6] = 0
        if conv.bias is not None:
            conv.bias[:6] = 0
        for color in range(3):  # above the mean in one channel, below it in another: ReLU passes both
            conv.weight[color, color, 1, 1] = 1
            conv.weight[3 + color, color if index == 0 else 3 + color, 1, 1] = -1 if index == 0 else 1
    last = decoder_convs[-1]
    assert last.bias is not None
    last.weight.mul_(0.1)
    last.bias.fill_(0.5)
    for row in range(3 * area):
        last.weight[row, :6] = 0
        last.weight[row, row // area, 1, 1], last.weight[row, 3 + row // area, 1, 1] = COLOR_DEVIATION, -COLOR_DEVIATION


def train_tiny_vae(training: TinyVaeTraining, folder: Path, device: torch.device, log: Log) -> TinyVae:
    """Train, or go on training, and return the VAE. State lives in `folder`."""
    torch.manual_seed(training.seed)
    vae = TinyVae(BUNDLED_VAE).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    initialise_color_path(vae)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=training.learning_rate, betas=(0.9, 0.98), weight_decay=1e-4)
    state_path = folder / "tiny_vae.state.pt"
    step = 0
    if state := load_state(state_path):
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    crops = WorldCrops(training, first_seed=step * training.batch_size)
    loader = iter(DataLoader(crops, batch_size=training.batch_size, num_workers=1, prefetch_factor=4))
    held_out = torch.stack(list(itertools.islice(WorldCrops(training, first_seed=HELD_OUT_SEED), 12))).to(device)
    running = None
    vae.train()
    started = time.monotonic()
    while step < training.num_steps:
        warmup, left = min(1.0, (step + 1) / 100), 1 - step / training.num_steps
        for group in optimizer.param_groups:
            group["lr"] = training.learning_rate * warmup * max(0.02, left)
        frames = next(loader).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            latents = vae.encode(frames).float()
            noisy = latents + training.latent_noise * torch.randn_like(latents)
            output = vae.decode(noisy, clamp=False).float()
            loss = reconstruction_loss(output, frames) + 0.02 * scale_penalty(latents)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 0:
            log(
                "tiny-vae", step, loss=running, psnr_db=held_out_psnr(vae, held_out), seconds=time.monotonic() - started
            )
        if step % 250 == 0 or step == training.num_steps:
            save_state(state_path, vae=vae.state_dict(), optimizer=optimizer.state_dict(), step=step)
    return vae.eval()
