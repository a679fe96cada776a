"""The stages of the bundled model in order; each reads what the one before it left in the run's folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ...checkpoints import LoadedModel, ModelSpec, load_tiny_vae, save_model, save_tiny_vae
from ...models.track_wan import TrackWan
from ..data import LatentClips, prepare_world
from ..engine.averaged import Watch
from ..engine.engine import Engine
from ..stages.regression import TruePaths
from ..stages.teacher import new_teacher, train_teacher
from ..stages.tiny_vae.stage import train_world_vae
from .bundled import Preset
from .bundled_specs import STUDENT_SPEC, TEACHER_SPEC
from .run import Run
from .validation_video import write_video

HELD_OUT = "world-held-out"


@dataclass(frozen=True)
class WorldRun(Run):
    """A run on the procedural world."""

    preset: Preset

    @property
    def clips(self) -> LatentClips:
        """The prepared clips."""
        return LatentClips(self.folder / "world")

    @property
    def held_out(self) -> LatentClips:
        """Clips of other scenes, which no stage trains on."""
        return LatentClips(self.folder / HELD_OUT)

    def video(self, name: str, spec: ModelSpec) -> Watch:
        """Renders validation videos in `videos/`."""

        def show(model: TrackWan, train_step: int) -> None:
            vae = load_tiny_vae(self.file("tiny_vae")).to(self.compute.device)
            path = self.folder / "videos" / f"{name}_{train_step:06d}.mp4"
            with self.engine.autocast():
                write_video(path, LoadedModel(model, spec), vae, self.preset.video_frames, self.preset.mix.size_px)

        return show


def tiny_vae(run: WorldRun) -> None:
    """Train the tiny VAE."""
    vae = train_world_vae(run.preset.tiny_vae, run.preset.wide_vae, run.engine, run.folder, run.log)
    if run.engine.is_main:
        save_tiny_vae(run.file("tiny_vae"), vae)
    run.engine.barrier()


def prepare(run: WorldRun) -> None:
    """Render and encode the training clips, and behind them those that are held out."""
    vae, preset = load_tiny_vae(run.file("tiny_vae")).to(run.compute.device), run.preset
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
        behind = -(-preset.num_clips // preset.clips_per_shard) * preset.clips_per_shard
        first = behind + behind % 2  # two clips in a row show one scene
        count, device = preset.num_held_out, run.compute.device
        prepare_world(run.folder / HELD_OUT, vae, count, preset.mix, device, count, first_clip=first)
    run.engine.barrier()


def teacher(run: WorldRun) -> None:
    """Train the bidirectional teacher."""
    training, spec = run.preset.teacher, TEACHER_SPEC
    engine = Engine(replace(run.compute, compile=True)) if training.compile else run.engine
    model = new_teacher(spec, training.seed)
    save, video = run.saver("teacher", spec), run.video("teacher", spec)
    averaged = train_teacher(
        engine, model, spec, training, run.clips, run.folder, run.log, save, video, held_out=run.held_out
    )
    run.finish("teacher", spec, averaged)


def ode(run: WorldRun) -> None:
    """Sample the teacher's trajectories."""
    run.ode(run.clips, run.preset.ode)


def causal(run: WorldRun) -> None:
    """Adapt the teacher's weights to the causal student, on its trajectories."""
    run.causal(STUDENT_SPEC, run.preset.causal, run.video("causal", STUDENT_SPEC))


def paths(run: WorldRun) -> None:
    """Go on with the causal model on true clips, which here image, caption and tracks nearly fix."""
    source = TruePaths(run.clips, STUDENT_SPEC, run.preset.paths_view)
    video = run.video("paths", STUDENT_SPEC)
    run.regress("paths", run.load("causal"), STUDENT_SPEC, source, run.preset.paths, video)


def distill(run: WorldRun) -> None:
    """Self Forcing: the student learns on its own rollouts."""
    run.distill(run.clips, run.preset.distill, run.video("student", STUDENT_SPEC), start_from="paths")


def bundle(run: WorldRun, folder: Path) -> None:
    """Write the finished weights, in half precision, to where the demo reads them."""
    if not run.engine.is_main:
        return
    for name in ("teacher", "student"):
        loaded = run.load(name)
        save_model(folder / f"{name}.safetensors", loaded.model, loaded.spec, torch.float16)
    save_tiny_vae(folder / "tiny_vae.safetensors", load_tiny_vae(run.file("tiny_vae")), torch.float16)


STAGES: dict[str, Callable[[WorldRun], None]] = {
    "tiny-vae": tiny_vae,
    "prepare": prepare,
    "teacher": teacher,
    "ode": ode,
    "causal": causal,
    "paths": paths,
    "distill": distill,
}
