"""Training step of the causal stage: all chunks in one pass against the chunk loop with teacher forcing.

python benchmarks/causal_pass.py [--batch 8] [--steps 3] [--precision fp32 bf16] [--threads 1]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from motionstream_core.checkpoints import build_model
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.training.data import Batch
from motionstream_core.training.data.trajectories import Trajectories
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC
from motionstream_core.training.stages.causal_loss import CausalMasks, causal_loss
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.losses import track_weight
from motionstream_core.training.stages.student import rollout_loss
from tests.core.training.teacher_forcing import teacher_forced

NUM_LATENT_FRAMES, CELLS, NUM_TRACKS = 13, 16, 40
SPEC = STUDENT_SPEC


def random_trajectories(count: int) -> Trajectories:
    generator = torch.Generator().manual_seed(0)
    frames = SPEC.vae_stride.num_frames(NUM_LATENT_FRAMES)
    points = torch.rand(count, frames, NUM_TRACKS, 2, generator=generator) * CELLS * SPEC.vae_stride.space
    latents = torch.randn(count, 16, NUM_LATENT_FRAMES, CELLS, CELLS, generator=generator)
    levels = torch.randn(count, len(SPEC.step_list), *latents.shape[1:], generator=generator)
    batch = Batch(latents, points, torch.ones(points.shape[:3], dtype=torch.bool), ["a red circle"] * count)
    return Trajectories(levels, latents, batch, random_ids(count, NUM_TRACKS, generator))


def chunk_loop_loss(known: Trajectories, model: TrackWan, step: int) -> Tensor:
    level = int(np.random.default_rng(step).integers(len(SPEC.step_list)))
    told = Conditioned.on_everything(len(known)).to(known.clean.device)
    whole = conditions_of(model, known.batch, known.ids, SPEC, told)
    chunks = teacher_forced(model, SPEC, whole, known.levels[:, level], known.clean, level)
    return rollout_loss(chunks, known.clean, track_weight(known.batch, SPEC))


def seconds_per_step(model: TrackWan, loss: Callable[[int], Tensor], num_steps: int, half: bool) -> float:
    """Median over `num_steps` forward and backward passes, after one to warm up."""
    device = model.patch_embedding.weight.device
    taken = []
    for step in range(num_steps + 1):
        if device.type == "cuda":
            torch.cuda.synchronize()
        before = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            value = loss(step)
        value.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - before)
        model.zero_grad(set_to_none=True)
    return float(np.median(taken[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--precision", nargs="+", choices=["fp32", "bf16"], default=["fp32", "bf16"])
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else f"{platform.machine()} CPU"
    known = random_trajectories(args.batch).to(device)
    torch.manual_seed(0)
    model = build_model(SPEC).to(device)
    passes = {
        through: causal_loss(known, SPEC, CausalMasks(own_share=1.0, through_past=through), 0, device)
        for through in (False, True)
    }
    print(
        f"bundled student, {NUM_LATENT_FRAMES} latent frames of {CELLS} x {CELLS}, batch {args.batch}, forward and "
        f"backward, {hardware}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    print(
        "| precision | chunk loop s | one pass, past detached s | ratio | one pass, gradient through past s | ratio |"
    )
    print("|---|---|---|---|---|---|")
    for precision in args.precision:
        half = precision == "bf16"
        loop = seconds_per_step(model, lambda step: chunk_loop_loss(known, model, step), args.steps, half)
        cells = [f"{loop:.2f}"]
        for through in (False, True):
            one_pass = passes[through]
            seconds = seconds_per_step(
                model, lambda step, one_pass=one_pass: one_pass(model, step, 0, args.batch), args.steps, half
            )
            cells += [f"{seconds:.2f}", f"{loop / seconds:.2f}"]
        print(f"| {precision} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
