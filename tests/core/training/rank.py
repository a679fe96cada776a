"""One rank of a tiny training run; test_distributed.py starts it in a process of its own, with `GIVEN` set.

stage ("teacher" or "student"), device, folder, output (a file for what it says), clips, steps, save_every, shard,
precision, activation_checkpointing, environment (torchrun's variables); die_at, stop_at, poison: a train step at which
rank 1 kills itself, gets SIGTERM, or finds NaN in its clips. Says losses and gradient norms without rounding.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from motionstream_core.checkpoints import LoadedModel, ModelSpec, save_model
from motionstream_core.training.data import Batch, LatentClips, View
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches, TrainingDiverged
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.loop import Stopped
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.engine.ranks import joined
from motionstream_core.training.stages.distill import DistillTraining, train_distilled
from motionstream_core.training.stages.teacher import Phase, TeacherTraining, new_teacher, train_teacher
from tests.core.tiny_models import TINY_TEACHER

BATCH_SIZE = 4
# wide enough for shards of unequal size
TEACHER = replace(TINY_TEACHER, backbone=replace(TINY_TEACHER.backbone, dim=32, ffn_dim=48))
STUDENT = replace(TEACHER, role="student", pin_first_latent=True)


class HexLog(Log):
    """Prints losses without rounding."""

    def __call__(self, stage: str, step: int, **values: float) -> None:
        if self.writes and "loss" in values:
            print("loss", step, values["loss"].hex(), values["grad_norm"].hex(), flush=True)
        super().__call__(stage, step, **values)


class Clips(LatentClips):
    """Clips whose use by the teacher can go wrong at a given step."""

    def __init__(self, given: dict[str, Any], rank: int) -> None:
        super().__init__(Path(given["clips"]))
        self.given, self.rank = given, rank

    def epoch_batch(self, position: int, size: int, view: View, seed: int) -> Batch:
        step, batch = position // BATCH_SIZE, super().epoch_batch(position, size, view, seed)
        if self.rank == 1 and step == self.given.get("die_at"):
            self._wait_for_a_checkpoint()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.rank == 1 and step == self.given.get("stop_at"):
            os.kill(os.getpid(), signal.SIGTERM)
        if self.rank == 1 and step == self.given.get("poison"):
            return batch.with_latents(batch.latents * torch.nan)
        return batch

    def _wait_for_a_checkpoint(self) -> None:
        """Steps this small may be over before what they saved is written."""
        ends = time.monotonic() + 60
        while time.monotonic() < ends and not list(Path(self.given["folder"]).glob("*.state/step_" + "[0-9]" * 8)):
            time.sleep(0.05)


def speaking_teacher(spec: ModelSpec, seed: int) -> LoadedModel:
    """A new teacher, but for its last layer, which says something."""
    model = new_teacher(spec, seed)
    torch.nn.init.normal_(model.head.head.weight, std=0.05)
    return LoadedModel(model, spec)


def train(given: dict[str, Any], engine: Engine, folder: Path) -> None:
    log = HexLog(folder / "log", lambda line: print(line, flush=True), writes=engine.is_main)
    clips = Clips(given, engine.rank)
    optimizer = OptimizerSettings(given.get("optimizer", "muon"), learning_rate=1e-2)
    every = given.get("save_every", 100)
    if given["stage"] == "teacher":
        phase = Phase(given["steps"], BATCH_SIZE, View(4, 6), mask_probability=0.3, micro_batch_size=2)
        training = TeacherTraining((phase,), optimizer, warmup_steps=1, save_every=every, log_every=1, decay_share=0.01)
        model, spec = new_teacher(TEACHER, 2), TEACHER
        averaged = train_teacher(engine, model, spec, training, clips, folder, log)
    else:
        spec = STUDENT
        distillation = DistillTraining(
            given["steps"],
            MicroBatches(BATCH_SIZE, 2),
            critic_steps=1,
            student=optimizer,
            critic=optimizer,
            view=View(7, 6),
            truth_weight=0.5,
            warmup_steps=1,
            save_every=every,
            log_every=1,
        )
        student, teacher = speaking_teacher(spec, 2), speaking_teacher(TEACHER, 3)
        averaged = train_distilled(engine, student, teacher, clips, distillation, folder, log)
    if averaged is not None:
        save_model(folder / "averaged.safetensors", averaged, spec)


def main(given: dict[str, Any]) -> int:
    torch.set_num_threads(1)
    os.environ.update(given.get("environment", {}))
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(stack.enter_context(open(given["output"], "w", encoding="utf-8"))))
        device = torch.device(given.get("device", "cpu"))
        if "RANK" in os.environ:
            device = stack.enter_context(joined(device))
        engine = Engine(
            Compute(
                device,
                given.get("precision", "fp32"),
                given.get("shard", False),
                given.get("activation_checkpointing", False),
            )
        )
        try:
            train(given, engine, Path(given["folder"]))
        except TrainingDiverged as error:
            print("diverged", error, flush=True)
            return 3
        except Stopped as stopped:
            print("stopped", stopped, flush=True)
            return 128 + stopped.signal_number
    return 0


if __name__ == "__main__":
    sys.exit(main(GIVEN))  # type: ignore[name-defined]  # noqa: F821
