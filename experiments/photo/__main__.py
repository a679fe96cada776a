"""Train VAE and student for photos within a given time: `python -m experiments.photo OUT --seconds 560`.

Processes draw clips of dead leaves without end; beside them the VAE is trained from its components, then the student
from nothing: on windows of 64 px, on whole frames, on its own rollouts. What is there is saved every minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from motionstream_core.checkpoints import save_model, save_tiny_vae
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.models.conditioning import InputLayout
from motionstream_core.models.precision import cpu_is_fast_in_bf16
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.training.data import Batch, View, choose_tracks, collate, object_window
from motionstream_core.training.engine.averaged import averaged_model
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches, Part
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.recipes.bundled_specs import TEACHER_SPEC
from motionstream_core.training.stages.causal_loss import CausalMasks, causal_loss
from motionstream_core.training.stages.regression import TruePaths, truth_loss
from motionstream_core.training.stages.teacher import new_teacher
from motionstream_core.training.stages.tiny_vae.settings import PHOTO
from motionstream_core.training.stages.tiny_vae.stage import leaf_patches
from motionstream_core.training.stages.tiny_vae.start import PHOTO_VAE, initialise_components
from motionstream_core.training.stages.tiny_vae.step import reconstruction_loss, scale_penalty
from motionstream_core.world.leaves import render_leaves, sample_leaves

CHANNELS = PHOTO_VAE.latent_channels
SPEC = replace(
    TEACHER_SPEC,
    role="student",
    pin_first_latent=True,
    layout=InputLayout((("noise", CHANNELS), ("mask", 4), ("image", CHANNELS), ("track", 16))),
    backbone=replace(TEACHER_SPEC.backbone, num_layers=8, in_channels=2 * CHANNELS + 20, out_channels=CHANNELS),
)
CLIP_FRAMES, CELLS, CELL_PX = 49, 16, 8
CLIPS_PER_FILE = 4
MOVES_PX = 2.0  # a background that moves further between first and last frame is told
HELD_OUT = 8
FIRST_CLIPS = 200
VAE_BATCH, VAE_FRAMES, VAE_PX = 48, 9, 96
# Ends of the VAE's training, of 64 px windows, of whole frames and of rollouts, as shares of the time.
VAE_END, WINDOWS_END, FRAMES_END, ROLLOUTS_END = 0.22, 0.55, 0.82, 0.985


def draw_clips(folder: Path, worker: int, num_workers: int) -> None:
    """Write clips number worker, worker + num_workers, ... into files that appear whole; never returns."""
    torch.set_num_threads(1)
    number = worker
    while True:
        arrays = {}
        for place in range(CLIPS_PER_FILE):
            clip = render_leaves(sample_leaves(np.random.default_rng((101, number)), CLIP_FRAMES))
            arrays |= {f"frames{place}": clip.frames, f"points{place}": clip.points}
            arrays |= {f"visibility{place}": clip.visibility, f"owner{place}": clip.owner}
            number += num_workers
        partial = folder / f".{number}"
        with partial.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        partial.rename(folder / f"{number}.npz")


class LeafClips:
    """Clips that were drawn so far: frames on the device, and, once a VAE is there, latents (n c f h w) on the CPU."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self.frames: list[Tensor] = []
        self._tracks: list[tuple[Tensor, Tensor, np.ndarray]] = []
        self.latents = torch.zeros(0)

    def __len__(self) -> int:
        return len(self.latents)

    def refresh(self) -> None:
        """Take in the files that were written since, and delete them."""
        for path in sorted(self.folder.glob("*.npz")):
            with np.load(path) as file:
                for place in range(CLIPS_PER_FILE):
                    self.frames.append(torch.from_numpy(file[f"frames{place}"]).to(self.device))
                    points = torch.from_numpy(file[f"points{place}"])
                    visibility = torch.from_numpy(file[f"visibility{place}"])
                    self._tracks.append((points, visibility, file[f"owner{place}"].astype(np.int64) - 1))
            path.unlink()

    @torch.no_grad()
    def encode(self, vae: TinyVae, engine: Engine) -> None:
        """Encode what is not encoded yet."""
        self.refresh()
        done = [self.latents] if len(self.latents) else []
        for frames in torch.stack(self.frames[len(self.latents) :]).split(16):
            with engine.autocast():
                done.append(vae.encode(frames.permute(0, 4, 1, 2, 3).float() / 255).half().cpu())
        self.latents = torch.cat(done)

    def batch(self, batch_size: int, view: View, rng: np.random.Generator) -> Batch:
        """Random clips, windows and tracks; where the background moves, some of its points are told."""
        latents, rows = [], []
        frames = 1 + 4 * (view.latent_frames - 1)
        for _ in range(batch_size):
            clip = int(rng.integers(len(self.latents)))
            points, visibility, owner = self._tracks[clip]
            points, visibility = points[:frames], visibility[:frames]
            row, column = object_window(points[0], torch.from_numpy(owner), CELLS, view.cells, rng)
            window = slice(row, row + view.cells), slice(column, column + view.cells)
            latents.append(self.latents[clip, :, : view.latent_frames, window[0], window[1]].float())
            told = torch.from_numpy(self._told(points, owner, rng))
            shift = torch.tensor([column, row]) * float(CELL_PX)
            rows.append((torch.zeros(1), points[:, told] - shift, visibility[:, told], ""))
        return replace(collate(rows), latents=torch.stack(latents))

    def _told(self, points: Tensor, owner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        told, ground = choose_tracks(owner, rng), np.flatnonzero(owner == -1)
        moved_px = (points[-1, ground] - points[0, ground]).norm(dim=-1).median().item()
        some = np.zeros(0, np.int64)
        if moved_px > MOVES_PX and not (owner[told] == -1).any():
            some = rng.permutation(ground)[: int(rng.integers(4, 20))]
        elif len(told) and rng.random() < 0.3:
            some = np.setdiff1d(rng.permutation(ground)[: int(rng.integers(8, 60))], told)
        return np.concatenate([told, some])


def train_vae(clips: LeafClips, engine: Engine, share: Callable[[], float], batch_size: int) -> TinyVae:
    """The VAE's average after its part of the time, trained on crops of the clips that are there."""
    torch.manual_seed(PHOTO.seed)
    vae = TinyVae(PHOTO_VAE)
    initialise_components(vae, leaf_patches(PHOTO_VAE.patch_size, PHOTO.seed))
    part = engine.part("tiny_vae", vae, PHOTO.optimizer(2 * PHOTO.learning_rate), PHOTO.ema_decay)
    rng, began = np.random.default_rng(PHOTO.seed), share()

    def loss(micro: int, size: int) -> Tensor:
        crops = []
        for _ in range(size):
            frames = clips.frames[int(rng.integers(HELD_OUT, len(clips.frames)))]
            t, y, x = (int(rng.integers(0, spare + 1)) for spare in (CLIP_FRAMES - VAE_FRAMES, 32, 32))
            crops.append(frames[t : t + VAE_FRAMES, y : y + VAE_PX, x : x + VAE_PX])
        target = torch.stack(crops).permute(0, 4, 1, 2, 3).float() / 255
        latents = vae.encode(target).float()
        output = vae.decode(latents + PHOTO.latent_noise * torch.randn_like(latents), clamp=False).float()
        return reconstruction_loss(output, target, PHOTO) + PHOTO.scale_weight * scale_penalty(latents)

    step = 0
    while share() < VAE_END:
        left = 1 - (share() - began) / (VAE_END - began)
        rate = min(1.0, (step + 1) / 100) * max(0.01, left)
        engine.accumulate(part, MicroBatches(batch_size), loss, rate, f"tiny-vae, step {step}")
        step += 1
        if step % 200 == 0:
            clips.refresh()
    assert part.ema is not None
    done = TinyVae(PHOTO_VAE)
    done.load_state_dict(part.ema.weights)
    done = done.eval().requires_grad_(False).to(engine.device)
    with torch.no_grad():
        held_out = torch.stack(clips.frames[:HELD_OUT]).permute(0, 4, 1, 2, 3).float() / 255
        psnr_db = -10 * F.mse_loss(done.decode(done.encode(held_out)), held_out).log10().item()
    print(f"tiny-vae: {step} steps, {psnr_db:.2f} dB on held-out clips", flush=True)
    return done


def train_student(
    clips: LeafClips, vae: TinyVae, engine: Engine, share: Callable[[], float], out: Path, scale: float
) -> None:
    """The student from nothing; its average goes to `out` every minute and at the end."""
    model = new_teacher(SPEC, 7)
    part = engine.part("student", model, OptimizerSettings(learning_rate=1.2e-3), 0.99)
    masks = CausalMasks(own_share=0.7)
    whole = View(13, CELLS)
    phases = (
        (WINDOWS_END, 96, 1.0, causal_loss(TruePaths(clips, SPEC, View(13, 8)), SPEC, masks, 5, engine.device)),
        (FRAMES_END, 32, 1.0, causal_loss(TruePaths(clips, SPEC, whole), SPEC, masks, 5, engine.device)),
        (ROLLOUTS_END, 24, 0.5, truth_loss(clips, SPEC, whole, 6, engine.device)),
    )
    step, saved_s = 0, time.monotonic()
    for end, clips_per_step, factor, step_loss in phases:
        batches = MicroBatches(max(1, int(clips_per_step * scale)))
        clips.encode(vae, engine)
        while share() < end:
            left = (ROLLOUTS_END - share()) / (ROLLOUTS_END - VAE_END)
            rate = factor * min(1.0, (step + 1) / 50) * max(0.03, min(1.0, left / 0.6))

            def loss(micro: int, size: int, number: int = step, of: Callable[..., Tensor] = step_loss) -> Tensor:
                return of(model, number, micro, size)

            figures = engine.accumulate(part, batches, loss, rate, f"student, step {step}")
            step += 1
            if step % 50 == 0:
                print(f"student: {step} steps, {len(clips)} clips, loss {figures['loss']:.4f}", flush=True)
            if step % 150 == 0:
                clips.encode(vae, engine)
            if time.monotonic() - saved_s > 60:
                saved_s = time.monotonic()
                save_student(out, engine, part)
    save_student(out, engine, part)


def save_student(out: Path, engine: Engine, part: Part, spec: ModelSpec = SPEC) -> None:
    """Write the average in half precision."""
    averaged = averaged_model(engine, part, spec)
    assert averaged is not None
    save_model(out / "student.safetensors", averaged, spec, torch.float16)


def spent_of(seconds: float, device: torch.device) -> Callable[[], float]:
    """Says which share of so many seconds is over since now: of the clock's beside a GPU, else of those computed in."""
    on_gpu = device.type == "cuda"
    clock, seconds = (time.monotonic, seconds) if on_gpu else (time.process_time, seconds * torch.get_num_threads())
    began = clock()
    return lambda: (clock() - began) / seconds


def computing(parser: argparse.ArgumentParser, device: torch.device, precision: Literal["bf16", "fp32"]) -> Compute:
    """What is computed on, and in which numbers; a usage error for bf16 on a CPU that is slower in it."""
    if precision == "bf16" and device.type == "cpu" and not cpu_is_fast_in_bf16():
        parser.error("--precision bf16: this CPU is slower in it, having neither AMX nor AVX512-BF16; leave out BF16=1")
    return Compute(device, precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the two files")
    parser.add_argument("--seconds", type=float, default=560, help="on a CPU those it computes in")
    parser.add_argument(
        "--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that draw clips"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of all batches, for a small machine")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="bf16 on a GPU, or where the CPU has it")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    share = spent_of(args.seconds, device)
    engine = Engine(computing(parser, device, args.precision or ("bf16" if device.type == "cuda" else "fp32")))
    raw = args.out / "clips"
    raw.mkdir(parents=True, exist_ok=True)
    for worker in range(args.workers):
        multiprocessing.Process(target=draw_clips, args=(raw, worker, args.workers), daemon=True).start()
    clips = LeafClips(raw, device)
    while len(clips.frames) < max(HELD_OUT + 1, FIRST_CLIPS * args.scale):
        time.sleep(0.2)
        clips.refresh()

    vae = train_vae(clips, engine, share, max(2, int(VAE_BATCH * args.scale)))
    save_tiny_vae(args.out / "tiny_vae.safetensors", vae.cpu(), torch.float16)
    train_student(clips, vae.to(device), engine, share, args.out, args.scale)


if __name__ == "__main__":
    main()
