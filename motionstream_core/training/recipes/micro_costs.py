"""What one micro-batch of every stage costs, arithmetic and memory, counted on the meta device at full size.

The losses are the ones that train; only tensors and networks hold no data. Attention is taken to keep what
FlashAttention keeps: queries, keys, values and result, no scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ...checkpoints.load import LoadedModel, build_model
from ...checkpoints.spec import ModelSpec
from ...geometry import Chunk
from ...models.attention import attention
from ...models.kv_cache import remembered_frames
from ...models.live_bytes import LiveBytes
from ...models.track_wan import TrackWan
from ..data import Batch, View
from ..data.trajectories import Trajectories
from ..engine.sharding import checkpoint_blocks
from ..stages.causal_loss import CausalMasks, causal_loss
from ..stages.distill import Distiller, DistillTraining
from ..stages.distribution_matching import Scores
from ..stages.teacher import TeacherTraining, teacher_loss

META = torch.device("meta")
CLIP_TOKENS = 257  # of CLIP ViT-H
GIB = 2.0**30


@dataclass(frozen=True)
class Cost:
    """TFLOP of one micro-batch, and the most GiB that it holds at once beside weights, their gradients and averages."""

    tflop: float
    gib: float


@dataclass(frozen=True)
class _MetaClips:
    """Training clips (`data.TrainingClips`) without data."""

    spec: ModelSpec
    num_tracks: int

    def __len__(self) -> int:
        return 1

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        return _batch(self.spec, batch_size, view, self.num_tracks)

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        return _batch(self.spec, size, view, self.num_tracks)


@dataclass(frozen=True)
class _MetaTrajectories:
    """Trajectories (`data.trajectories.TrajectorySource`) without data."""

    spec: ModelSpec
    view: View
    num_tracks: int

    def draw(self, count: int, rng: np.random.Generator) -> Trajectories:
        batch = _batch(self.spec, count, self.view, self.num_tracks)
        levels = batch.latents[:, None].expand(-1, len(self.spec.step_list), -1, -1, -1, -1)
        ids = torch.zeros(count, self.num_tracks, dtype=torch.int64, device=META)
        return Trajectories(levels, batch.latents, batch, ids)


def _batch(spec: ModelSpec, batch_size: int, view: View, num_tracks: int) -> Batch:
    """Clips of the spec's full size."""
    backbone = spec.backbone
    height, width = (side // spec.vae_stride.space for side in spec.frame_size)
    num_frames = spec.vae_stride.num_frames(view.latent_frames)

    def zeros(*size: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
        return torch.zeros(size, dtype=dtype, device=META)

    shape = (batch_size, backbone.out_channels, view.latent_frames, height, width)
    return Batch(
        latents=zeros(*shape, dtype=torch.float32),
        points=zeros(batch_size, num_frames, num_tracks, 2, dtype=torch.float32),
        visibility=zeros(batch_size, num_frames, num_tracks, dtype=torch.bool),
        captions=[""] * batch_size,
        text=zeros(batch_size, backbone.text_len, backbone.text_dim),
        empty_text=zeros(backbone.text_len, backbone.text_dim),
        image_tokens=None if backbone.image_dim is None else zeros(batch_size, CLIP_TOKENS, backbone.image_dim),
        image=zeros(*shape, dtype=torch.float32) if spec.image_rule == "grey_clip" else None,
    )


Build = Callable[..., TrackWan]
"""build(spec, trained=True): a network without data; one that is not trained is only asked"""

Prepare = Callable[[ModelSpec, Build], Callable[[], Tensor]]
"""(spec, build) -> a function that runs one micro-batch and gives its loss; one with gradient is followed back"""


def micro_cost(spec: ModelSpec, prepare: Prepare) -> Cost:
    """The cost of a micro-batch for networks of `spec`: those of one and two layers, taken on to all of its layers."""
    one, two = (
        _counted(replace(spec, backbone=replace(spec.backbone, num_layers=layers)), prepare) for layers in (1, 2)
    )
    more = spec.backbone.num_layers - 1
    return Cost(one.tflop + more * (two.tflop - one.tflop), one.gib + more * (two.gib - one.gib))


def _counted(spec: ModelSpec, prepare: Prepare) -> Cost:
    with FlopCounterMode(display=False) as counter:
        _run(prepare(spec, _builder(attention)))
    run = prepare(spec, _builder(_flash_like))
    with LiveBytes({parameter.shape for parameter in _network(spec, attention).parameters()}) as live:
        _run(run)
    return Cost(counter.get_total_flops() / 1e12, live.peak / GIB)


def teacher_cost(spec: ModelSpec, training: TeacherTraining, num_tracks: int) -> Cost:
    """A micro-batch of the last phase, forward and back."""
    phase = training.phases[-1]

    def prepare(spec: ModelSpec, build: Build) -> Callable[[], Tensor]:
        model, batch = build(spec), _batch(spec, phase.micro_batch_size or 1, phase.view, num_tracks)
        return lambda: teacher_loss(model, spec, batch, training, phase, torch.Generator())

    return micro_cost(spec, prepare)


def guided_cost(spec: ModelSpec, view: View, num_tracks: int) -> Cost:
    """One step of the teacher under joint guidance, for one clip."""

    def prepare(spec: ModelSpec, build: Build) -> Callable[[], Tensor]:
        batch, ids = _batch(spec, 1, view, num_tracks), torch.zeros(1, num_tracks, dtype=torch.int64, device=META)
        scores = Scores(LoadedModel(build(spec, trained=False), spec), LoadedModel(build(spec), spec), 3.0, 1.5)
        return torch.no_grad()(lambda: scores.guided(batch.latents, torch.ones(1, device=META), batch, ids))

    return micro_cost(spec, prepare)


def causal_cost(spec: ModelSpec, masks: CausalMasks, view: View, micro_size: int, num_tracks: int) -> Cost:
    """The arithmetic is the mean over all masks that are drawn, the memory that of the largest."""
    smallest, largest = zip(masks.sink_frames, masks.window_frames, strict=True)

    def cost(sink: int, window: int) -> Cost:
        fixed = replace(masks, sink_frames=(sink, sink), window_frames=(window, window), own_share=0.0)

        def prepare(spec: ModelSpec, build: Build) -> Callable[[], Tensor]:
            model, loss = build(spec), causal_loss(_MetaTrajectories(spec, view, num_tracks), spec, fixed, 0, META)
            return lambda: loss(model, 0, 0, micro_size)

        return micro_cost(spec, prepare)

    low = cost(*smallest)
    if smallest == largest:
        return low
    high = cost(*largest)
    # arithmetic is linear in the pairs of frames that see each other
    fewest, most = (_pairs(spec, view.latent_frames, *mask) for mask in (smallest, largest))
    slope = (high.tflop - low.tflop) / (most - fewest)
    return Cost(low.tflop + slope * (_mean_pairs(spec, view.latent_frames, masks) - fewest), high.gib)


def distill_costs(
    teacher: ModelSpec, student: ModelSpec, training: DistillTraining, num_tracks: int
) -> tuple[Cost, Cost]:
    """(a micro-batch of the student, one of the critic): the arithmetic of the middle exit step, which is the mean."""
    size, middle = training.batches.micro_batch_size or 1, (len(student.step_list) - 1) // 2

    def distiller(spec: ModelSpec, build: Build) -> Distiller:
        scored = replace(teacher, backbone=spec.backbone)
        real, fake = LoadedModel(build(scored, trained=False), scored), LoadedModel(build(scored), scored)
        scores = Scores(real, fake, training.text_weight, training.motion_weight)
        return Distiller(training, build(spec), spec, scores, _MetaClips(spec, num_tracks), META)

    def of_student(spec: ModelSpec, build: Build) -> Callable[[], Tensor]:
        losses = distiller(spec, build)
        return lambda: losses.student_loss(0, 0, size, middle)

    def of_critic(spec: ModelSpec, build: Build) -> Callable[[], Tensor]:
        losses = distiller(spec, build)
        return lambda: losses.critic_loss(0, 1, 0, size, middle)

    return micro_cost(student, of_student), micro_cost(student, of_critic)


def _mean_pairs(spec: ModelSpec, num_latent_frames: int, masks: CausalMasks) -> float:
    drawn = [
        _pairs(spec, num_latent_frames, sink, window)
        for sink in range(masks.sink_frames[0], masks.sink_frames[1] + 1)
        for window in range(masks.window_frames[0], masks.window_frames[1] + 1)
    ]
    own = _pairs(spec, num_latent_frames, spec.sink_frames, spec.window_frames)
    return masks.own_share * own + (1 - masks.own_share) * float(np.mean(drawn))


def _pairs(spec: ModelSpec, num_latent_frames: int, sink: int, window: int) -> int:
    """Pairs of frames of the noisy clip and its clean past that see each other under a mask."""
    chunks = list(spec.chunk_plan.chunks(num_latent_frames))

    def seen(some: list[Chunk]) -> int:
        return sum(
            each.num_frames * (len(remembered_frames(each.start, sink, window)) + each.num_frames) for each in some
        )

    return seen(chunks) + seen(chunks[:-1])


def _run(loss: Callable[[], Tensor]) -> None:
    value = loss()
    if value.requires_grad:
        value.backward()


def _builder(attend: Callable[..., Tensor]) -> Build:
    def build(spec: ModelSpec, trained: bool = True) -> TrackWan:
        model = _network(spec, attend)
        if not trained:
            return model.eval().requires_grad_(False)
        checkpoint_blocks(model)
        return model

    return build


def _network(spec: ModelSpec, attend: Callable[..., Tensor]) -> TrackWan:
    """In bf16, as layers compute."""
    ops = SimpleNamespace(Linear=nn.Linear, LayerNorm=nn.LayerNorm, Conv3d=nn.Conv3d, attention=attend)
    with META:
        return build_model(spec, ops).to(torch.bfloat16)


class _FlashLike(torch.autograd.Function):
    """Attention's memory without its numbers."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = torch.empty_like(q)
        ctx.save_for_backward(q, k, v, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(each) for each in ctx.saved_tensors[:3])


def _flash_like(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    return _FlashLike.apply(q, k, v)
