"""The stages of the bundled model in order; each reads what the one before it left in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..checkpoints import LoadedModel, load_model, load_tiny_vae, save_model, save_tiny_vae
from ..models.track_wan import TrackWan
from .bundled import STUDENT_SPEC, TEACHER_SPEC
from .causal import StepLoss, StudentTraining, causal_loss, distill_loss, train_student
from .data import LatentClips, prepare_world
from .log import Log
from .ode import read_trajectories, write_trajectories
from .presets import Preset
from .teacher import train_teacher
from .tiny_vae import train_tiny_vae


@dataclass(frozen=True)
class Run:
    """One training run: its recipe, its folder, where it computes, where it reports."""

    preset: Preset
    folder: Path
    device: torch.device
    log: Log

    def file(self, name: str) -> Path:
        """A checkpoint of this run."""
        return self.folder / f"{name}.safetensors"

    def load(self, name: str) -> LoadedModel:
        """A model that an earlier stage saved, ready to be trained or sampled."""
        loaded = load_model(self.file(name), torch.float32)
        return LoadedModel(loaded.model.to(self.device), loaded.spec)

    def count(self, stage: str) -> Callable[[int, int], None]:
        """A progress report for stages that count shards."""
        return lambda done, total: self.log(stage, done, total=total)


def tiny_vae(run: Run) -> None:
    """Train the tiny VAE."""
    save_tiny_vae(run.file("tiny_vae"), train_tiny_vae(run.preset.tiny_vae, run.folder, run.device, run.log))


def prepare(run: Run) -> None:
    """Render and encode the training clips."""
    vae = load_tiny_vae(run.file("tiny_vae")).to(run.device)
    preset = run.preset
    prepare_world(
        run.folder / "world",
        vae,
        preset.num_clips,
        preset.mix,
        run.device,
        preset.clips_per_shard,
        run.count("prepare"),
    )


def teacher(run: Run) -> None:
    """Train the bidirectional teacher."""

    def save(model: TrackWan) -> None:
        save_model(run.file("teacher"), model, TEACHER_SPEC)

    clips = LatentClips(run.folder / "world")
    save(train_teacher(TEACHER_SPEC, run.preset.teacher, clips, run.folder, run.device, run.log, save))


def ode(run: Run) -> None:
    """Sample the teacher's trajectories."""
    clips = LatentClips(run.folder / "world")
    write_trajectories(run.load("teacher"), clips, run.preset.ode, run.folder / "ode", run.device, run.count("ode"))


def causal(run: Run) -> None:
    """Adapt the teacher's weights to the causal student, on its trajectories."""
    loss = causal_loss(read_trajectories(run.folder / "ode"), STUDENT_SPEC, run.preset.causal, run.device)
    _student(run, "causal", "teacher", loss, run.preset.causal)


def distill(run: Run) -> None:
    """Self-Forcing: the student learns on its own rollouts."""
    loss = distill_loss(LatentClips(run.folder / "world"), STUDENT_SPEC, run.preset.distill, run.device)
    _student(run, "student", "causal", loss, run.preset.distill)


def _student(run: Run, name: str, start: str, loss: StepLoss, training: StudentTraining) -> None:
    def save(model: TrackWan) -> None:
        save_model(run.file(name), model, STUDENT_SPEC)

    save(train_student(name, run.load(start), STUDENT_SPEC, loss, training, run.folder, run.device, run.log, save))


def bundle(run: Run, folder: Path) -> None:
    """Write the finished weights, in half precision, to where the demo reads them."""
    for name in ("teacher", "student"):
        loaded = run.load(name)
        save_model(folder / f"{name}.safetensors", loaded.model, loaded.spec, torch.float16)
    save_tiny_vae(folder / "tiny_vae.safetensors", load_tiny_vae(run.file("tiny_vae")), torch.float16)


STAGES: dict[str, Callable[[Run], None]] = {
    "tiny-vae": tiny_vae,
    "prepare": prepare,
    "teacher": teacher,
    "ode": ode,
    "causal": causal,
    "distill": distill,
}
