"""From trajectories to motion latents: the track map (arXiv 2511.01266, Eq. 1) and the two known track heads.

Every track has a fixed sinusoidal embedding of its integer id; the map holds, at each frame and cell, the sum of the
embeddings of the visible points in that cell, or of their shares in it. Pixel frame 0 belongs to latent frame 0, frames
4i-3..4i to latent frame i, so a chunk is encoded from its own frames alone and equals the same slice of the whole
clip's encoding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .wan import sinusoid

CoordinateRule = Literal["floor", "round", "bilinear"]
HeadVariant = Literal["packed", "temporal_conv"]

# Embeddings, and shares of a cell along each axis, are rounded to these, so that any sum of up to 64 of their products
# is exact in fp32: collisions then add up to the same bits in every order, on every device, for a chunk as for a clip.
EXACT_STEP: dict[CoordinateRule, float] = {"floor": 2.0**-17, "round": 2.0**-17, "bilinear": 2.0**-10}
SHARE_STEP = 2.0**-4


@dataclass(frozen=True)
class TrackHeadConfig:
    """variant "packed": 4 frames into channels, then 1x1x1 (paper); "temporal_conv": FastVideo's (Track-v0).

    coordinates "floor": cell = floor(x / stride) (paper); "round": cell = round(x / width * (cells - 1)) (Track-v0);
        "bilinear": a point is shared between the four cells whose centres surround it (docs/adr/0005).
    """

    variant: HeadVariant = "packed"
    coordinates: CoordinateRule = "floor"
    id_dim: int = 64
    out_channels: int = 16
    time_stride: int = 4
    space_stride: int = 8
    bias: bool = False


def id_embedding(
    ids: Tensor, dim: int, variant: HeadVariant = "packed", coordinates: CoordinateRule = "floor"
) -> Tensor:
    """(... dim) = [cos | sin] embedding of integer ids, max period 10000 (FastVideo docs/training/wantrack.md).

    The "temporal_conv" head was trained with angles in fp32 (FastVideo: track_encoder.py), which for ids of five digits
    are off by thousandths of a radian; it gets the same. Values are rounded as `coordinates` wants it (EXACT_STEP).
    """
    embedding = _fp32_sinusoid(ids, dim) if variant == "temporal_conv" else sinusoid(ids, dim)
    step = EXACT_STEP[coordinates]
    return torch.round(embedding / step) * step


def _fp32_sinusoid(ids: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """`wan.sinusoid` with angles in fp32."""
    half = dim // 2
    rates = torch.exp(-math.log(max_period) * torch.arange(half, device=ids.device, dtype=torch.float32) / half)
    angles = ids.float()[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def track_map(
    points: Tensor, visibility: Tensor, embedding: Tensor, frame_size: tuple[int, int], config: TrackHeadConfig
) -> Tensor:
    """Map (b d t h w) of points (b t n 2) px in a frame of frame_size (height, width) px.

    visibility: bool (b t n); embedding: (b n d). A point outside the frame is invisible. Points in one cell add up.
    Raises ValueError unless both sides of the frame are multiples of the stride.
    """
    batch_size, num_frames = points.shape[:2]
    height, width = frame_size
    if height % config.space_stride or width % config.space_stride:
        raise ValueError(f"frame_size is {frame_size} px, but both must be multiples of {config.space_stride}")
    rows, columns = height // config.space_stride, width // config.space_stride
    x, y = points.unbind(-1)
    visible = visibility & (x >= 0) & (x < width) & (y >= 0) & (y < height)
    across, down = _cells(x, width, columns, config), _cells(y, height, rows, config)
    frame = torch.arange(batch_size * num_frames, device=points.device).view(batch_size, num_frames, 1)
    cells = embedding.new_zeros(batch_size * num_frames * rows * columns, embedding.shape[-1])
    for row, row_share in down:
        for column, column_share in across:
            cell = torch.where(visible, (frame * rows + row) * columns + column, 0)
            share = (visible * row_share * column_share).to(embedding.dtype)[..., None]
            cells.index_add_(0, cell.flatten(), (embedding[:, None] * share).flatten(0, 2))
    return rearrange(cells, "(b t h w) d -> b d t h w", b=batch_size, t=num_frames, h=rows, w=columns)


def _cells(position: Tensor, length_px: int, num_cells: int, config: TrackHeadConfig) -> list[tuple[Tensor, Tensor]]:
    """Along one axis, the cells that a position (b t n) px falls to, each with the share of it that it holds.

    Positions that are no number or outside the frame come back as some cell; the caller knows that they are invisible.
    """
    position = position.nan_to_num().clamp(0, length_px)
    if config.coordinates == "floor":
        cell, beyond = torch.floor(position / config.space_stride), None
    elif config.coordinates == "round":
        cell, beyond = torch.round(position / length_px * (num_cells - 1)), None
    else:
        # a point beyond the outermost centres belongs to the edge's cells alone
        between = (position / config.space_stride - 0.5).clamp(0, num_cells - 1)
        between = torch.round(between / SHARE_STEP) * SHARE_STEP
        cell = torch.floor(between)
        beyond = between - cell
    first = cell.long().clamp(max=num_cells - 1)
    if beyond is None:
        return [(first, torch.ones_like(position))]
    return [(first, 1 - beyond), ((first + 1).clamp(max=num_cells - 1), beyond)]


class TrackHead(nn.Module):
    """Track maps (b d t h w) to motion latents (b c f h w)."""

    def __init__(self, config: TrackHeadConfig, ops: Any = nn) -> None:
        super().__init__()
        self.config = config
        stride = config.time_stride
        if config.variant == "packed":
            self.proj = ops.Conv3d(config.id_dim * stride, config.out_channels, 1, bias=config.bias)
        elif config.variant == "temporal_conv":
            kernel = (stride, 1, 1)
            self.temporal_conv = ops.Conv3d(config.id_dim, config.out_channels, kernel, stride=kernel, bias=config.bias)
            self.proj = ops.Conv3d(config.out_channels, config.out_channels, 1, bias=config.bias)
        else:
            raise ValueError(f"track head variant is {config.variant!r}; known are 'packed' and 'temporal_conv'")

    @torch.no_grad()
    def initialise(self) -> None:
        """Start of training a packed head: nearly one projection for all four frames, several times the noise in size.

        A track then looks the same wherever within a latent frame it crosses a cell, and stands out from the noise of
        its token, so to find it again is learned sooner; the small differences leave room to tell the frames apart.
        """
        if self.config.variant != "packed":
            raise ValueError(f"only the packed head has this start, not {self.config.variant!r}")
        stride, scale = self.config.time_stride, 2 * (2 / self.config.id_dim) ** 0.5
        shared = torch.randn(self.config.out_channels, 1, self.config.id_dim)
        own = torch.randn(self.config.out_channels, stride, self.config.id_dim)
        self.proj.weight.copy_(((shared + 0.3 * own) * scale).flatten(1)[..., None, None, None])

    def forward(self, maps: Tensor, at_start: bool) -> Tensor:
        """Motion latents of `maps`, whose frames are 0..4k (at_start) or a later run of 4k frames."""
        stride = self.config.time_stride
        maps = maps.to(self.proj.weight.dtype)
        if at_start:
            maps = self._pad_start(maps)
        if maps.shape[2] % stride:
            raise ValueError(
                f"{maps.shape[2]} track frames do not fill latent frames of {stride}; "
                f"pass 1 + {stride} * k at the start of a clip and {stride} * k later"
            )
        # one latent frame at a time: how a convolution rounds depends on how many it is given at once
        return torch.cat([self._latent_frame(frames) for frames in maps.split(stride, dim=2)], dim=2)

    def _latent_frame(self, frames: Tensor) -> Tensor:
        """Motion latents (b c 1 h w) of one latent frame's maps (b d s h w)."""
        if self.config.variant == "temporal_conv":
            return self.proj(self.temporal_conv(frames))
        return self.proj(rearrange(frames, "b d s h w -> b (s d) 1 h w"))

    def _pad_start(self, maps: Tensor) -> Tensor:
        count = self.config.time_stride - 1
        if self.config.variant == "packed":  # frame 0 fills latent frame 0 (as VideoX-Fun packs camera maps)
            return torch.cat([maps[:, :, :1].expand(-1, -1, count, -1, -1), maps], dim=2)
        return F.pad(maps, (0, 0, 0, 0, count, 0))

    def encode(
        self, points: Tensor, visibility: Tensor, ids: Tensor, frame_size: tuple[int, int], at_start: bool
    ) -> Tensor:
        """Motion latents (b c f h w) of points (b t n 2) px, visibility (b t n) and ids (b n) or (n)."""
        embedding = id_embedding(ids, self.config.id_dim, self.config.variant, self.config.coordinates)
        if embedding.ndim == 2:
            embedding = embedding.expand(points.shape[0], -1, -1)
        return self.forward(track_map(points, visibility, embedding, frame_size, self.config), at_start)
