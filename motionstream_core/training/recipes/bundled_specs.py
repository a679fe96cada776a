"""Sizes of the bundled model: what its teacher and its student are."""

from __future__ import annotations

from dataclasses import replace

from ...checkpoints.spec import ModelSpec
from ...geometry import ChunkPlan, VaeStride
from ...models.conditioning import InputLayout
from ...models.track_head import TrackHeadConfig
from ...models.wan import WanConfig
from ...world.scene import EFFECTS, HUES, SHAPES


def _vocabulary() -> tuple[str, ...]:
    effect_words = [word for effect in EFFECTS for word in effect.split()]
    return tuple(dict.fromkeys(["a", "an", "and", ",", "empty", "place", *HUES, *SHAPES, *effect_words]))


TEACHER_SPEC = ModelSpec(
    role="teacher",
    backbone=WanConfig(
        dim=256, ffn_dim=768, num_heads=4, num_layers=6, in_channels=52, freq_dim=256, text_dim=64, text_len=20
    ),
    layout=InputLayout((("noise", 16), ("mask", 4), ("image", 16), ("track", 16))),
    track_head=TrackHeadConfig(coordinates="bilinear"),  # docs/adr/0005
    vae_stride=VaeStride(4, 8),
    image_rule="first_latent",
    chunk_plan=ChunkPlan(chunk_frames=3, first_chunk_frames=1),
    sink_frames=1,
    window_frames=3,
    rope_rule="sink_fixed",
    step_list=(1000, 667, 333),
    shift=5.0,
    text_weight=1.5,
    motion_weight=1.5,
    vocabulary=_vocabulary(),
    frame_size=(128, 128),
    fps=16.0,
)
STUDENT_SPEC = replace(TEACHER_SPEC, role="student", pin_first_latent=True)
