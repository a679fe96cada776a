"""What each published family of checkpoints looks like: its `ModelSpec` at full size, and what tells it from the rest.

A family is recognised by its input channels, its track head, its image cross-attention and its role. Widths and numbers
of layers are read from the tensors, so one entry serves every size. Sources, for every number here: Wan-Video/Wan2.1
and Wan2.2 (wan/configs), aigc-apps/VideoX-Fun, guandeh17/Self-Forcing (configs), NVlabs/LongLive (configs),
thu-ml/Causal-Forcing (configs), hao-ai-lab/FastVideo (fastvideo/configs/pipelines/wantrack.py,
fastvideo/models/dits/trackwan).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..geometry import ChunkPlan, VaeStride
from ..models.conditioning import InputLayout
from ..models.track_head import TrackHeadConfig
from ..models.wan import WanConfig
from .spec import ModelSpec, Role

CLIP_DIM = 1280  # width of CLIP ViT-H's tokens
HEAD_DIM = 128  # of every published Wan


@dataclass(frozen=True)
class Family:
    """A kind of checkpoint.

    key: for callers and the command line. title: for people. spec: a full-size example. sizes: names of known sizes by
    (dim, number of layers).
    """

    key: str
    title: str
    spec: ModelSpec
    sizes: tuple[tuple[tuple[int, int], str], ...]

    @property
    def role(self) -> Role:
        return self.spec.role

    def name_of(self, backbone: WanConfig) -> str:
        """The title with the size's name, or with width and depth where the size is none of the published ones."""
        size = dict(self.sizes).get((backbone.dim, backbone.num_layers))
        return f"{self.title} {size or f'(dim {backbone.dim}, {backbone.num_layers} layers)'}"

    def slots(self, track_channels: int) -> tuple[tuple[str, int], ...]:
        """Input channels of a member whose track head gives `track_channels`."""
        return tuple((kind, track_channels if kind == "track" else width) for kind, width in self.spec.layout.slots)


_1_3B, _5B, _14B = ((1536, 30), "1.3B"), ((3072, 30), "5B"), ((5120, 40), "14B")
_BACKBONE = WanConfig(dim=1536, ffn_dim=8960, num_heads=12, num_layers=30, in_channels=16, out_channels=16)
_T2V = ModelSpec(
    role="teacher",
    backbone=_BACKBONE,
    layout=InputLayout((("noise", 16),)),
    shift=5.0,
    text_weight=5.0,
    motion_weight=0.0,
)
_I2V = replace(
    _T2V,
    backbone=replace(_BACKBONE, in_channels=36, image_dim=CLIP_DIM),
    layout=InputLayout((("noise", 16), ("mask", 4), ("image", 16))),
    image_rule="grey_clip",
    shift=3.0,
)
_FUN_CONTROL = replace(
    _I2V,
    backbone=replace(_BACKBONE, in_channels=48, image_dim=CLIP_DIM),
    layout=InputLayout((("noise", 16), ("control", 16), ("image", 16))),
    image_rule="first_latent",
)
_TI2V_5B = replace(
    _T2V,
    backbone=WanConfig(dim=3072, ffn_dim=14336, num_heads=24, num_layers=30, in_channels=48, out_channels=48),
    layout=InputLayout((("noise", 48),)),
    vae_stride=VaeStride(4, 16),
    image_rule="first_latent",
    pin_first_latent=True,
    frame_size=(704, 1280),
    fps=24.0,
)
_TRACKWAN = ModelSpec(
    role="teacher",
    backbone=replace(_BACKBONE, in_channels=52, image_dim=CLIP_DIM),
    layout=InputLayout((("noise", 16), ("mask", 4), ("image", 16), ("track", 16))),
    track_head=TrackHeadConfig(variant="temporal_conv", coordinates="round", bias=True),
    image_rule="grey_clip",
    chunk_plan=ChunkPlan(3, 1),
    shift=6.0,
)
# A window of 6 latent frames that counts the sink frame and the current chunk leaves 2 for the rolling part. The image
# latent is denoised as every other frame is.
_TRACK_V0 = replace(
    _TRACKWAN,
    role="student",
    sink_frames=1,
    window_frames=2,
    rope_rule="by_slot",
    step_list=(1000, 750, 500, 250),
)
# Trained on 21 latent frames that see all before them. Sink, window and current chunk are 21 frames here, turned by
# slot: the first 21 frames are computed as in training, and no later one meets a position that training did not have.
_SELF_FORCING = replace(
    _T2V,
    role="student",
    chunk_plan=ChunkPlan(3, 3),
    sink_frames=3,
    window_frames=15,
    rope_rule="by_slot",
    step_list=(1000, 750, 500, 250),
)
_FRAMEWISE = replace(_SELF_FORCING, chunk_plan=ChunkPlan(1, 1), sink_frames=1, window_frames=19)

# Where several fit, the first one is taken unless the caller names another.
FAMILIES: tuple[Family, ...] = (
    Family("track_v0", "FastVideo Track-v0", _TRACK_V0, (_1_3B,)),
    Family("trackwan", "FastVideo TrackWan", _TRACKWAN, (_1_3B,)),
    Family("self_forcing", "Self-Forcing", _SELF_FORCING, (_1_3B, _14B)),
    Family("longlive", "LongLive", replace(_SELF_FORCING, window_frames=6), (_1_3B,)),
    Family("causal_forcing", "Causal-Forcing, by chunks", _SELF_FORCING, (_1_3B,)),
    Family("causal_forcing_framewise", "Causal-Forcing, frame by frame", _FRAMEWISE, (_1_3B,)),
    Family(
        "causal_forcing_framewise_2step",
        "Causal-Forcing++, frame by frame in two steps",
        replace(_FRAMEWISE, step_list=(1000, 500)),
        (_1_3B,),
    ),
    Family("wan21_t2v", "Wan 2.1 T2V", _T2V, (_1_3B, _14B)),
    Family("wan21_i2v", "Wan 2.1 I2V or Fun-InP", _I2V, (_1_3B, _14B)),
    Family("wan21_fun_control", "Wan 2.1 Fun-Control", _FUN_CONTROL, (_1_3B, _14B)),
    Family("wan22_ti2v", "Wan 2.2 TI2V", _TI2V_5B, (_5B,)),
)
BY_KEY = {family.key: family for family in FAMILIES}
