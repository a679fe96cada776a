"""Recipes for Wan 2.1 1.3B and Wan 2.2 5B: what the models are, and the paper's numbers (arXiv 2511.01266).

`paper` and `paper-5b` take every way that the paper takes; where it is silent the choice is ours, and marked so. The
others differ from them in the switches that docs/training.md lists. Nothing here was trained by us: these are for a
cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch

from ...checkpoints.spec import ModelSpec
from ...geometry import ChunkPlan, VaeStride
from ...models.conditioning import InputLayout
from ...models.track_head import TrackHeadConfig
from ...models.vae.tiny_vae import TAEW2_1, TAEW2_2, TinyVaeConfig
from ...models.wan import WanConfig
from ..data import View
from ..data.videos import TrackDraw
from ..engine.engine import Compute, MicroBatches
from ..engine.optimizers import OptimizerSettings
from ..stages.causal import StudentTraining
from ..stages.causal_loss import CausalMasks
from ..stages.distill import DistillTraining
from ..stages.distribution_matching import LevelRange
from ..stages.initialise import WAN21_FUN_CONTROL, WAN21_FUN_INP, WAN22_FUN_CONTROL, WAN22_TI2V_5B
from ..stages.ode import OdeTraining
from ..stages.teacher import Phase, TeacherTraining

LATENT_FRAMES = 21  # 81 frames, seven chunks of three
PAPER_5B_LATENT_FRAMES = 31  # 121 frames: the image's latent, and ten chunks of three
WIDESCREEN = (1.7, 1.85)  # 16:9, and what Wan's sizes make of it: 832 x 480 is 1.73
CLIP_WIDTH = 1280  # of CLIP ViT-H's tokens
PAPER_5B_TINY_VAE = replace(TAEW2_2, decoder_widths=(576, 352, 192, 96))  # 56.7 M as the paper says; widths are ours
ADAMW_BETAS = (0.9, 0.999)  # ours; the paper names betas for the last stage alone

WAN21_TEACHER = ModelSpec(
    role="teacher",
    backbone=WanConfig(
        dim=1536, ffn_dim=8960, num_heads=12, num_layers=30, in_channels=52, out_channels=16, image_dim=CLIP_WIDTH
    ),
    layout=InputLayout((("noise", 16), ("mask", 4), ("image", 16), ("track", 16))),
    track_head=TrackHeadConfig(out_channels=16, space_stride=8),
    vae_stride=VaeStride(4, 8),
    image_rule="grey_clip",
    chunk_plan=ChunkPlan(3, 3),
    sink_frames=3,
    window_frames=3,
    frame_size=(480, 832),
    fps=16.0,
)
WAN22_TEACHER = ModelSpec(
    role="teacher",
    backbone=WanConfig(dim=3072, ffn_dim=14336, num_heads=24, num_layers=30, in_channels=96, out_channels=48),
    layout=InputLayout((("noise", 48), ("track", 48))),
    track_head=TrackHeadConfig(out_channels=48, space_stride=16),
    vae_stride=VaeStride(4, 16),
    image_rule="first_latent",
    pin_first_latent=True,
    chunk_plan=ChunkPlan(3, 3),
    sink_frames=3,
    window_frames=3,
    frame_size=(704, 1280),
    fps=24.0,  # as the published model was trained
)


@dataclass(frozen=True)
class WanPreset:
    """All stages of a Wan model, from published weights to the student.

    base_layout, control_layout: input channels of the weights that the teacher starts from (`initialise.teacher_from`);
        without control_layout the track slot starts at random.
    teacher_phases: one after the other, each from the averaged weights of the one before and on clips of its own: first
        real footage, then synthetic clips with mid-frame masking and the track head held still.
    tiny_vae: what the stage tiny-vae trains the decoder of.
    student_clips: folder of the clips whose images, captions and tracks the stages ode and distill read.
    tracks: how many are told of every sample.
    aspect_range: least and greatest width / height of videos that the stage prepare takes; None allows a factor of 1.5
        from the frame's own.
    probe_clips, probe_steps: clips held out of every folder, which are looked at whenever a stage saves, and the
        teacher's steps for them.
    """

    teacher: ModelSpec
    base_layout: InputLayout
    control_layout: InputLayout | None
    teacher_phases: tuple[TeacherTraining, ...]
    ode: OdeTraining
    causal: StudentTraining
    distill: DistillTraining
    tiny_vae: TinyVaeConfig
    student_clips: str = "clips-synthetic"
    tracks: TrackDraw = field(default_factory=lambda: TrackDraw(1000, 2500))
    aspect_range: tuple[float, float] | None = None
    probe_clips: int = 4
    probe_steps: int = 25

    @property
    def latent_frames(self) -> int:
        """Of a clip."""
        return self.ode.view.latent_frames

    @property
    def student(self) -> ModelSpec:
        """The same network, causal."""
        return replace(self.teacher, role="student")

    def compute(self, device: torch.device, num_ranks: int, num_replicas: int = 1) -> Compute:
        """How the stages compute: bf16, recomputed activations, and parameters sharded wherever there are ranks."""
        shard = num_ranks > 1
        return Compute(device, "bf16", shard, activation_checkpointing=True, num_replicas=num_replicas)


def _teacher_phase(
    view: View, num_steps: int, learning_rate: float, mask_probability: float = 0.0, freeze_head: bool = False
) -> TeacherTraining:
    return TeacherTraining(
        phases=(Phase(num_steps, 128, view, mask_probability, freeze_head, micro_batch_size=1),),
        optimizer=OptimizerSettings("adamw", learning_rate, ADAMW_BETAS),
        ema_decay=0.99,
        decay_share=0.0,
        save_every=200,
        log_every=10,
    )


def _preset(
    teacher: ModelSpec,
    base_layout: InputLayout,
    control_layout: InputLayout | None,
    synthetic_steps: int,
    tiny_vae: TinyVaeConfig,
    latent_frames: int = LATENT_FRAMES,
) -> WanPreset:
    # a window as wide as the frame is the whole frame
    view = View(latent_frames, max(teacher.frame_size) // teacher.vae_stride.space)
    return WanPreset(
        teacher=teacher,
        base_layout=base_layout,
        control_layout=control_layout,
        teacher_phases=(
            _teacher_phase(view, 4800, 1e-5),
            _teacher_phase(view, synthetic_steps, 1e-6, mask_probability=0.2, freeze_head=True),
        ),
        ode=OdeTraining(
            num_trajectories=4000, batch_size=1, num_steps=50, text_weight=3.0, motion_weight=1.5, view=view
        ),
        causal=StudentTraining(
            num_steps=2000,
            batch_size=128,
            micro_batch_size=1,
            optimizer=OptimizerSettings("adamw", 2e-6, ADAMW_BETAS),
            masks=CausalMasks(sink_frames=(0, 3), window_frames=(1, 18)),  # ours
            decay_share=0.0,
            freeze_head=True,
        ),
        distill=DistillTraining(
            batches=MicroBatches(64, 1), view=view, levels=LevelRange(clamped=True), freeze_head=True
        ),
        tiny_vae=tiny_vae,
    )


def _as_the_paper(preset: WanPreset) -> WanPreset:
    """The same model without what is ours: tracks uniform in number and always told, no cell weighing more, 16:9 only,
    trajectories regressed on as CausVid does."""
    return replace(
        preset,
        teacher_phases=tuple(replace(training, track_gain=0.0) for training in preset.teacher_phases),
        causal=replace(preset.causal, track_gain=0.0, masks=replace(preset.causal.masks, past="noisy")),
        tracks=TrackDraw(1000, 2500, none_probability=0.0, uniform=True),
        aspect_range=WIDESCREEN,
    )


SMALL = _preset(WAN21_TEACHER, WAN21_FUN_INP, WAN21_FUN_CONTROL, 800, TAEW2_1)
LARGE = _preset(WAN22_TEACHER, WAN22_TI2V_5B, None, 400, TAEW2_2)
# 121 frames fill chunks only where the image stands alone in the first one, which then is the sink.
LONG_TEACHER = replace(WAN22_TEACHER, chunk_plan=ChunkPlan(3, 1), sink_frames=1)
LONG = _preset(LONG_TEACHER, WAN22_TI2V_5B, WAN22_FUN_CONTROL, 400, PAPER_5B_TINY_VAE, PAPER_5B_LATENT_FRAMES)
WAN_PRESETS = {
    "wan2.1-1.3b": SMALL,
    "wan2.2-5b": LARGE,
    "paper": _as_the_paper(SMALL),
    "paper-5b": _as_the_paper(LONG),
}
