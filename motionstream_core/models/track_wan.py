"""A Wan transformer with a track head: `track_head.*` stands beside the original Wan names."""

from __future__ import annotations

from typing import Any

from torch import nn

from .track_head import TrackHead, TrackHeadConfig
from .wan import WanConfig, WanModel
from .word_encoder import WordEncoder


class TrackWan(WanModel):
    """WanModel with, where the checkpoint has them, a track head and the bundled text encoder."""

    track_head: TrackHead | None
    text_encoder: WordEncoder | None

    def __init__(
        self,
        config: WanConfig,
        track_head: TrackHeadConfig | None = None,
        vocabulary: tuple[str, ...] = (),
        ops: Any = nn,
    ) -> None:
        super().__init__(config, ops)
        self.track_head = TrackHead(track_head, ops) if track_head else None
        self.text_encoder = WordEncoder(vocabulary, config.text_dim, config.text_len) if vocabulary else None
