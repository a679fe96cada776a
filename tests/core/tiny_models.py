"""The narrow models that tests build: Wan's structure, all conditions, a few thousand parameters."""

from __future__ import annotations

from motionstream_core.checkpoints import ModelSpec
from motionstream_core.geometry import ChunkPlan, VaeStride
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.track_head import TrackHeadConfig
from motionstream_core.models.wan import WanConfig

CHANNELS = 4
WORDS = ("a", "red", "blue", "circle")

TINY_TEACHER = ModelSpec(
    role="teacher",
    backbone=WanConfig(
        dim=24,
        ffn_dim=32,
        num_heads=2,
        num_layers=2,
        in_channels=3 * CHANNELS + 4,
        out_channels=CHANNELS,
        freq_dim=8,
        text_dim=6,
        text_len=5,
    ),
    layout=InputLayout((("noise", CHANNELS), ("mask", 4), ("image", CHANNELS), ("track", CHANNELS))),
    track_head=TrackHeadConfig(id_dim=8, out_channels=CHANNELS),
    vae_stride=VaeStride(4, 8),
    image_rule="first_latent",
    chunk_plan=ChunkPlan(3, 1),
    sink_frames=1,
    window_frames=3,
    vocabulary=WORDS,
    frame_size=(48, 48),
)
