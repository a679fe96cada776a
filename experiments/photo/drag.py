"""Teach the student to finish what its tracks have dragged: `python -m experiments.photo.drag OUT --steps 2000`.

On a CPU core, from the blocks of an earlier student; it can be stopped at any time and goes on where it was. Clips are
drawn beside the training (`drags`), each is seen two or three times. At the end `released.safetensors` is what is
bundled.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.photo.__main__ import SPEC as PLAIN_SPEC
from experiments.photo.__main__ import save_student
from experiments.photo.drags import Array, DragClip, draw_drag, draw_pictures
from motionstream_core.checkpoints import build_model, load_model, load_tiny_vae, save_model
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.models.conditioning import first_frame_mask
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import moved_mask
from motionstream_core.streaming.image_source import CarriedImage, latent_shares
from motionstream_core.streaming.rollout import GradientPolicy
from motionstream_core.tracks import Tracks
from motionstream_core.training.data import Batch, View
from motionstream_core.training.data.batches import collate
from motionstream_core.training.engine.checkpoint import Checkpoints
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches, Part
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.stages.causal_loss import CausalMasks, frame_levels, predict_clean, sparse_causal
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.student import training_rollout

CELL_PX, FRAME_PX = 8, 128.0
IMAGE_SKIP = 0.4  # deviation of latents about those of the carried picture, measured over clips
LAYERS = (0, 2, 5, 7)  # those of the first student's eight that are kept
SPEC = replace(
    PLAIN_SPEC,
    image_rule="carried",
    image_skip=IMAGE_SKIP,
    step_list=(1000, 500),
    backbone=replace(PLAIN_SPEC.backbone, num_layers=len(LAYERS)),
)
MOVED_GAIN = 3.0  # what a cell that a moving object fills, or has left, counts more than another
RATE = 8e-4
MASKS = CausalMasks(own_share=0.85)
NOTE_STEPS, SAVE_STEPS = 25, 100
CHUNKS = (1, 2, 3)  # latent frames of a chunk that the student must go on by on its own past
WORDS = ("still",)
HEAD_SHARE = 0.5


@dataclass(frozen=True)
class Phase:
    """Until `end`, a share of the steps: steps of `batch_size` clips of a view, a share of them on the own past."""

    end: float
    view: View
    batch_size: int
    rollouts: float
    clips: int


PHASES = (
    Phase(0.15, View(7, 10), 5, 0.0, 60),
    Phase(0.45, View(7, 16), 3, 0.6, 40),
    Phase(1.0, View(13, 16), 2, 0.8, 24),
)
FIRST_PICTURES = 60
PICTURES_PER_ROUND, ROUND_STEPS, MOST_PICTURES = 4, 30, 400


@dataclass(frozen=True)
class DrawnClip:
    """latents (c f h w), the points told, changed (f h w); image (c f h w), the carried picture, mask (4 f h w)."""

    latents: Tensor
    points: Tensor
    visibility: Tensor
    changed: Tensor
    image: Tensor
    mask: Tensor


def carried(vae: TinyVae, picture: Tensor, tracks: Tracks, side: float) -> tuple[Tensor, Tensor]:
    """The image's and the mask's slot (c f h w) of a whole clip, made chunk by chunk as in a stream."""
    source, slots = CarriedImage(vae, SPEC.vae_stride, picture, side), []
    for chunk in SPEC.chunk_plan.chunks(SPEC.vae_stride.num_latent_frames(tracks.num_frames)):
        frames = tracks.slice(*SPEC.vae_stride.frame_span(chunk.start, chunk.stop))
        slots.append(source.at_latents(chunk.start, chunk.stop, frames))
    image = torch.cat([slot.latents for slot in slots], dim=2)
    mask = first_frame_mask(image.shape[2], image.shape[3], image.shape[4], image)
    moved = torch.cat([slot.moved for slot in slots if slot.moved is not None], dim=2)
    return image[0], moved_mask(mask, moved, 0)[0]


class DragClips:
    """Clips of one view as latents, with their tracks and the share of every cell that moves."""

    def __init__(self, view: View, vae: TinyVae, pictures: list[Array], seed: int) -> None:
        self.view, self.vae, self.pictures, self.seed = view, vae, pictures, seed
        self.drawn = 0
        self._clips: list[DrawnClip] = []

    @torch.no_grad()
    def draw(self, count: int) -> None:
        """Draw `count` more in place of the oldest, or beside them until there are any."""
        frames, side = 1 + 4 * (self.view.latent_frames - 1), self.view.cells * CELL_PX
        fresh = not self._clips
        for _ in range(count):
            rng = np.random.default_rng((self.seed, self.drawn))
            clip = draw_drag(rng, self.pictures, frames, side)
            self.drawn += 1
            told = told_points(clip, rng)
            points, visibility = (torch.from_numpy(part[:, told]) for part in (clip.points, clip.visibility))
            truth = torch.from_numpy(clip.frames).permute(3, 0, 1, 2).float() / 255
            tracks = Tracks(points.nan_to_num(), visibility, side, side)
            image, mask = carried(self.vae, truth[:, 0], tracks, FRAME_PX)
            latents = self.vae.encode(truth[None])[0]
            moved = torch.from_numpy(clip.moved)
            changed = latent_shares(torch.maximum(moved, moved[:1])[None], SPEC.vae_stride)[0]
            self._clips.append(DrawnClip(latents, points, visibility, changed, image, mask))
        if not fresh:
            del self._clips[:count]

    def batch(self, size: int, rng: np.random.Generator) -> tuple[Batch, Tensor]:
        """Random clips, and the weight (b 1 f h w) of their cells."""
        clips = [self._clips[index] for index in rng.integers(len(self._clips), size=size)]
        batch = collate([(clip.latents, clip.points, clip.visibility, "") for clip in clips])
        image, mask = torch.stack([clip.image for clip in clips]), torch.stack([clip.mask for clip in clips])
        weight = 1 + MOVED_GAIN * torch.stack([clip.changed for clip in clips])[:, None]
        return replace(batch, image=image, mask=mask), weight

    def some(self, count: int) -> tuple[Tensor, Tensor]:
        """Latents (b c f h w) of the first clips and of their carried pictures."""
        clips = self._clips[:count]
        return torch.stack([clip.latents for clip in clips]), torch.stack([clip.image for clip in clips])


def told_points(clip: DragClip, rng: np.random.Generator) -> np.ndarray:
    """Some points of all that moves, as a hand would set them; now and then some of what stands still, or all of it."""
    told = [np.zeros(0, np.int64)]
    for thing, moves in enumerate(clip.moves[:-1]):
        mine = np.flatnonzero(clip.owner == thing)[:9]
        if moves:
            told.append(rng.permutation(mine)[: int(rng.choice([1, 2, 3, 4, 4, 5, 6, 9, 9, 9]))])
        elif rng.random() < 0.4:
            told.append(rng.permutation(mine)[: int(rng.integers(1, 5))])
    ground = rng.permutation(np.flatnonzero(clip.owner == -1))
    if clip.moves[-1]:
        told.append(ground[: int(rng.integers(6, 65))])
    elif (kind := rng.random()) < 0.7:
        told.append(ground if kind < 0.4 else ground[: int(rng.choice([1, 2, 4, 8, 16, 32]))])
    return np.concatenate(told)


@torch.no_grad()
def channel_weights(vae: TinyVae, latents: Tensor) -> Tensor:
    """Weights (1 c 1 1 1) of mean 1: the square root of what an error in a channel costs in decoded pixels."""
    generator, plain = torch.Generator().manual_seed(0), vae.decode(latents, clamp=False)
    costs = []
    for channel in range(latents.shape[1]):
        off = latents.clone()
        off[:, channel] += 0.2 * torch.randn(off[:, channel].shape, generator=generator)
        costs.append((vae.decode(off, clamp=False) - plain).square().mean().sqrt())
    weights = torch.stack(costs)
    return (weights / weights.mean()).view(1, -1, 1, 1, 1)


def weighted(error: Tensor, weight: Tensor, channels: Tensor) -> Tensor:
    """Mean squared error (b c f h w) under the weights of cells and channels."""
    return (error.square() * channels).mean(1, keepdim=True).mul(weight).sum() / weight.sum()


def past_loss(model: TrackWan, batch: Batch, weight: Tensor, channels: Tensor, rng: np.random.Generator) -> Tensor:
    """Of all chunks, each on the true past, at levels of the student's own."""
    sink, window = MASKS.draw(SPEC, rng)
    count, clean = len(batch.captions), batch.latents
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    ids = random_ids(count, batch.points.shape[2], generator)
    levels = student_sigmas(SPEC.step_list, SPEC.shift)[:-1]
    sigma = levels[frame_levels(SPEC, count, clean.shape[2], True, rng)]
    noise = torch.randn(clean.shape, generator=generator)
    at = sigma[:, None, :, None, None]
    whole = conditions_of(model, batch, ids, SPEC, Conditioned.on_everything(count))
    past = sparse_causal(model, SPEC, clean.shape, sink, window)
    predicted = predict_clean(model, SPEC, whole, (1 - at) * clean + at * noise, sigma, clean, past, True)
    return weighted((predicted - clean)[:, :, 1:], weight[:, :, 1:], channels)


def own_loss(model: TrackWan, batch: Batch, weight: Tensor, channels: Tensor, rng: np.random.Generator) -> Tensor:
    """Of all chunks, each on the student's own past."""
    count, clean = len(batch.captions), batch.latents
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    ids = random_ids(count, batch.points.shape[2], generator)
    whole = conditions_of(model, batch, ids, SPEC, Conditioned.on_everything(count))
    policy = GradientPolicy(int(rng.integers(len(SPEC.step_list))))
    spec = replace(SPEC, chunk_plan=replace(SPEC.chunk_plan, chunk_frames=int(rng.choice(CHUNKS))))
    spans = []
    for rolled in training_rollout(model, spec, whole, clean.shape, policy, int(rng.integers(2**40))):
        if rolled.latents.requires_grad:
            span = slice(rolled.chunk.start, rolled.chunk.stop)
            spans.append(weighted(rolled.latents - clean[:, :, span], weight[:, :, span], channels))
    return torch.stack(spans).mean()


def drawn_loss(
    of: Callable[..., Tensor],
    model: TrackWan,
    clips: DragClips,
    channels: Tensor,
    rng: np.random.Generator,
    micro: int,
    size: int,
) -> Tensor:
    """Either loss of clips that `rng` draws; the whole batch is one micro-batch."""
    return of(model, *clips.batch(size, rng), channels, rng)


def first_model(start: Path) -> TrackWan:
    """The student `start`, or, with the blocks of one that is deeper, one that shows the carried picture as it is."""
    loaded = load_model(start)
    model, given = build_model(SPEC), loaded.model.state_dict()
    deeper = loaded.spec.backbone.num_layers > len(LAYERS)
    if deeper:
        given = kept_layers(given)
    model.load_state_dict(model.state_dict() | {k: v for k, v in given.items() if not k.startswith("text_encoder.")})
    if deeper or loaded.spec.image_rule != "carried":
        torch.nn.init.zeros_(model.head.head.weight)
        torch.nn.init.zeros_(model.head.head.bias)
    return model.float().train()


def kept_layers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of a deeper model's weights those of `LAYERS`, renumbered, and all that is in no layer."""
    kept = {name: value for name, value in state.items() if not name.startswith("blocks.")}
    for place, layer in enumerate(LAYERS):
        old, new = f"blocks.{layer}.", f"blocks.{place}."
        kept |= {new + name[len(old) :]: value for name, value in state.items() if name.startswith(old)}
    return kept


def release(student: Path, out: Path) -> None:
    """The student as it is bundled, in half precision.

    It was trained without captions, so that its one word changes nothing. Its head is the mean of the silent one, with
    which it began, and of the trained one (docs/log.md).
    """
    loaded, spec = load_model(student), replace(SPEC, vocabulary=WORDS)
    model = build_model(spec)
    kept = {name: value for name, value in loaded.model.state_dict().items() if not name.startswith("text_encoder.")}
    words = {name: torch.zeros_like(value) for name, value in model.state_dict().items() if name not in kept}
    head = {name: value * HEAD_SHARE for name, value in kept.items() if name.startswith("head.head.")}
    model.load_state_dict(kept | words | head)
    save_model(out, model, spec, torch.float16)


def draw_pool(view: View, count: int, vae: TinyVae, pictures: list[Array], seed: int) -> tuple[DragClips, Tensor]:
    """The first clips of a phase, and what its channels weigh."""
    clips = DragClips(view, vae, pictures, seed)
    clips.draw(count)
    latents, images = clips.some(8)
    deviation = (latents - images)[:, :, 1:].std().item()
    print(f"{count} clips of {view}, deviation about the carried picture {deviation:.3f}", flush=True)
    return clips, channel_weights(vae, latents[:4])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the student and of the checkpoints")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--start", type=Path, default=PHOTO_STUDENT, help="the student to start from")
    parser.add_argument("--tiny-vae", type=Path, default=PHOTO_TINY_VAE, help="with a draft (`draft`)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: where the CPU has it")
    args = parser.parse_args()
    engine = Engine(Compute(torch.device("cpu"), args.precision))
    vae = load_tiny_vae(args.tiny_vae).float().eval().requires_grad_(False)
    model = first_model(args.start)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("text_") and "cross_attn" not in name)  # no clip has a caption
    part = engine.part("student", model, OptimizerSettings(learning_rate=RATE), 0.99)
    with Checkpoints(engine, args.out / "checkpoints", 1, print) as checkpoints:
        first = checkpoints.resume([part])
        train(engine, part, vae, first, args.steps, args.out, checkpoints)
    release(args.out / "student.safetensors", args.out / "released.safetensors")


def train(
    engine: Engine, part: Part, vae: TinyVae, first: int, steps: int, out: Path, checkpoints: Checkpoints
) -> None:
    """Steps first .. steps - 1; the average goes to `out` with every checkpoint and at the end."""
    picture_rng = np.random.default_rng((301, first))
    pictures = draw_pictures(picture_rng, FIRST_PICTURES)
    pool: tuple[DragClips, Tensor] | None = None
    model, losses = part.model, list[tuple[bool, float]]()
    assert isinstance(model, TrackWan)
    for step in range(first, steps):
        phase = next(phase for phase in PHASES if step < phase.end * steps)
        if pool is None or pool[0].view != phase.view:
            pool = draw_pool(phase.view, phase.clips, vae, pictures, 400 + step)
        clips, channels = pool
        rng = np.random.default_rng((302, step))
        of = own_loss if rng.random() < phase.rollouts else past_loss
        loss = partial(drawn_loss, of, model, clips, channels, rng)
        rate = min(1.0, (step + 1) / 60) * max(0.03, min(1.0, (1 - step / steps) / 0.6))
        figures = engine.accumulate(part, MicroBatches(phase.batch_size), loss, rate, f"step {step}")
        losses.append((of is own_loss, figures["loss"]))
        clips.draw(-(-phase.batch_size // 3))
        if (step + 1) % ROUND_STEPS == 0:
            pictures += draw_pictures(picture_rng, PICTURES_PER_ROUND)
            del pictures[: max(0, len(pictures) - MOST_PICTURES)]
        if (step + 1) % NOTE_STEPS == 0:
            past, own = (np.mean([value for kind, value in losses if kind is which] or [0]) for which in (False, True))
            print(f"step {step + 1}: past {past:.4f}, own {own:.4f}", flush=True)
            losses.clear()
        if (step + 1) % SAVE_STEPS == 0 or step + 1 == steps:
            checkpoints.save(step + 1, [part])
            save_student(out, engine, part, SPEC)


if __name__ == "__main__":
    main()
