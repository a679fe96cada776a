"""A tiny video VAE that takes the DiT's latents as they are and decodes a stream chunk by chunk.

Architecture and state-dict keys are those of madebyollin/taehv (taehv.py, MIT), so its weights `taew2_1` and
`taew2_2` load into the presets below without a key map. MotionStream (arXiv 2511.01266) trains its own decoder on
the same architecture.

Every layer works on images (t b) c h w, time folded into the batch as its *outer* axis. The frame before each frame
is then the same tensor moved by b rows, so one convolution serves a whole clip and no layer loops over time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...geometry import VaeStride
from .wan_vae import IMAGE_CHANNELS, WAN21_MEAN, WAN21_STD, WAN22_MEAN, WAN22_STD, check_frames, check_latents

NUM_STAGES = 3
BLOCKS_PER_STAGE = 3
MAX_SIZE = 4096  # of channels and widths
PIECE_PIXELS = 2**21  # of frames encoded at once: a latent frame of 1280 x 704 has more, one of 832 x 480 fits
LATENT_LIMIT = 3.0  # Gaussian latents rarely pass it; a few-step student's outliers do


@dataclass(frozen=True)
class TinyVaeConfig:
    """Shape of a `TinyVae`; each tuple lists the stages in the order the data meets them.

    The spatial stride is patch_size * 2 ** (number of True), the temporal stride 2 ** (number of True).

    encoder_lookahead: what the encoder was trained to make latent frame i of. False, as Wan's own encoder: frames
        4i-3..4i and the past. True: 4i..4i+3 and the past, three frames more than the latent frame stands for. taehv's
        published encoders need True (madebyollin/seraena TAEHV_Training_Example.ipynb pairs its frames so); with
        False they would lag three frames behind. For a single image both are the same.
    decoder_mean, decoder_std: per latent channel, for a decoder that wants the full VAE's own latents: the DiT's times
        std plus mean. Empty where it takes the DiT's latents as they are. lighttaew2_1 wants the former
        (ModelTC/LightX2V: lightx2v/models/video_encoders/hf/wan/vae_tiny.py, need_scaled).

    draft: beside the encoder there is a linear one (`Draft`), fitted to it.

    Raises ValueError for sizes that none has, when encoder and decoder disagree on either stride, or the statistics on
    the channels.
    """

    latent_channels: int = 16
    patch_size: int = 1
    decoder_widths: tuple[int, int, int, int] = (256, 128, 64, 64)
    encoder_width: int = 64
    decoder_space_upscale: tuple[bool, bool, bool] = (True, True, True)
    decoder_time_upscale: tuple[bool, bool, bool] = (False, True, True)
    encoder_space_downscale: tuple[bool, bool, bool] = (True, True, True)
    encoder_time_downscale: tuple[bool, bool, bool] = (True, True, False)
    encoder_lookahead: bool = False
    decoder_mean: tuple[float, ...] = ()
    decoder_std: tuple[float, ...] = ()
    draft: bool = False

    def __post_init__(self) -> None:
        sizes = (self.latent_channels, self.patch_size, self.encoder_width, *self.decoder_widths)
        if not all(1 <= size <= MAX_SIZE for size in sizes):
            raise ValueError(f"latent_channels, patch_size and the widths are {sizes}; each must be 1 to {MAX_SIZE}")
        if not all(math.isfinite(each) for each in (*self.decoder_mean, *self.decoder_std)):
            raise ValueError("decoder_mean and decoder_std must be finite numbers")
        if len(self.decoder_mean) != len(self.decoder_std) or len(self.decoder_mean) not in (0, self.latent_channels):
            raise ValueError(
                f"decoder_mean and decoder_std hold {len(self.decoder_mean)} and {len(self.decoder_std)} values; "
                f"each needs none, or one for each of {self.latent_channels} channels"
            )
        for name, length in (
            ("decoder_widths", NUM_STAGES + 1),
            ("decoder_space_upscale", NUM_STAGES),
            ("decoder_time_upscale", NUM_STAGES),
            ("encoder_space_downscale", NUM_STAGES),
            ("encoder_time_downscale", NUM_STAGES),
        ):
            if len(getattr(self, name)) != length:
                raise ValueError(f"{name} needs {length} entries, got {getattr(self, name)}")
        for axis, up, down in (
            ("space", self.decoder_space_upscale, self.encoder_space_downscale),
            ("time", self.decoder_time_upscale, self.encoder_time_downscale),
        ):
            if sum(up) != sum(down):
                raise ValueError(
                    f"decoder_{axis}_upscale {up} and encoder_{axis}_downscale {down} must hold equally many True"
                )

    @property
    def stride(self) -> VaeStride:
        """Pixels per latent cell, in time and in space."""
        space = self.patch_size * 2 ** sum(self.decoder_space_upscale)
        return VaeStride(time=2 ** sum(self.decoder_time_upscale), space=space)


TAEW2_1 = TinyVaeConfig(encoder_lookahead=True)
TAEW2_2 = TinyVaeConfig(latent_channels=48, patch_size=2, encoder_lookahead=True)
LIGHTTAEW2_1 = replace(TAEW2_1, decoder_mean=WAN21_MEAN, decoder_std=WAN21_STD)
LIGHTTAEW2_2 = replace(TAEW2_2, decoder_mean=WAN22_MEAN, decoder_std=WAN22_STD)


@dataclass
class TinyDecoderMemory:
    """What the decoder remembers between two chunks of one stream; its size does not grow with the stream.

    last_inputs: for every MemBlock, by its index in the decoder, the last frame (b c h w) that it was given.
    num_latent_frames: latent frames decoded so far.
    """

    last_inputs: dict[int, Tensor] = field(default_factory=dict)
    num_latent_frames: int = 0


class TinyVae(nn.Module):
    """Encoder and decoder between frames (b 3 t h w) in [0, 1] and latents (b c f h w) at the DiT's scale.

    Frame 0 belongs to latent frame 0 alone, frames 4i-3..4i to latent frame i (for the temporal stride 4).
    """

    def __init__(self, config: TinyVaeConfig = TAEW2_1) -> None:
        super().__init__()
        self.config = config
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.draft = Draft(config.stride, config.latent_channels) if config.draft else None
        # No buffers: `.to(bfloat16)` would round them.
        self._mean_std = torch.tensor([config.decoder_mean, config.decoder_std], device="cpu").view(2, 1, -1, 1, 1, 1)

    @property
    def stride(self) -> VaeStride:
        """Pixels per latent cell."""
        return self.config.stride

    @property
    def num_channels(self) -> int:
        """Of the latents."""
        return self.config.latent_channels

    @property
    def dtype(self) -> torch.dtype:
        """Of the encoder's weights: what comes in is converted to it."""
        return next(self.encoder.parameters()).dtype

    def decode_in(self, dtype: torch.dtype) -> TinyVae:
        """Itself, its decoder computing in `dtype`; the encoder stays as it is, for what it makes lasts a whole stream.

        In half precision weights lie channels last, which is what fast convolutions take.
        """
        layout = torch.channels_last if dtype.itemsize < 4 else torch.contiguous_format
        self.decoder.to(dtype=dtype, memory_format=layout)  # pyright: ignore[reportCallIssue]
        return self

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1], t = 1 + 4k.

        Frame 0 is repeated in front until it fills a latent frame. Encoding is causal: latent frame i depends on
        frames 0..4i only, so latent frame 0 is the encoding of the first image. With `encoder_lookahead`
        the last frame is repeated at the end instead, and latent frame i depends on frames 0..4i+3. Long clips go
        through in pieces of whole latent frames, which bounds the memory needed. Raises ValueError for other shapes.
        """
        check_frames(frames, self.config.stride)
        frames = _repeat_edge(frames, self.config.stride.time - 1, at_end=self.config.encoder_lookahead)
        last_inputs: dict[int, Tensor] = {}
        latents = []
        for piece in frames.split(self._frames_at_once(frames), dim=2):
            images = F.pixel_unshuffle(_fold(piece).to(self.dtype), self.config.patch_size)
            latents.append(_unfold(_walk(self.encoder, images, frames.shape[0], last_inputs), frames.shape[0]))
        return torch.cat(latents, dim=2)

    def _frames_at_once(self, frames: Tensor) -> int:
        """How many of frames (b 3 t h w) the encoder is given together: whole latent frames, one at least."""
        time = self.config.stride.time
        return max(1, PIECE_PIXELS // (frames[:, 0, :time].numel() or 1)) * time

    def decode(self, latents: Tensor, clamp: bool = True) -> Tensor:
        """Frames (b 3 4f-3 h w) of latents (b c f h w), all at once; in [0, 1] with `clamp`, raw without (training)."""
        return self.decode_stream(latents, self.new_memory(), clamp)

    def new_memory(self) -> TinyDecoderMemory:
        """The memory a stream starts with."""
        return TinyDecoderMemory()

    def decode_stream(self, latents: Tensor, memory: TinyDecoderMemory, clamp: bool = True) -> Tensor:
        """Frames of the next latents (b c f h w) of a stream; `memory` is updated in place.

        The first latent frame of a stream gives 1 frame, every later one 4. Joined, the chunks are what `decode` makes
        of the joined latents. Raises ValueError for other shapes.
        """
        check_latents(latents, self.config.latent_channels)
        images = _fold(self._scaled(latents)).to(next(self.decoder.parameters()).dtype)
        images = _walk(self.decoder, images, latents.shape[0], memory.last_inputs)
        frames = _unfold(F.pixel_shuffle(images, self.config.patch_size), latents.shape[0])
        if memory.num_latent_frames == 0:
            frames = frames[:, :, self.config.stride.time - 1 :]
        memory.num_latent_frames += latents.shape[2]
        return frames.clamp(0, 1) if clamp else frames

    def _scaled(self, latents: Tensor) -> Tensor:
        """The DiT's latents as the decoder wants them."""
        if not self.config.decoder_mean:
            return latents
        if self._mean_std.device != latents.device:
            self._mean_std = self._mean_std.to(latents.device)
        return latents.float() * self._mean_std[1] + self._mean_std[0]


class Draft(nn.Module):
    """Nearly what the encoder makes of latent frames after the first, by one linear step: a hundredth of the work.

    Of every cell it sees each frame's pixels, and of the cells around it their mean over time.
    """

    def __init__(self, stride: VaeStride, latent_channels: int) -> None:
        super().__init__()
        self.stride = stride
        pixels = IMAGE_CHANNELS * stride.space**2
        self.inside = nn.Conv2d(stride.time * pixels, latent_channels, 1)
        self.around = nn.Conv2d(pixels, latent_channels, 3, bias=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1], t = f times the temporal stride.

        Raises ValueError for other shapes.
        """
        inside, around = self.features(frames)
        latents = self.inside(inside) + self.around(around)
        return _unfold(latents, frames.shape[0])

    def features(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """What the two convolutions see: (f b) c h w of the cells, and (f b) c h+2 w+2 of them and their neighbours."""
        if frames.ndim != 5 or frames.shape[1] != IMAGE_CHANNELS or frames.shape[2] % self.stride.time:
            raise ValueError(
                f"frames has shape {tuple(frames.shape)}; it must be (b 3 t h w), t a multiple of {self.stride.time}"
            )
        batch_size = frames.shape[0]
        cells = F.pixel_unshuffle(_fold(frames).to(self.inside.weight.dtype), self.stride.space)
        groups = cells.unflatten(0, (-1, self.stride.time, batch_size))  # f s b c h w
        inside = groups.movedim(1, 2).flatten(2, 3).flatten(0, 1)
        return inside, F.pad(groups.mean(1).flatten(0, 1), (1, 1, 1, 1), mode="replicate")


class SoftClamp(nn.Module):
    """Bends values smoothly into (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / LATENT_LIMIT) * LATENT_LIMIT


class MemBlock(nn.Module):
    """Residual block over each frame and the frame before it: the only layer through which time flows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            _conv3(2 * width, width),
            nn.ReLU(inplace=True),
            _conv3(width, width),
            nn.ReLU(inplace=True),
            _conv3(width, width),
        )

    def forward(self, x: Tensor, first: Tensor) -> Tensor:
        """Of images x (t b) c h w; first (b c h w) stands before the first of them."""
        return F.relu(self.conv(_with_previous(x, first)) + x, inplace=True)


def _with_previous(x: Tensor, first: Tensor) -> Tensor:
    """(t b) 2c h w: every image of x (t b) c h w and the one before it in time."""
    size, channels = first.shape[0], x.shape[1]
    if torch.is_grad_enabled():
        return torch.cat([x, torch.cat([first, x[:-size]])], dim=1)
    last = x.is_contiguous(memory_format=torch.channels_last)  # written once, where joining twice copies twice
    layout = torch.channels_last if last else torch.contiguous_format
    shape = (x.shape[0], 2 * channels, *x.shape[2:])
    pairs = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)
    pairs[:, :channels], pairs[:size, channels:], pairs[size:, channels:] = x, first, x[:-size]
    return pairs


class TimePool(nn.Module):
    """Joins every `stride` successive frames into one: packed into channels, then a 1x1 convolution."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(width * stride, width, 1, bias=False)

    def forward(self, x: Tensor, batch_size: int) -> Tensor:
        if self.stride > 1:
            groups = x.unflatten(0, (-1, self.stride, batch_size))  # t s b c h w
            x = torch.cat(groups.unbind(1), dim=2).flatten(0, 1)
        return self.conv(x)


class Grow(nn.Module):
    """Splits every frame into `time_stride` frames by a 1x1 convolution, then doubles height and width if asked.

    taehv doubles first. A 1x1 convolution and nearest-neighbour doubling commute, and this order spares three
    quarters of the work.
    """

    def __init__(self, width: int, time_stride: int, space_scale: int) -> None:
        super().__init__()
        self.time_stride = time_stride
        self.space_scale = space_scale
        self.conv = nn.Conv2d(width, width * time_stride, 1, bias=False)

    def forward(self, x: Tensor, batch_size: int) -> Tensor:
        x = self.conv(x)
        if self.time_stride > 1:
            parts = x.unflatten(0, (-1, batch_size)).chunk(self.time_stride, dim=2)  # each t b c h w
            x = torch.stack(parts, dim=1).flatten(0, 2)
        return F.interpolate(x, scale_factor=self.space_scale, mode="nearest") if self.space_scale > 1 else x


def _walk(layers: nn.Sequential, x: Tensor, batch_size: int, last_inputs: dict[int, Tensor]) -> Tensor:
    """Sends images (t b) c h w through `layers`; `last_inputs` lends and keeps every MemBlock's memory."""
    for index, layer in enumerate(layers):
        if isinstance(layer, MemBlock):
            last = last_inputs.get(index)
            first = torch.zeros_like(x[:batch_size]) if last is None else last
            last_inputs[index] = x[-batch_size:].clone()  # a view would keep the whole chunk alive
            x = layer(x, first)
        elif isinstance(layer, TimePool | Grow):
            x = layer(x, batch_size)
        else:
            x = layer(x)
    return x


def _encoder(config: TinyVaeConfig) -> nn.Sequential:
    width = config.encoder_width
    layers = [_conv3(IMAGE_CHANNELS * config.patch_size**2, width), nn.ReLU(inplace=True)]
    for halve_time, halve_space in zip(config.encoder_time_downscale, config.encoder_space_downscale, strict=True):
        layers += [TimePool(width, 2 if halve_time else 1), _conv3(width, width, 2 if halve_space else 1, bias=False)]
        layers += [MemBlock(width) for _ in range(BLOCKS_PER_STAGE)]
    return nn.Sequential(*layers, _conv3(width, config.latent_channels))


def _decoder(config: TinyVaeConfig) -> nn.Sequential:
    widths = config.decoder_widths
    layers = [SoftClamp(), _conv3(config.latent_channels, widths[0]), nn.ReLU(inplace=True)]
    for stage, width in enumerate(widths[:-1]):
        time_stride = 2 if config.decoder_time_upscale[stage] else 1
        space_scale = 2 if config.decoder_space_upscale[stage] else 1
        layers += [MemBlock(width) for _ in range(BLOCKS_PER_STAGE)]
        layers += [
            nn.Identity(),  # taehv's upsampling stands here; Grow does it, the place keeps its keys
            Grow(width, time_stride, space_scale),
            _conv3(width, widths[stage + 1], bias=False),
        ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True), _conv3(widths[-1], IMAGE_CHANNELS * config.patch_size**2))


def _conv3(in_channels: int, out_channels: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=bias)


def _repeat_edge(frames: Tensor, count: int, at_end: bool) -> Tensor:
    """(b c t h w) -> (b c t+count h w): the first frame repeated in front, or the last one at the end."""
    edge = (frames[:, :, -1:] if at_end else frames[:, :, :1]).expand(-1, -1, count, -1, -1)
    return torch.cat([frames, edge] if at_end else [edge, frames], dim=2)


def _fold(x: Tensor) -> Tensor:
    """(b c t h w) -> (t b) c h w"""
    return x.permute(2, 0, 1, 3, 4).flatten(0, 1)


def _unfold(x: Tensor, batch_size: int) -> Tensor:
    """(t b) c h w -> (b c t h w)"""
    return x.unflatten(0, (-1, batch_size)).permute(1, 2, 0, 3, 4)
