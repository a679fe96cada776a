"""One training run: its folder, how it computes, where it reports. Stages of every recipe are made of these parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from ...checkpoints import LoadedModel, ModelSpec, build_model, load_model, save_model
from ...checkpoints.load import stored_spec
from ...models.track_wan import TrackWan
from ..data import TrainingClips
from ..data.trajectories import StoredTrajectories, TrajectorySource
from ..engine.averaged import Watch
from ..engine.engine import Compute, Engine
from ..engine.log import Log
from ..stages.causal import StudentTraining, train_student
from ..stages.causal_loss import causal_loss
from ..stages.distill import DistillTraining, train_distilled
from ..stages.ode import OdeTraining, write_trajectories
from .exports import Exports
from .validation import Validation


@dataclass(frozen=True)
class Run:
    """folder: what stages leave for one another, `<name>.safetensors` and clips; a stage resumes from it.

    keep_exports: models that stay of every stage, beside the best (`exports`).
    """

    folder: Path
    compute: Compute
    log: Log
    keep_exports: int = field(default=3, kw_only=True)

    @cached_property
    def engine(self) -> Engine:
        """What the stages train with."""
        return Engine(self.compute)

    def file(self, name: str) -> Path:
        """A checkpoint of this run."""
        return self.folder / f"{name}.safetensors"

    def load(self, name: str) -> LoadedModel:
        """A model that an earlier stage saved, in fp32 on the CPU.

        Where it will be sharded, rank 0 alone reads its weights, and the others have it on the meta device.
        """
        if self.engine.is_main or not self.compute.shard:
            return load_model(self.file(name))
        spec = stored_spec(self.file(name))
        with torch.device("meta"):
            return LoadedModel(build_model(spec), spec)

    def count(self, stage: str) -> Callable[[int, int], None]:
        """A progress report for stages that count what they make."""
        return lambda done, total: self.log(stage, done, total=total)

    def validation(self, name: str, spec: ModelSpec) -> Validation | None:
        """What is measured of a stage's averages at every save, where a recipe has it."""
        return None

    def saver(self, name: str, spec: ModelSpec, validation: Validation | None = None) -> Watch:
        """Exports the averaged model, with what `validation` measured of it before."""
        exports = Exports(self.folder, name, spec, self.keep_exports)
        return lambda model, step: exports.write(model, step, {} if validation is None else validation.metrics)

    def finish(self, name: str, spec: ModelSpec, averaged: TrackWan | None) -> None:
        """Write what a stage ended with; all ranks call it."""
        if averaged is not None:
            save_model(self.file(name), averaged, spec)
        self.engine.barrier()

    def ode(self, clips: TrainingClips, training: OdeTraining) -> None:
        """Sample the trajectories of the run's teacher."""
        loaded = self.load("teacher")
        loaded = LoadedModel(self.engine.frozen(loaded.model, compact=True), loaded.spec)
        write_trajectories(self.engine, loaded, clips, training, self.folder / "ode", self.count("ode"))

    def causal(self, spec: ModelSpec, training: StudentTraining, video: Watch | None = None) -> None:
        """From the run's teacher to a causal model of `spec`, on the run's trajectories."""
        stored = StoredTrajectories(self.folder / "ode")
        self.regress("causal", self.load("teacher"), spec, stored, training, video)

    def regress(
        self,
        name: str,
        start: LoadedModel,
        spec: ModelSpec,
        source: TrajectorySource,
        training: StudentTraining,
        video: Watch | None = None,
    ) -> None:
        """Stage `name`: the causal model of `spec` that `start` becomes by regression on what `source` draws."""
        loss = causal_loss(source, spec, training.masks, training.seed, self.compute.device, training.track_gain)
        validation = self.validation(name, spec)
        save = self.saver(name, spec, validation)
        averaged = train_student(
            self.engine, name, start, spec, loss, training, self.folder, self.log, save, video, validation
        )
        self.finish(name, spec, averaged)

    def distill(
        self,
        clips: TrainingClips,
        training: DistillTraining,
        video: Watch | None = None,
        start_from: str = "causal",
    ) -> None:
        """From the run's causal model, as the stage `start_from` left it, to its student."""
        start = self.load(start_from)
        validation = self.validation("student", start.spec)
        save = self.saver("student", start.spec, validation)
        averaged = train_distilled(
            self.engine,
            start,
            self.load("teacher"),
            clips,
            training,
            self.folder,
            self.log,
            save,
            video,
            validate=validation,
        )
        self.finish("student", start.spec, averaged)
