"""What a training run will cost: hours and memory of every stage, counted on the meta device at full size.

Nothing is computed and no weights are made: PyTorch's own counter watches the losses that train (`micro_costs`). Hours
follow from an assumed share of the GPU's peak; they are an estimate, not a measurement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...checkpoints.load import build_model
from ...checkpoints.spec import ModelSpec
from ..engine.meter import PEAK_TFLOPS
from .micro_costs import CLIP_TOKENS, GIB, META, Cost, causal_cost, distill_costs, guided_cost, teacher_cost
from .prepare_costs import PrepareCost, prepare_cost
from .wan import WanPreset

PAPER_CLIPS = 600_000  # of OpenVid-1M
GRID_POINTS = 50 * 50
TF32_SHARE = 0.5  # of the bf16 peak: the VAE encodes in fp32, whose convolutions GPUs compute in TF32
# Seconds of CPU that OpenCV's tracker takes for the grid, a frame and a megapixel of it: 11.7 s for 81 frames of
# 832 x 480 and 5.2 s for 41 of 416 x 240 were measured, on one thread of a Xeon that others kept busy.
TRACKED_FRAME_S, TRACKED_MEGAPIXEL_S = 0.12, 0.06


@dataclass(frozen=True)
class StageEstimate:
    """hours: on all GPUs together; state_gib: weights and what belongs to them, a GPU; working_gib: beside them."""

    hours: float
    state_gib: float
    working_gib: float


def count_parameters(spec: ModelSpec) -> int:
    """Parameters of the model that `spec` describes."""
    with META:
        return sum(parameter.numel() for parameter in build_model(spec).parameters())


def state_gib(spec: ModelSpec, num_gpus: int, averaged: int = 1, plain: int = 0, frozen: int = 0) -> float:
    """GiB per GPU of sharded weights and what belongs to them.

    averaged, plain: trained networks with and without an average. fp32 weights and two moments are 12 bytes a
    parameter, the average 4 more; gradients, 4, are there for one network at a time. frozen: networks in bf16.
    """
    gradients = 4 if averaged + plain else 0
    return count_parameters(spec) * (16 * averaged + 12 * plain + 2 * frozen + gradients) / num_gpus / GIB


def clip_megabytes(preset: WanPreset) -> float:
    """A prepared clip in its shard: latents, image condition, points of the grid, half a caption's tokens, CLIP's."""
    spec, frames = preset.teacher, preset.teacher.vae_stride.num_frames(preset.latent_frames)
    height, width = (side // spec.vae_stride.space for side in spec.frame_size)
    latents = spec.backbone.out_channels * preset.latent_frames * height * width * 2
    points = GRID_POINTS * (frames * 5 + 8)  # two halves and a byte a frame, and the start
    text = spec.backbone.text_len // 2 * spec.backbone.text_dim * 2
    tokens = CLIP_TOKENS * (spec.backbone.image_dim or 0) * 2
    return (latents * (2 if spec.image_rule == "grey_clip" else 1) + points + text + tokens) / 1e6


@dataclass(frozen=True)
class PrepareEstimate:
    """Hours of all GPUs together for each encoder, hours of one CPU core for the tracker, and terabytes."""

    vae_hours: float
    text_hours: float
    clip_hours: float
    tracker_core_hours: float
    terabytes: float


def prepare_estimate(preset: WanPreset, cost: PrepareCost, throughput: float, num_clips: int) -> PrepareEstimate:
    """Of `num_clips` clips; throughput in TFLOP/s of bf16 of all GPUs together."""
    spec = preset.teacher
    pixels, frames = math.prod(spec.frame_size), spec.vae_stride.num_frames(preset.latent_frames)
    hours = num_clips / throughput / 3600
    tracked = frames * (TRACKED_FRAME_S + TRACKED_MEGAPIXEL_S * pixels / 1e6)
    return PrepareEstimate(
        cost.vae * hours / TF32_SHARE,
        cost.text * hours,
        cost.clip * hours,
        tracked * num_clips / 3600,
        clip_megabytes(preset) * num_clips / 1e6,
    )


def preset_costs(preset: WanPreset) -> dict[str, Cost]:
    """One micro-batch of each: teacher, guided (a step of a trajectory), causal, student, critic."""
    most, view = preset.tracks.most, preset.ode.view
    student, critic = distill_costs(preset.teacher, preset.student, preset.distill, most)
    micro_size = preset.causal.micro_batch_size or 1
    return {
        "teacher": teacher_cost(preset.teacher, preset.teacher_phases[-1], most),
        "guided": guided_cost(preset.teacher, view, most),
        "causal": causal_cost(preset.student, preset.causal.masks, view, micro_size, most),
        "student": student,
        "critic": critic,
    }


def stage_estimates(
    preset: WanPreset, costs: dict[str, Cost], num_gpus: int, throughput: float
) -> dict[str, StageEstimate]:
    """Every stage by its name; throughput in TFLOP/s of all GPUs together."""
    spec, causal, distill = preset.teacher, preset.causal, preset.distill
    phases = [phase for training in preset.teacher_phases for phase in training.phases]
    of_distill = costs["student"].tflop + distill.critic_steps * costs["critic"].tflop
    tflop = {
        "teacher": costs["teacher"].tflop * sum(phase.num_steps * phase.batches.num_micro for phase in phases),
        "ode": costs["guided"].tflop * preset.ode.num_steps * preset.ode.num_trajectories,
        "causal": costs["causal"].tflop * causal.num_steps * causal.batches.num_micro,
        "distill": of_distill * distill.num_steps * distill.batches.num_micro,
    }
    state = {
        "teacher": state_gib(spec, num_gpus),
        "ode": state_gib(spec, num_gpus, averaged=0, frozen=1),
        "causal": state_gib(spec, num_gpus),
        "distill": state_gib(spec, num_gpus, averaged=1, plain=1, frozen=1),
    }
    working = {"teacher": "teacher", "ode": "guided", "causal": "causal", "distill": "student"}
    return {
        name: StageEstimate(tflop[name] / throughput / 3600, state[name], costs[working[name]].gib) for name in tflop
    }


def preset_estimate(preset: WanPreset, num_gpus: int, gpu: str, share_of_peak: float = 0.4) -> list[str]:
    """Lines of text: what every stage of a preset costs on `num_gpus` of a kind. Raises ValueError for none of them."""
    if num_gpus < 1:
        raise ValueError(f"num_gpus is {num_gpus}; it must be at least 1")
    throughput, frames = num_gpus * PEAK_TFLOPS[gpu] * share_of_peak, preset.teacher.vae_stride.num_frames
    stages = stage_estimates(preset, preset_costs(preset), num_gpus, throughput)
    cost = prepare_cost(preset.teacher, frames(preset.latent_frames))
    prepared = prepare_estimate(preset, cost, throughput, PAPER_CLIPS)
    return [
        f"{count_parameters(preset.teacher) / 1e9:.2f} B parameters, {num_gpus} x {gpu} at {share_of_peak:.0%} of "
        f"{PEAK_TFLOPS[gpu]:.0f} TFLOP/s",
        *(
            f"{name:8} {stage.hours:7.1f} h   {stage.state_gib + stage.working_gib:6.1f} GiB a GPU: weights and "
            f"optimizer {stage.state_gib:.1f}, one micro-batch {stage.working_gib:.1f}"
            for name, stage in stages.items()
        ),
        f"prepare  {prepared.vae_hours + prepared.text_hours + prepared.clip_hours:7.1f} h   the paper's {PAPER_CLIPS} "
        f"real clips: VAE {prepared.vae_hours:.1f} (TF32), text {prepared.text_hours:.1f}, CLIP "
        f"{prepared.clip_hours:.1f}; {prepared.tracker_core_hours:.0f} h of a CPU core for OpenCV's tracker, which "
        f"--workers shares out; {prepared.terabytes:.1f} TB, {clip_megabytes(preset):.1f} MB a clip",
    ]
