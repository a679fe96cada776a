"""Part 6: one step of each training stage at 1.3B: time, memory, and the share of the device's rate."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import torch

from benchmarks.measure.models import preset_spec, random_model
from benchmarks.measure.timing import forget_peak, matrix_rate, peak_gib, seconds
from motionstream_core.checkpoints import LoadedModel, ModelSpec
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.recipes.micro_costs import causal_cost, distill_costs, teacher_cost
from motionstream_core.training.recipes.wan import LATENT_FRAMES
from motionstream_core.training.stages.causal_loss import CausalMasks, causal_loss
from motionstream_core.training.stages.distill import Distiller, DistillTraining
from motionstream_core.training.stages.distribution_matching import Scores
from motionstream_core.training.stages.teacher import Phase, TeacherTraining, micro_generator, teacher_loss

from .clips import OneBatch, training_batch, trajectories
from .record import Record

PART = "training"
PRESET = "wan2.1-1.3b"
OPTIMIZER = OptimizerSettings("adamw", 1e-5)
ONE = MicroBatches(1)
TINY_LATENT_FRAMES = 6
MASKS = CausalMasks(own_share=1.0)

Step = Callable[[], dict[str, float]]


def stage_steps(
    preset: str, compute: Compute, tiny: bool, num_latent_frames: int, made_on: torch.device
) -> Iterator[tuple[str, Step]]:
    """One optimizer step of each stage by name, from random weights drawn on `made_on`; one stage is held at a time."""
    engine = Engine(compute)
    teacher, student = (preset_spec(preset, tiny, role) for role in ("teacher", "student"))
    batch = training_batch(teacher, num_latent_frames)
    view = View(num_latent_frames, max(batch.latents.shape[3:]))

    def model(spec: ModelSpec, seed: int) -> LoadedModel:
        return random_model(spec, made_on, torch.float32, seed)

    yield "teacher", _teacher(engine, model(teacher, 0), batch.to(engine.device), view)
    gc.collect()
    yield "causal", _causal(engine, model(student, 0), num_latent_frames)
    gc.collect()
    real, fake, own = model(teacher, 0), model(teacher, 1), model(student, 2)
    critic_step, student_step = _distill(engine, real, fake, own, OneBatch(batch), view)
    yield "critic", critic_step
    yield "distill", student_step


def _teacher(engine: Engine, loaded: LoadedModel, batch: object, view: View) -> Step:
    training = _teaching(view)
    part = engine.part("teacher", loaded.model.train().requires_grad_(True), OPTIMIZER, training.ema_decay)

    def loss(micro: int, size: int) -> torch.Tensor:
        generator = micro_generator(training.seed, 0, micro)
        return teacher_loss(loaded.model, loaded.spec, batch, training, training.phases[0], generator)  # type: ignore

    return lambda: engine.accumulate(part, ONE, loss)


def _causal(engine: Engine, loaded: LoadedModel, num_latent_frames: int) -> Step:
    source = trajectories(loaded.spec, training_batch(loaded.spec, num_latent_frames))
    loss = causal_loss(source, loaded.spec, MASKS, 0, engine.device)
    part = engine.part("causal", loaded.model.train().requires_grad_(True), OPTIMIZER, 0.99)
    return lambda: engine.accumulate(part, ONE, lambda micro, size: loss(loaded.model, 0, micro, size))


def _distill(
    engine: Engine, real: LoadedModel, fake: LoadedModel, own: LoadedModel, clips: OneBatch, view: View
) -> tuple[Step, Step]:
    """Of the critic, and of the student."""
    training = _distilling(view)
    critic = engine.part("critic", fake.model.requires_grad_(True), OPTIMIZER)
    student = engine.part("student", own.model.requires_grad_(True), OPTIMIZER, training.ema_decay)
    frozen = LoadedModel(engine.frozen(real.model), real.spec)
    scores = Scores(frozen, fake, training.text_weight, training.motion_weight)
    losses = Distiller(training, own.model, own.spec, scores, clips, engine.device)
    return (
        lambda: engine.accumulate(critic, ONE, lambda micro, size: losses.critic_loss(0, 1, micro, size)),
        lambda: engine.accumulate(student, ONE, lambda micro, size: losses.student_loss(0, micro, size)),
    )


def _teaching(view: View) -> TeacherTraining:
    return TeacherTraining((Phase(1, 1, view),), OPTIMIZER)


def _distilling(view: View) -> DistillTraining:
    return DistillTraining(batches=ONE, view=view, student=OPTIMIZER, critic=OPTIMIZER)


def run(record: Record, device: torch.device, tiny: bool) -> None:
    """See the module."""
    num_latent_frames = TINY_LATENT_FRAMES if tiny else LATENT_FRAMES
    tflops = step_tflop(PRESET, tiny, num_latent_frames)
    rate = matrix_rate(device, 64 if tiny else 8192)
    compute = Compute(device, "bf16", activation_checkpointing=True)
    for stage, step in stage_steps(PRESET, compute, tiny, num_latent_frames, device):
        with record.checking(PART, stage):
            forget_peak(device)
            step()  # makes the optimizer's state and chooses kernels
            taken = seconds(device, step)
            tflop = tflops[stage]
            told = {"seconds": round(taken, 3), "peak GiB": peak_gib(device), "TFLOP": round(tflop, 4)}
            record.tell(PART, stage, told | {"share of the matrix rate": round(tflop / taken / rate, 3)})
        del step  # or its networks would stand beside the next stage's


def step_tflop(preset: str, tiny: bool, num_latent_frames: int) -> dict[str, float]:
    """Arithmetic of one step of each stage, counted on the meta device from the losses that train."""
    teacher, student = (preset_spec(preset, tiny, role) for role in ("teacher", "student"))
    batch = training_batch(teacher, num_latent_frames)
    view, num_tracks = View(num_latent_frames, max(batch.latents.shape[3:])), batch.points.shape[2]
    of_student, of_critic = distill_costs(teacher, student, _distilling(view), num_tracks)
    return {
        "teacher": teacher_cost(teacher, _teaching(view), num_tracks).tflop,
        "causal": causal_cost(student, MASKS, view, 1, num_tracks).tflop,
        "critic": of_critic.tflop,
        "distill": of_student.tflop,
    }
