"""Tracks as a picture: coloured dots and tails on black frames, encoded by the VAE, in place of the track head.

What the paper compares its head with (arXiv 2511.01266, Table 3). It has no parameters of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor

from motionstream_core.models.track_head import TrackHead, TrackHeadConfig
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.draw import draw_tracks

DOT_RADIUS_PX = 2.0
TAIL_FRAMES = 4


def draw_on_black(points: Tensor, visibility: Tensor, ids: Tensor, size: tuple[int, int]) -> Tensor:
    """Frames (3 t h w) in [0, 1]: points (t n 2) px as dots in the colours of their ids (n), with short tails."""
    height, width = size
    black = torch.zeros(points.shape[0], height, width, 3)
    tracks = Tracks(points.float().cpu(), visibility.cpu(), height, width, ids.cpu())
    drawn = draw_tracks(black, tracks, tail_frames=TAIL_FRAMES, radius=DOT_RADIUS_PX)
    return drawn.permute(3, 0, 1, 2)


class RgbTracks(TrackHead):
    """Stands where a model's track head stands; draws, then encodes with a frozen VAE."""

    def __init__(self, config: TrackHeadConfig, vae: TinyVae) -> None:
        super().__init__(config)
        del self.proj
        self._vae = (vae,)  # in a tuple: no part of the model's weights

    def encode(
        self, points: Tensor, visibility: Tensor, ids: Tensor, frame_size: tuple[int, int], at_start: bool
    ) -> Tensor:
        """Motion latents (b c f h w), as `TrackHead.encode`.

        Raises ValueError for a later part of a clip: the encoder would have to remember the frames before it.
        """
        if not at_start:
            raise ValueError("tracks drawn and encoded by the VAE are known here for whole clips only")
        ids = ids.expand(points.shape[0], -1)
        frames = torch.stack([draw_on_black(*each, frame_size) for each in zip(points, visibility, ids, strict=True)])
        return self._vae[0].encode(frames.to(points.device)).float()
