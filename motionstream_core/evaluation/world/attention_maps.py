"""Where self-attention looks, as MotionStream shows it (arXiv 2511.01266, figure 3).

The teacher's is shown over a clip, the student's over its cache. Heads that look back at the first frames are why a
student keeps them for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...models.attention import attention
from ...models.vae.tiny_vae import TinyVae
from .cases import Case
from .report import student_generator, teacher_generator

TEACHER_STEPS = 4


class AttentionMass:
    """Stands for a network's self-attention, and keeps how much of it falls on each frame.

    maps: one for each pass of a layer, (k f g): of head k, the share of frame f's queries that frame g's keys get, mean
    over the clips and tokens. frame_tokens: of a latent frame.
    """

    def __init__(self, frame_tokens: int) -> None:
        self.frame_tokens = frame_tokens
        self.maps: list[NDArray[np.float32]] = []

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        scores = torch.einsum("blkd,bmkd->bklm", q.float(), k.float()) * q.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        share = scores.softmax(-1).unflatten(-1, (-1, self.frame_tokens)).sum(-1)
        share = share.unflatten(2, (-1, self.frame_tokens)).mean(3)
        self.maps.append(share.mean(0).cpu().numpy())
        return attention(q, k, v, mask)


@contextmanager
def watched(loaded: LoadedModel, frame_size: tuple[int, int]) -> Iterator[AttentionMass]:
    """The network's self-attention is watched, on frames of (height, width) px, for as long as the context lasts."""
    spec, model = loaded.spec, loaded.model
    rows, columns = (side // spec.vae_stride.space // 2 for side in frame_size)  # patches of 2 x 2 cells
    mass, before = AttentionMass(rows * columns), model.attention
    model.attention = mass
    try:
        yield mass
    finally:
        model.attention = before


def teacher_map(loaded: LoadedModel, vae: TinyVae, case: Case) -> NDArray[np.float32]:
    """(f f): mean over all layers, heads and steps; row f says where frame f looks."""
    with watched(loaded, case.clip.frames.shape[1:3]) as mass:
        teacher_generator(loaded, vae, TEACHER_STEPS)(case)
    return np.stack(mass.maps).mean((0, 1))


def student_map(loaded: LoadedModel, vae: TinyVae, case: Case) -> NDArray[np.float32]:
    """(layers x heads, slots): where the last chunk's heads look, over [sink | window | chunk], mean over its steps."""
    with watched(loaded, case.clip.frames.shape[1:3]) as mass:
        student_generator(loaded, vae)(case)
    layers, steps = loaded.spec.backbone.num_layers, len(loaded.spec.step_list)
    last = mass.maps[-(steps + 1) * layers :][: steps * layers]  # behind them the pass that would be remembered
    means = np.stack(last).mean(2).reshape(steps, layers, -1, last[0].shape[-1]).mean(0)
    return means.reshape(-1, means.shape[-1])


def save_attention_maps(teacher: LoadedModel, student: LoadedModel, vae: TinyVae, case: Case, path: Path) -> None:
    """Both maps as one picture. Raises ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("attention maps are drawn by matplotlib; pip install matplotlib") from error
    over_clip, over_slots = teacher_map(teacher, vae, case), student_map(student, vae, case)
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(over_clip, cmap="magma", vmin=0)
    left.set(title="teacher: mean of all heads", xlabel="latent frame looked at", ylabel="latent frame that looks")
    spec, order = student.spec, np.argsort(-over_slots[:, : student.spec.sink_frames].sum(1))
    shown = right.imshow(over_slots[order], cmap="magma", vmin=0, aspect="auto", interpolation="nearest")
    names = ["sink"] * spec.sink_frames + ["window"] * spec.window_frames + ["chunk"] * spec.chunk_plan.chunk_frames
    right.set_xticks(range(len(names)), names, rotation=60)
    right.set(title="student, steady stream: every head", ylabel="heads of all layers, by their sink")
    figure.colorbar(shown, ax=right, label="share of attention")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
