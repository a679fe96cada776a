"""What a training run will cost: arithmetic counted on the meta device, memory from what every parameter carries.

Nothing is computed and no weights are made: PyTorch's own counter watches the real model and the real chunk loop work
on tensors without data. Hours follow from an assumed share of the GPU's peak; they are an estimate, not a measurement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ...checkpoints.load import build_model
from ...checkpoints.spec import ModelSpec
from ...models.conditioning import Conditions
from ...models.track_wan import TrackWan
from ...models.wan import CrossContext
from ...streaming.rollout import GradientPolicy
from ..stages.student import training_rollout
from .wan import WanPreset

META = torch.device("meta")
CLIP_TOKENS = 257  # of CLIP ViT-H
# Dense bf16 peaks from the makers' data sheets, in TFLOP/s.
PEAK_TFLOPS = {"a100": 312.0, "h100": 989.0, "h200": 989.0}
# Forward, backward (twice the forward), and the forward again because activations are recomputed.
TRAIN_RECOMPUTED = 4
GIB = 2.0**30


@dataclass(frozen=True)
class ClipCost:
    """Arithmetic of one clip in TFLOP: a bidirectional forward pass, and a causal rollout with the mean exit step."""

    forward: float
    rollout: float


@dataclass(frozen=True)
class StageCost:
    """pflop: of the whole stage; hours: on all GPUs together."""

    pflop: float
    hours: float


def count_parameters(spec: ModelSpec) -> int:
    """Parameters of the model that `spec` describes."""
    return sum(parameter.numel() for parameter in _model(spec).parameters())


def clip_cost(spec: ModelSpec, num_latent_frames: int) -> ClipCost:
    """Arithmetic of one clip of the spec's frame size."""
    model = _model(spec)
    context = _context(model, spec)
    height, width = (side // spec.vae_stride.space for side in spec.frame_size)
    shape = torch.Size((1, spec.backbone.out_channels, num_latent_frames, height, width))
    with torch.no_grad():
        inputs = torch.zeros(1, spec.backbone.in_channels, *shape[2:], device=META)
        timestep = torch.zeros(1, device=META)
        forward = _tflop(lambda: model(inputs, timestep, context))
        exit_step = (len(spec.step_list) - 1) // 2  # the mean of 0..K-1, exact for the paper's K = 3
        policy = GradientPolicy(exit_step)
        whole = _conditions(spec, shape, context)
        rollout = _tflop(lambda: list(training_rollout(model, spec, whole, shape, policy, 0)))
    return ClipCost(forward, rollout)


def teacher_cost(cost: ClipCost, num_steps: int, batch_size: int, throughput: float) -> StageCost:
    """Flow matching with recomputed activations; throughput in TFLOP/s of all GPUs together."""
    return _stage(cost.forward * TRAIN_RECOMPUTED * num_steps * batch_size, throughput)


def ode_cost(cost: ClipCost, num_trajectories: int, num_steps: int, throughput: float) -> StageCost:
    """Sampling under joint guidance: three passes a step."""
    return _stage(cost.forward * 3 * num_steps * num_trajectories, throughput)


def causal_cost(cost: ClipCost, num_steps: int, batch_size: int, throughput: float) -> StageCost:
    """Regression with a clean and a noisy copy of every clip: about a rollout of one step and its cache pass."""
    return _stage(cost.forward * 2 * TRAIN_RECOMPUTED * num_steps * batch_size, throughput)


def distill_cost(cost: ClipCost, num_steps: int, batch_size: int, critic_steps: int, throughput: float) -> StageCost:
    """Per step of the student: a rollout with gradient and four score passes; per critic step a rollout and a step."""
    # of a rollout's three passes a chunk one carries gradient: twice itself backwards, once again to recompute
    student = cost.rollout * 2 + 4 * cost.forward
    critic = cost.rollout + cost.forward * TRAIN_RECOMPUTED
    return _stage((student + critic_steps * critic) * num_steps * batch_size, throughput)


def state_gib(spec: ModelSpec, num_gpus: int, trained: int = 1, frozen: int = 0) -> float:
    """GiB per GPU of sharded weights and what belongs to them, activations not counted.

    A trained network has fp32 weights, gradients, two moments and an average (20 bytes a parameter), a frozen one bf16.
    """
    return count_parameters(spec) * (20 * trained + 2 * frozen) / num_gpus / GIB


def activation_gib(spec: ModelSpec, num_latent_frames: int) -> float:
    """GiB per clip in bf16 with activation checkpointing: every block's input, and one block's insides."""
    backbone = spec.backbone
    height, width = (side // spec.vae_stride.space for side in spec.frame_size)
    tokens = num_latent_frames * (height // backbone.patch[1]) * (width // backbone.patch[2])
    inside = 12 * backbone.dim + 3 * backbone.ffn_dim  # norms, q, k, v, their turned copies, outputs; hidden layer
    return tokens * (backbone.num_layers * backbone.dim + inside) * 2 / GIB


def _stage(tflop: float, throughput: float) -> StageCost:
    return StageCost(tflop / 1000, tflop / throughput / 3600)


def _model(spec: ModelSpec) -> TrackWan:
    with META:
        return build_model(spec).to(torch.bfloat16)


def _context(model: TrackWan, spec: ModelSpec) -> CrossContext:
    backbone = spec.backbone
    text = torch.zeros(1, backbone.text_len, backbone.text_dim, device=META, dtype=torch.bfloat16)
    image = None
    if backbone.image_dim is not None:
        image = torch.zeros(1, CLIP_TOKENS, backbone.image_dim, device=META, dtype=torch.bfloat16)
    return model.prepare_context(text, image)


def _conditions(spec: ModelSpec, shape: torch.Size, context: CrossContext) -> Conditions:
    def zeros(kind: str) -> Tensor | None:
        width = spec.layout.width(kind)  # type: ignore[arg-type]
        return torch.zeros(1, width, *shape[2:], device=META) if width else None

    first = torch.zeros(1, shape[1], 1, *shape[3:], device=META) if spec.pin_first_latent else None
    return Conditions(context, zeros("mask"), zeros("image"), zeros("track"), first)


def _tflop(run: Callable[[], object]) -> float:
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 1e12


def preset_estimate(preset: WanPreset, num_gpus: int, gpu: str, share_of_peak: float = 0.4) -> list[str]:
    """Lines of text: what every stage of a preset costs on `num_gpus` of a kind. Raises ValueError for none of them."""
    if num_gpus < 1:
        raise ValueError(f"num_gpus is {num_gpus}; it must be at least 1")
    spec, view = preset.teacher, preset.ode.view
    cost = clip_cost(spec, view.latent_frames)
    throughput = num_gpus * PEAK_TFLOPS[gpu] * share_of_peak
    phases = [phase for training in preset.teacher_phases for phase in training.phases]
    causal, distill = preset.causal, preset.distill
    stages = {
        "teacher": teacher_cost(cost, sum(p.num_steps for p in phases), phases[0].batch_size, throughput),
        "ode": ode_cost(cost, preset.ode.num_trajectories, preset.ode.num_steps, throughput),
        "causal": causal_cost(cost, causal.num_steps, causal.batch_size, throughput),
        "distill": distill_cost(cost, distill.num_steps, distill.batches.batch_size, distill.critic_steps, throughput),
    }
    activations = activation_gib(spec, view.latent_frames)
    memory = {"teacher": state_gib(spec, num_gpus), "ode": state_gib(spec, num_gpus, 0, 1)}
    memory |= {"causal": state_gib(spec, num_gpus), "distill": state_gib(spec, num_gpus, 2, 1)}
    return [
        f"{count_parameters(spec) / 1e9:.2f} B parameters, {cost.forward:.0f} TFLOP a clip and forward pass, "
        f"{num_gpus} x {gpu} at {share_of_peak:.0%} of {PEAK_TFLOPS[gpu]:.0f} TFLOP/s",
        *(
            f"{name:8} {stage.hours:7.1f} h   weights and optimizer {memory[name]:6.1f} GiB a GPU, "
            f"activations about {activations:.1f} GiB a clip"
            for name, stage in stages.items()
        ),
    ]
