"""Where the tiny VAE starts: the bundled shape, a start as a VAE of mean colours, either half made wider."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from ....models.vae.tiny_vae import Grow, MemBlock, TimePool, TinyVae, TinyVaeConfig

BUNDLED_VAE = TinyVaeConfig(
    latent_channels=16,
    patch_size=2,
    decoder_widths=(96, 64, 32, 32),
    encoder_width=32,
    decoder_space_upscale=(True, True, False),
    encoder_space_downscale=(True, True, False),
)
# For photos: everything at the latents' own 8 px cells, so that no layer has to carry full resolution through few
# channels, and the start below holds a principal component analysis exactly.
PHOTO_VAE = TinyVaeConfig(
    latent_channels=24,
    patch_size=8,
    decoder_widths=(96, 96, 96, 96),
    encoder_width=96,
    decoder_space_upscale=(False, False, False),
    encoder_space_downscale=(False, False, False),
)
WIDE_DECODER, WIDE_ENCODER = (128, 96, 32, 32), 64  # of the bundled model, once the narrow one is settled
FIRST_DEVIATION = 0.6  # of the first component's latents; the square root of it for the second's, and so on
COLOR_DEVIATION = 0.2  # of mean colours about mid-grey in the world
FRESH_RESIDUAL = 0.3  # size of new channels' last layer in a memory block, against a random start's


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


@torch.no_grad()
def initialise_components(vae: TinyVae, patches: Tensor) -> None:
    """Start as a principal component analysis of patches (n d), d = 3 * patch_size^2 as `pixel_unshuffle` orders them.

    Component i passes the ReLUs as a pair of channels, i and i + latent_channels, above its mean in one and below it
    in the other; memory blocks are the identity, time is pooled as a mean and grown as copies. All other channels are
    random and the output does not listen to them yet. Latents have unit deviation, but for the first components, which
    have less: bright even surfaces would reach the soft clamp. Raises ValueError for a VAE that scales space inside,
    or whose widths do not hold the pairs.
    """
    config, count = vae.config, vae.config.latent_channels
    if any(config.decoder_space_upscale):
        raise ValueError("components need a VAE without spatial scaling inside: all of it in patch_size")
    if 2 * count > min(*config.decoder_widths, config.encoder_width):
        raise ValueError(f"{count} components need widths of at least {2 * count}, got {config.decoder_widths}")
    mean = patches.double().mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(patches.double().T))
    components = vectors.T.flip(0)[:count]
    deviation = values.flip(0)[:count].clamp(min=1e-12).sqrt()
    scale = (deviation / FIRST_DEVIATION ** (1 / (1 + torch.arange(count)))).float()  # latent = component / scale
    forward = (components.float() / scale[:, None])[:, :, None, None]
    pair = slice(0, 2 * count)
    for layer in (*vae.encoder, *vae.decoder):
        if isinstance(layer, MemBlock):
            nn.init.zeros_(layer.conv[4].weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.conv[4].bias)  # type: ignore[arg-type]
        elif isinstance(layer, TimePool | Grow):
            width, stride = vae.config.encoder_width, getattr(layer, "stride", 1)
            steps = getattr(layer, "time_stride", 1)
            for channel in range(2 * count):
                layer.conv.weight[channel :: layer.conv.out_channels // steps] = 0
                for step in range(steps):
                    layer.conv.weight[channel + step * (layer.conv.out_channels // steps), channel::width] = 1 / stride
    encoder_convs = [layer for layer in vae.encoder if isinstance(layer, nn.Conv2d)]
    decoder_convs = [layer for layer in vae.decoder if isinstance(layer, nn.Conv2d)]
    for conv in (*encoder_convs[1:-1], *decoder_convs[1:-1]):
        conv.weight[pair] = 0
        for channel in range(2 * count):
            conv.weight[channel, channel, 1, 1] = 1
    _signed_pairs(encoder_convs[0], forward, -(forward[:, :, 0, 0] @ mean.float()))
    _signed_pairs(decoder_convs[0], torch.eye(count)[:, :, None, None], torch.zeros(count))
    out, last = encoder_convs[-1], decoder_convs[-1]
    assert out.bias is not None and last.bias is not None
    out.weight.zero_()
    out.bias.zero_()
    last.weight.zero_()
    back = (components.float() * scale[:, None]).T
    for channel in range(count):
        out.weight[channel, channel, 1, 1], out.weight[channel, channel + count, 1, 1] = 1, -1
    last.weight[:, :count, 1, 1], last.weight[:, count : 2 * count, 1, 1] = back, -back
    last.bias.copy_(mean)


def _signed_pairs(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """Rows i and i + n of a convolution become +weight (n c 1 1) and -weight at the middle tap."""
    count = len(weight)
    assert conv.bias is not None
    for rows, sign in ((slice(0, count), 1), (slice(count, 2 * count), -1)):
        conv.weight[rows] = 0
        conv.weight[rows, :, 1, 1] = sign * weight[:, :, 0, 0]
        conv.bias[rows] = sign * bias


@torch.no_grad()
def widen(
    vae: TinyVae,
    decoder_widths: tuple[int, int, int, int] | None = None,
    encoder_width: int | None = None,
    seed: int = 0,
) -> TinyVae:
    """A wider VAE that still encodes and decodes as `vae` does; None leaves a half as it is.

    New channels start at random, and what was there before does not listen to them: their columns are zero, so the
    first steps of a training decide what they are good for (Chen et al., arXiv 1511.05641, with zeros in place of
    copies). Raises ValueError for a width below the present one.
    """
    before = (*vae.config.decoder_widths, vae.config.encoder_width)
    after = (*(decoder_widths or vae.config.decoder_widths), encoder_width or vae.config.encoder_width)
    if any(new < old for new, old in zip(after, before, strict=True)):
        raise ValueError(f"decoder_widths and encoder_width {after} must be at least {before} everywhere")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        wide = TinyVae(replace(vae.config, decoder_widths=after[:4], encoder_width=after[4]))
    for half, old_half in ((wide.encoder, vae.encoder), (wide.decoder, vae.decoder)):
        for new, old in zip(half, old_half, strict=True):
            if isinstance(new, MemBlock) and isinstance(old, MemBlock):
                _widen(new.conv[0], old.conv[0], column_groups=2)  # the frame, then the frame before it
                _widen(new.conv[2], old.conv[2])
                _widen(new.conv[4], old.conv[4], fresh=FRESH_RESIDUAL)
            elif isinstance(new, TimePool) and isinstance(old, TimePool):
                _widen(new.conv, old.conv, column_groups=new.stride)
            elif isinstance(new, Grow) and isinstance(old, Grow):
                _widen(new.conv, old.conv, row_groups=new.time_stride)
            elif isinstance(new, nn.Conv2d):
                _widen(new, old)
    return wide


def _widen(new: nn.Module, old: nn.Module, row_groups: int = 1, column_groups: int = 1, fresh: float = 1.0) -> None:
    """Put the weights of `old` at the head of every group of rows and columns of `new`; the rest is scaled."""
    assert isinstance(new, nn.Conv2d) and isinstance(old, nn.Conv2d)
    new.weight.mul_(fresh)
    rows, old_rows = (conv.out_channels // row_groups for conv in (new, old))
    columns, old_columns = (conv.in_channels // column_groups for conv in (new, old))
    for row in range(row_groups):
        here, there = slice(row * rows, row * rows + old_rows), slice(row * old_rows, (row + 1) * old_rows)
        new.weight[here] = 0
        for column in range(column_groups):
            target = slice(column * columns, column * columns + old_columns)
            new.weight[here, target] = old.weight[there, column * old_columns : (column + 1) * old_columns]
        if new.bias is not None and old.bias is not None:
            new.bias[here] = old.bias[there]
