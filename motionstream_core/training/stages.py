"""The stages of the bundled model in order; each reads what the one before it left in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from ..checkpoints import LoadedModel, ModelSpec, load_model, load_tiny_vae, save_model, save_tiny_vae
from ..models.track_wan import TrackWan
from .bundled import STUDENT_SPEC, TEACHER_SPEC
from .causal import StepLoss, StudentTraining, causal_loss, distill_loss, train_student
from .data import LatentClips, prepare_world
from .engine import Compute, Engine
from .log import Log
from .ode import read_trajectories, write_trajectories
from .presets import Preset
from .teacher import Watch, new_teacher, train_teacher
from .tiny_vae import train_tiny_vae
from .videos import write_video


@dataclass(frozen=True)
class Run:
    """One training run: its recipe, its folder, how it computes, where it reports."""

    preset: Preset
    folder: Path
    compute: Compute
    log: Log

    @cached_property
    def engine(self) -> Engine:
        """What the stages train with."""
        return Engine(self.compute)

    def file(self, name: str) -> Path:
        """A checkpoint of this run."""
        return self.folder / f"{name}.safetensors"

    def load(self, name: str) -> LoadedModel:
        """A model that an earlier stage saved, in fp32 on the CPU."""
        return load_model(self.file(name))

    def count(self, stage: str) -> Callable[[int, int], None]:
        """A progress report for stages that count shards."""
        return lambda done, total: self.log(stage, done, total=total)

    def saver(self, name: str, spec: ModelSpec) -> Watch:
        """Writes the averaged model where the next stage reads it."""
        return lambda model, _: save_model(self.file(name), model, spec)

    def video(self, name: str, spec: ModelSpec) -> Watch:
        """Renders validation videos in `videos/`."""

        def show(model: TrackWan, train_step: int) -> None:
            vae = load_tiny_vae(self.file("tiny_vae")).to(self.compute.device)
            path = self.folder / "videos" / f"{name}_{train_step:06d}.mp4"
            with self.engine.autocast():
                write_video(path, LoadedModel(model, spec), vae, self.preset.video_frames, self.preset.mix.size_px)

        return show


def tiny_vae(run: Run) -> None:
    """Train the tiny VAE."""
    if run.engine.is_main:
        save_tiny_vae(
            run.file("tiny_vae"), train_tiny_vae(run.preset.tiny_vae, run.folder, run.compute.device, run.log)
        )
    run.engine.barrier()


def prepare(run: Run) -> None:
    """Render and encode the training clips."""
    vae = load_tiny_vae(run.file("tiny_vae")).to(run.compute.device)
    preset = run.preset
    if run.engine.is_main:
        prepare_world(
            run.folder / "world",
            vae,
            preset.num_clips,
            preset.mix,
            run.compute.device,
            preset.clips_per_shard,
            run.count("prepare"),
        )
    run.engine.barrier()


def teacher(run: Run) -> None:
    """Train the bidirectional teacher."""
    training, spec = run.preset.teacher, TEACHER_SPEC
    clips = LatentClips(run.folder / "world")
    engine = Engine(replace(run.compute, compile=True)) if training.compile else run.engine
    model = new_teacher(spec, training.seed)
    save = run.saver("teacher", spec)
    averaged = train_teacher(
        engine, model, spec, training, clips, run.folder, run.log, save, run.video("teacher", spec)
    )
    if averaged is not None:
        save(averaged, training.num_steps)
    engine.barrier()


def ode(run: Run) -> None:
    """Sample the teacher's trajectories."""
    clips = LatentClips(run.folder / "world")
    loaded = run.load("teacher")
    loaded = LoadedModel(run.engine.frozen(loaded.model), loaded.spec)
    write_trajectories(run.engine, loaded, clips, run.preset.ode, run.folder / "ode", run.count("ode"))


def causal(run: Run) -> None:
    """Adapt the teacher's weights to the causal student, on its trajectories."""
    trajectories = read_trajectories(run.folder / "ode")
    loss = causal_loss(trajectories, STUDENT_SPEC, run.preset.causal, run.compute.device)
    _student(run, "causal", "teacher", loss, run.preset.causal)


def distill(run: Run) -> None:
    """Self-Forcing: the student learns on its own rollouts."""
    clips = LatentClips(run.folder / "world")
    loss = distill_loss(clips, STUDENT_SPEC, run.preset.distill, run.compute.device)
    _student(run, "student", "causal", loss, run.preset.distill)


def _student(run: Run, name: str, start: str, loss: StepLoss, training: StudentTraining) -> None:
    spec = STUDENT_SPEC
    save, video = run.saver(name, spec), run.video(name, spec)
    averaged = train_student(run.engine, name, run.load(start), spec, loss, training, run.folder, run.log, save, video)
    if averaged is not None:
        save(averaged, training.num_steps)
    run.engine.barrier()


def bundle(run: Run, folder: Path) -> None:
    """Write the finished weights, in half precision, to where the demo reads them."""
    if not run.engine.is_main:
        return
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
