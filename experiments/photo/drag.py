"""Teach the student to finish what its tracks have dragged, and to do what words ask for.

`python -m experiments.photo.drag OUT --steps 2000`, on a CPU core, from the blocks of an earlier student; it can be
stopped at any time and goes on where it was. Clips are drawn beside the training (`clips`), each is seen two or three
times. At the end `released.safetensors` is what is bundled.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.photo.__main__ import SPEC as PLAIN_SPEC
from experiments.photo.__main__ import computing, save_student
from experiments.photo.clips import VOCABULARY, Clips, Drawn, keep_drawing
from motionstream_core.checkpoints import build_model, load_model, load_tiny_vae, save_model
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.geometry import Chunk
from motionstream_core.models.conditioning import Conditions
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.rollout import ConditionSource, GradientPolicy
from motionstream_core.training.data import View, prefetched
from motionstream_core.training.engine.checkpoint import Checkpoints
from motionstream_core.training.engine.engine import Engine, MicroBatches, Part
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.stages.causal_loss import CausalMasks, predict_clean, sparse_causal
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.student import chunk_conditions, noised_rollout

IMAGE_SKIP = 0.4  # deviation of latents about those of the carried picture, measured over clips without words
LAYERS = (0, 2, 5, 7)  # those of the first student's eight that are kept
SPEC = replace(
    PLAIN_SPEC,
    image_rule="carried",
    image_skip=IMAGE_SKIP,
    step_list=(1000,),
    vocabulary=VOCABULARY,
    backbone=replace(PLAIN_SPEC.backbone, num_layers=len(LAYERS)),
)
MADE_GAIN = 3.0  # what a cell that words change counts more than another
RATE = 2.5e-3
MASKS = CausalMasks(own_share=0.85)
NOTE_STEPS, SAVE_STEPS = 25, 100
CHUNKS = (1, 2, 3)  # latent frames of a chunk that the student must go on by on its own past


@dataclass(frozen=True)
class Phase:
    """Until `end`, a share of the steps: steps of `batch_size` clips of a view.

    still: share of the clips that show a picture in which nothing moves; rollouts: of the steps on the own past; falls:
    how many times as often as a light what falls is asked for.
    """

    end: float
    view: View
    batch_size: int
    still: float
    rollouts: float
    falls: float


WHOLE = View(13, 16)
PHASES = (
    Phase(0.7, View(7, 8), 16, 1.0, 0.4, 5.0),  # what words do is learned in small windows: what falls is all local
    Phase(0.85, View(7, 16), 5, 0.8, 0.6, 5.0),
    Phase(1.0, WHOLE, 4, 0.8, 1.0, 2.0),  # half turn to other words; here alone a light is seen at its full
)
DRAGS, FIRST_DRAGS = 800, 24
ROUND_STEPS = 30


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


def past_loss(model: TrackWan, drawn: Drawn, channels: Tensor, rng: np.random.Generator) -> Tensor:
    """Of all chunks, each on the true past, from the clips' noise, under their first words."""
    sink, window = MASKS.draw(SPEC, rng)
    clean = drawn.batch.latents
    whole = _conditions(model, drawn, rng)
    past = sparse_causal(model, SPEC, clean.shape, sink, window)
    sigma = student_sigmas(SPEC.step_list, SPEC.shift)[0].expand(len(clean), clean.shape[2])
    predicted = predict_clean(model, SPEC, whole, drawn.noise, sigma, clean, past, True)
    return weighted((predicted - clean)[:, :, 1:], drawn.weight[:, :, 1:], channels)


def own_loss(model: TrackWan, drawn: Drawn, channels: Tensor, rng: np.random.Generator) -> Tensor:
    """Of all chunks, each on the student's own past, from the clips' noise, under the words asked for by then."""
    clean = drawn.batch.latents
    conditions = under_words(model, chunk_conditions(_conditions(model, drawn, rng)), drawn.captions)
    spec = replace(SPEC, chunk_plan=replace(SPEC.chunk_plan, chunk_frames=int(rng.choice(CHUNKS))))

    def noise(chunk: Chunk, step: int) -> Tensor:
        return drawn.noise[:, :, chunk.start : chunk.stop]

    spans = []
    for rolled in noised_rollout(model, spec, conditions, clean.shape, GradientPolicy(0), noise):
        if rolled.latents.requires_grad:
            span = slice(rolled.chunk.start, rolled.chunk.stop)
            spans.append(weighted(rolled.latents - clean[:, :, span], drawn.weight[:, :, span], channels))
    return torch.stack(spans).mean()


def _conditions(model: TrackWan, drawn: Drawn, rng: np.random.Generator) -> Conditions:
    count, num_tracks = len(drawn.captions), drawn.batch.points.shape[2]
    ids = random_ids(count, num_tracks, torch.Generator().manual_seed(int(rng.integers(2**62))))
    return conditions_of(model, drawn.batch, ids, SPEC, Conditioned.on_everything(count))


def under_words(model: TrackWan, conditions: ConditionSource, captions: list[tuple[str, ...]]) -> ConditionSource:
    """The same, every chunk under the words of its first latent frame, told clip by clip."""
    assert model.text_encoder is not None
    encoder = model.text_encoder

    def worded(chunk: Chunk) -> Conditions:
        text = encoder.encode([words[chunk.start] for words in captions])
        return replace(conditions(chunk), context=model.prepare_context(text))

    return worded


def first_model(start: Path) -> TrackWan:
    """The student `start`, or, with the blocks of one that is deeper, one that shows the carried picture as it is."""
    loaded = load_model(start)
    model, given = build_model(SPEC), loaded.model.state_dict()
    deeper = loaded.spec.backbone.num_layers > len(LAYERS)
    if deeper:
        given = kept_layers(given)
    if loaded.spec.vocabulary != SPEC.vocabulary:
        given = {name: value for name, value in given.items() if not name.startswith("text_encoder.")}
    model.load_state_dict(model.state_dict() | given)
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
    """The student as it is bundled: in half precision."""
    save_model(out, load_model(student).model, SPEC, torch.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="folder of the student, of the checkpoints and of the clips")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--start", type=Path, default=PHOTO_STUDENT, help="the student to start from")
    parser.add_argument("--tiny-vae", type=Path, default=PHOTO_TINY_VAE, help="with a draft (`draft`)")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="bf16: where the CPU has it")
    args = parser.parse_args()
    engine = Engine(computing(parser, torch.device("cpu"), args.precision))
    vae = load_tiny_vae(args.tiny_vae).float().eval().requires_grad_(False)
    part = engine.part("student", first_model(args.start), OptimizerSettings(learning_rate=RATE), 0.99)
    folder = args.out / "drags"
    folder.mkdir(parents=True, exist_ok=True)
    drawer = multiprocessing.Process(target=keep_drawing, args=(folder, DRAGS, SPEC, args.tiny_vae, WHOLE), daemon=True)
    drawer.start()
    while drawer.is_alive() and len(list(folder.glob("[0-9]*.npz"))) < FIRST_DRAGS:
        drawer.join(1)
    if drawer.exitcode:
        raise SystemExit("the process that draws drags ended with an error: see above")
    with Checkpoints(engine, args.out / "checkpoints", 1, print) as checkpoints:
        first = checkpoints.resume([part])
        train(engine, part, Clips(folder, SPEC, vae, first), first, args.steps, args.out, checkpoints)
    drawer.terminate()
    release(args.out / "student.safetensors", args.out / "released.safetensors")


def train(
    engine: Engine, part: Part, clips: Clips, first: int, steps: int, out: Path, checkpoints: Checkpoints
) -> None:
    """Steps first .. steps - 1; the average goes to `out` with every checkpoint and at the end."""
    channels = channel_weights(
        clips.vae, clips.batch(View(4, 16), 6, 0.0, np.random.default_rng(300), 0.0, 1.0).batch.latents
    )
    model, losses = part.model, list[tuple[bool, float]]()
    assert isinstance(model, TrackWan)

    def draw(step: int) -> tuple[Drawn, bool, np.random.Generator]:
        """A step's clips, whether it is one on the student's own past, and what draws the rest of it."""
        rng, phase = np.random.default_rng((304, step)), phase_of(step, steps)
        if step > first and step % ROUND_STEPS == 0:
            clips.refresh(rng)
        own_past = bool(rng.random() < phase.rollouts)
        with engine.autocast():
            drawn = clips.batch(phase.view, phase.batch_size, phase.still, rng, MADE_GAIN, phase.falls)
            return drawn, own_past, rng

    for step, (drawn, own_past, rng) in enumerate(prefetched(draw, range(first, steps)), first):
        loss = partial(own_loss if own_past else past_loss, model, drawn, channels, rng)
        rate = min(1.0, (step + 1) / 60) * max(0.03, min(1.0, (1 - step / steps) / 0.6))
        figures = engine.accumulate(part, MicroBatches(len(drawn.captions)), undivided(loss), rate, f"step {step}")
        losses.append((own_past, figures["loss"]))
        if (step + 1) % NOTE_STEPS == 0:
            past, own = (np.mean([value for kind, value in losses if kind is which] or [0]) for which in (False, True))
            print(f"step {step + 1}: past {past:.4f}, own {own:.4f}, {len(clips.files)} drags", flush=True)
            losses.clear()
        if (step + 1) % SAVE_STEPS == 0 or step + 1 == steps:
            checkpoints.save(step + 1, [part])
            save_student(out, engine, part, SPEC)


def undivided(loss: Callable[[], Tensor]) -> Callable[[int, int], Tensor]:
    """The loss of a batch that is one micro-batch."""
    return lambda micro, size: loss()


def phase_of(step: int, steps: int) -> Phase:
    """The phase of a step of `steps`."""
    return next(phase for phase in PHASES if step < phase.end * steps)


if __name__ == "__main__":
    main()
