"""Training data under one name: batches and their order (`batches`), and clips of the world (`world`)."""

from __future__ import annotations

from .batches import WHOLE_CLIP, Batch, RandomClips, TrainingClips, View, collate, pad_text, prefetched
from .world import (
    MAX_POINTS,
    NO_POINT,
    LatentClips,
    WorldMix,
    choose_tracks,
    clip_frames,
    draw_clip,
    object_window,
    prepare_world,
    write_shard,
)

__all__ = [
    "MAX_POINTS",
    "NO_POINT",
    "WHOLE_CLIP",
    "Batch",
    "LatentClips",
    "RandomClips",
    "TrainingClips",
    "View",
    "WorldMix",
    "choose_tracks",
    "clip_frames",
    "collate",
    "draw_clip",
    "object_window",
    "pad_text",
    "prefetched",
    "prepare_world",
    "write_shard",
]
