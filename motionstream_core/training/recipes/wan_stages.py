"""The stages of a Wan model, from footage and published weights to a student.

Footage is prepared twice: real clips as `clips`, for the teacher's first phase, and synthetic ones as
`clips-synthetic`, for the second phase and the student (arXiv 2511.01266, section 4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch

from ...checkpoints import ModelSpec, build_model, load_tiny_vae, save_tiny_vae
from ...checkpoints.wan_weights import read_wan_weights
from ...models.conditioning import InputLayout
from ...models.track_wan import TrackWan
from ...models.vae.tiny_vae import TinyVae
from ...models.vae.wan_vae import WanVae
from ...pool.pool import InProcess, Pool
from ...tracks.extract.cotracker import CoTracker3
from ...tracks.extract.tracker import OpenCvTracker, Tracker
from ..data.encoders import ClipEncoders, WanEncoders
from ..data.footage import hdr_told
from ..data.prepare import PrepareSettings, ShardWorker, prepare_videos
from ..data.sources import read_sources
from ..data.synthesise import read_prompts, wan_text_to_video
from ..data.synthesise import synthesise as synthesise_videos
from ..data.videos import VideoClips
from ..stages.initialise import WanWeights, teacher_from
from ..stages.probe import Probe
from ..stages.teacher import TeacherTraining, train_teacher
from ..stages.tiny_vae.stage import PAPER_DECODER, train_video_decoder
from .micro_costs import causal_cost, distill_costs, teacher_cost
from .run import Run
from .validation import Decode, Validation
from .wan import WanPreset

CLIP_FOLDERS = ("clips", "clips-synthetic")
SYNTHETIC = "synthetic"  # folder of videos that the stage synthesise makes


@dataclass(frozen=True)
class Material:
    """What a user brings; each stage names what it misses.

    videos: folder, CSV or JSONL list. clips: which of CLIP_FOLDERS `prepare` fills. model: a Wan model in diffusers'
    layout, for its encoders and its VAE. cotracker: CoTracker3's checkpoint; without it OpenCV tracks.
    base, control: weights that the teacher starts from. vgg: LPIPS's file, for the tiny decoder. prompts: one a line.
    part: (i, n), this machine's share of the videos. aspects: in place of the preset's `aspect_range`.
    """

    videos: Path | None = None
    clips: str = CLIP_FOLDERS[0]
    model: Path | None = None
    cotracker: Path | None = None
    base: Path | None = None
    control: Path | None = None
    vgg: Path | None = None
    prompts: Path | None = None
    num_workers: int = 0
    part: tuple[int, int] = (0, 1)
    aspects: tuple[float, float] | None = None

    def aspect_range(self, preset: WanPreset) -> tuple[float, float] | None:
        """Of the videos that are prepared: what was asked for, else the preset's."""
        return self.aspects or preset.aspect_range

    def share(self, rank: int, num_ranks: int) -> tuple[int, int]:
        """(i, n) of one of the ranks that work on this machine's part."""
        index, count = self.part
        return index * num_ranks + rank, count * num_ranks

    def need(self, name: str, stage: str) -> Path:
        """The path `name`. Raises ValueError naming the option where it was not given."""
        value = getattr(self, name)
        if value is None:
            raise ValueError(f"stage '{stage}' of a Wan preset needs --{name}")
        if not value.exists():
            raise FileNotFoundError(f"--{name} {value} does not exist")
        return value


@dataclass(frozen=True)
class WanRun(Run):
    """A run on footage. pool: where `prepare` works, None: here; attempts: of a job of it."""

    preset: WanPreset
    material: Material
    pool: Pool | None = None
    attempts: int = 1

    def clips(self, name: str) -> tuple[VideoClips, VideoClips]:
        """(clips to train on, clips held out) of a folder, with as many tracks told as the preset says."""
        return VideoClips(self.folder / name, self.preset.tracks).apart(self.preset.probe_clips)

    def validation(self, name: str, spec: ModelSpec, folder: str | None = None) -> Validation:
        """Clips held out of `folder`, or of the student's; videos where there is a VAE to decode them with."""
        preset, decode = self.preset, self._decode()
        if decode is None:
            self.log.note(f"{name}: no videos are made; give --model, or train the stage 'tiny-vae' first")
        _, held_out = self.clips(folder or preset.student_clips)
        probe = Probe(held_out, preset.ode.view, preset.probe_clips, preset.probe_steps)
        return Validation(name, spec, probe, self.engine, self.folder, self.log, decode)

    def measure_work(self, samples: int, tflop: Callable[[], float]) -> None:
        """Tell the engine's meter what a step does; its arithmetic is counted where the GPU's peak is known."""
        meter, counted = self.engine.meter, None
        if meter.peak_tflops is not None:
            counted = cast("float", self.engine.from_main(tflop() if self.engine.is_main else None))
        meter.work(samples, counted)

    def _decode(self) -> Decode | None:
        """The run's own tiny decoder, else the full VAE of --model; on rank 0, which writes videos."""
        if not self.engine.is_main:
            return None
        device, vae = self.compute.device, None
        if self.file("tiny_vae").exists():
            vae = load_tiny_vae(self.file("tiny_vae")).to(device)
        elif self.material.model is not None:
            vae = WanVae.from_pretrained(self.material.need("model", "validation") / "vae").to(device)
        return None if vae is None else torch.no_grad()(lambda latents: vae.decode(latents.to(device)))


def tiny_vae(run: WanRun) -> None:
    """Train a tiny decoder on the latents of Wan's VAE."""
    material, spec = run.material, run.preset.teacher
    vae, teacher = TinyVae(run.preset.tiny_vae), WanVae.from_pretrained(material.need("model", "tiny-vae") / "vae")
    videos = material.need("videos", "tiny-vae")
    trained = train_video_decoder(
        PAPER_DECODER, run.engine, vae, teacher, videos, run.folder, run.log, spec.fps, material.vgg
    )
    if run.engine.is_main:
        save_tiny_vae(run.file("tiny_vae"), trained)
    run.engine.barrier()


def synthesise(run: WanRun) -> None:
    """Videos of a text-to-video model to `synthetic`, one for every prompt; every rank makes its own."""
    material, spec = run.material, run.preset.teacher
    prompts = read_prompts(material.need("prompts", "synthesise"))
    num_frames = spec.vae_stride.num_frames(run.preset.latent_frames)
    folder = material.need("model", "synthesise")
    generate = wan_text_to_video(folder, run.compute.device, spec.frame_size, num_frames)
    part = material.share(run.engine.rank, run.engine.num_ranks)
    synthesise_videos(prompts, generate, run.folder / SYNTHETIC, spec.fps, part, run.count("synthesise"))


@dataclass(frozen=True)
class WanTools:
    """What prepares videos for a Wan model: `prepare.Tools`, wherever it is called."""

    model: Path
    spec: ModelSpec
    cotracker: Path | None

    def __call__(self, device: str) -> tuple[ClipEncoders, Tracker]:
        """Raises as `WanEncoders.load` and `CoTracker3.load` do."""
        where = torch.device(device)
        tracker = OpenCvTracker() if self.cotracker is None else CoTracker3.load(self.cotracker, where)
        return WanEncoders.load(self.model, self.spec, where), tracker


def prepare(run: WanRun) -> None:
    """Videos to clips, over the run's pool, or in this process, where every rank takes shards of its own."""
    material, spec = run.material, run.preset.teacher
    cotracker = None if material.cotracker is None else material.need("cotracker", "prepare").absolute()
    worker = ShardWorker(
        read_sources(material.need("videos", "prepare")),
        PrepareSettings.of_spec(spec, run.preset.latent_frames, aspect_range=material.aspect_range(run.preset)),
        WanTools(material.need("model", "prepare").absolute(), spec, cotracker),
        (run.folder / material.clips).absolute(),
        material.num_workers,
        run.count("prepare"),
    )
    pool = run.pool or InProcess(str(run.compute.device))
    part = material.share(run.engine.rank, run.engine.num_ranks)
    made = prepare_videos(worker, pool, part, run.attempts, run.log.note)
    # no rank waits for another here, which may be hours behind: who ends last reports everything
    dropped = ", ".join(f"{number} {reason}" for reason, number in made.reasons.items()) or "none"
    run.log.note(f"{made.num_clips} clips in {worker.folder} so far; dropped: {dropped} (report.csv names them)")
    if made.hdr:
        run.log.note(f"{hdr_told(len(made.hdr))} (report.json names them)")


def teacher(run: WanRun) -> None:
    """Train the bidirectional teacher, phase after phase, each from the average of the one before."""
    preset = run.preset
    model: TrackWan | None = None
    for number, training in enumerate(preset.teacher_phases):
        name = "teacher" if number == 0 else f"teacher-{number + 1}"
        last = number == len(preset.teacher_phases) - 1
        done = "teacher" if last else f"{name}-done"
        if run.file(done).exists():  # this phase was finished before
            model = run.load(done).model
            continue
        start = _start(run) if model is None else model.requires_grad_(True)
        folder, spec = CLIP_FOLDERS[min(number, 1)], preset.teacher
        clips, _ = run.clips(folder)
        validation, phase = run.validation(name, spec, folder), training.phases[-1]
        run.measure_work(phase.batch_size, _teacher_work(preset, training))
        save = run.saver(f"{name}-running", spec, validation)
        averaged = train_teacher(
            run.engine, start, spec, training, clips, run.folder, run.log, save, name=name, validate=validation
        )
        run.finish(done, preset.teacher, averaged)
        model = run.load(done).model


def _teacher_work(preset: WanPreset, training: TeacherTraining) -> Callable[[], float]:
    phase, most = training.phases[-1], preset.tracks.most
    return lambda: teacher_cost(preset.teacher, training, most).tflop * phase.batches.num_micro


def _start(run: WanRun) -> TrackWan:
    """The published weights, grown to the teacher's input; on rank 0, which hands the others their shards."""
    preset, material = run.preset, run.material
    base_path = material.need("base", "teacher")
    if run.compute.shard and not run.engine.is_main:
        with torch.device("meta"):
            return build_model(preset.teacher)

    def weights(path: Path, layout: InputLayout) -> WanWeights:
        return WanWeights(read_wan_weights(path), layout, str(path))

    base = weights(base_path, preset.base_layout)
    control = None
    if preset.control_layout is not None and material.control is not None:
        control = weights(material.need("control", "teacher"), preset.control_layout)
    return teacher_from(preset.teacher, base, control)


def ode(run: WanRun) -> None:
    """Sample the teacher's trajectories."""
    clips, _ = run.clips(run.preset.student_clips)
    run.ode(clips, run.preset.ode)


def causal(run: WanRun) -> None:
    """Adapt the teacher's weights to the causal student, on its trajectories."""
    preset, causal = run.preset, run.preset.causal

    def work() -> float:
        size, view = causal.micro_batch_size or 1, preset.ode.view
        cost = causal_cost(preset.student, causal.masks, view, size, preset.tracks.most)
        return cost.tflop * causal.batches.num_micro

    run.measure_work(causal.batch_size, work)
    run.causal(preset.student, causal)


def distill(run: WanRun) -> None:
    """Self Forcing with distribution matching; only first frames, captions and tracks of the clips are read."""
    preset, distill = run.preset, run.preset.distill

    def work() -> float:
        student, critic = distill_costs(preset.teacher, preset.student, distill, preset.tracks.most)
        return (student.tflop + distill.critic_steps * critic.tflop) * distill.batches.num_micro

    run.measure_work(distill.batches.batch_size, work)
    clips, _ = run.clips(preset.student_clips)
    run.distill(clips, distill)


WAN_STAGES: dict[str, Callable[[WanRun], None]] = {
    "tiny-vae": tiny_vae,
    "synthesise": synthesise,
    "prepare": prepare,
    "teacher": teacher,
    "ode": ode,
    "causal": causal,
    "distill": distill,
}
