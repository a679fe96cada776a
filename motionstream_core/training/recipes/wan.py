"""Recipes for Wan 2.1 1.3B and Wan 2.2 5B: what the models are, and the paper's numbers (arXiv 2511.01266).

Where the paper is silent the choice is ours, and marked so. Nothing here was trained by us: these are for a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ...checkpoints.spec import ModelSpec
from ...geometry import ChunkPlan, VaeStride
from ...models.conditioning import InputLayout
from ...models.track_head import TrackHeadConfig
from ...models.wan import WanConfig
from ..data import View
from ..engine.engine import Compute, MicroBatches
from ..engine.optimizers import OptimizerSettings
from ..stages.causal import StudentTraining
from ..stages.causal_loss import CausalMasks
from ..stages.distill import DistillTraining
from ..stages.initialise import WAN21_FUN_CONTROL, WAN21_FUN_INP, WAN22_TI2V_5B
from ..stages.ode import OdeTraining
from ..stages.teacher import Phase, TeacherTraining

LATENT_FRAMES = 21  # 81 frames, seven chunks of three
CLIP_WIDTH = 1280  # of CLIP ViT-H's tokens
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
    num_tracks: drawn for every sample, both ends included.
    probe_clips, probe_steps: fixed clips that are looked at whenever a stage saves, and the teacher's steps for them.
    """

    teacher: ModelSpec
    base_layout: InputLayout
    control_layout: InputLayout | None
    teacher_phases: tuple[TeacherTraining, ...]
    ode: OdeTraining
    causal: StudentTraining
    distill: DistillTraining
    num_tracks: tuple[int, int] = (1000, 2500)
    probe_clips: int = 4
    probe_steps: int = 25

    @property
    def student(self) -> ModelSpec:
        """The same network, causal."""
        return replace(self.teacher, role="student")

    def compute(self, device: torch.device, num_ranks: int) -> Compute:
        """How the stages compute: bf16, recomputed activations, and parameters sharded wherever there are ranks."""
        return Compute(device, "bf16", shard=num_ranks > 1, activation_checkpointing=True)


def _teacher_phase(
    view: View, num_steps: int, learning_rate: float, mask_probability: float = 0.0, freeze_head: bool = False
) -> TeacherTraining:
    return TeacherTraining(
        phases=(Phase(num_steps, 128, view, mask_probability, freeze_head, micro_batch_size=1),),
        optimizer=OptimizerSettings("adamw", learning_rate, ADAMW_BETAS),
        ema_decay=0.99,
        decay_share=0.0,
        probe_size=0,
        save_every=200,
        log_every=10,
    )


def _preset(
    teacher: ModelSpec, base_layout: InputLayout, control_layout: InputLayout | None, synthetic_steps: int
) -> WanPreset:
    # a window as wide as the frame is the whole frame
    view = View(LATENT_FRAMES, max(teacher.frame_size) // teacher.vae_stride.space)
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
        ),
        distill=DistillTraining(batches=MicroBatches(64, 1), view=view),
    )


WAN_PRESETS = {
    "wan2.1-1.3b": _preset(WAN21_TEACHER, WAN21_FUN_INP, WAN21_FUN_CONTROL, synthetic_steps=800),
    "wan2.2-5b": _preset(WAN22_TEACHER, WAN22_TI2V_5B, None, synthetic_steps=400),
}
