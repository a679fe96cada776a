"""Every training of the study, by name and seed, resumable. All start from the bundled models and stay small.

head-1                  the bundled teacher, brought to the study's world
trackless-1             the same without ever a track
newhead-1 rgb-1         head-1 with its track slot begun anew: a new track head, or tracks as pictures
bilinear-1              newhead-1, but points are shared between four cells in place of falling to one
masked-1 unmasked-1     head-1 trained on, with and without mid-frame masking (the teacher's second phase)
c3s1w1-1 c1s1w1-1 ...   the bundled student, brought to the study's world with latent frames per chunk, chunks in
                        the sink and chunks in the window as the name says
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from motionstream_core.checkpoints import LoadedModel, build_model, save_model
from motionstream_core.checkpoints.spec import ModelSpec
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.track_head import CoordinateRule
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.training.data import View
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.stages.causal import StudentTraining, train_student
from motionstream_core.training.stages.regression import truth_loss
from motionstream_core.training.stages.teacher import Phase, TeacherTraining, train_teacher

from .clips import StudyClips, prepare_study
from .preset import CELLS, LATENT_FRAMES, SIZE_PX
from .runs import Study

SEEDS = (1, 2, 3)
WHOLE = View(LATENT_FRAMES, CELLS)
TEACHER_RECIPE = TeacherTraining(
    (Phase(100, 8, WHOLE),), ema_decay=0.95, decay_share=0.5, warmup_steps=10, save_every=50, log_every=10
)
SLOT_RECIPE = replace(TEACHER_RECIPE, phases=(Phase(150, 8, WHOLE),))
SECOND_RECIPE = TeacherTraining(  # as in the paper: a tenth of the rate, the head frozen
    (Phase(60, 8, WHOLE, freeze_head=True),),
    OptimizerSettings(learning_rate=1e-4),
    ema_decay=0.95,
    warmup_steps=5,
    save_every=50,
    log_every=10,
)
MASK_PROBABILITY = 0.2
STUDENT_RECIPE = StudentTraining(
    60, batch_size=8, optimizer=OptimizerSettings(learning_rate=5e-4), ema_decay=0.9, warmup_steps=5
)
SLOT_COORDINATES: dict[str, CoordinateRule] = {"newhead": "floor", "bilinear": "bilinear", "rgb": "floor"}
TEACHERS = ("head", "trackless", "newhead", "bilinear", "rgb", "masked", "unmasked")
STUDENTS = {  # name: latent frames per chunk, of the sink, of the window, of a training clip
    "c3s1w1": (3, 1, 3, 13),  # the sink is the first chunk, which here is the image's latent frame alone
    "c1s1w1": (1, 1, 1, 13),
    "c3s0w1": (3, 0, 3, 13),
    "c3s0w6": (3, 0, 18, 13),
    "c5s1w1": (5, 1, 5, 11),
    "c7s1w1": (7, 1, 7, 15),
}


@dataclass(frozen=True)
class Recipes:
    """How the models of the study are trained."""

    teacher: TeacherTraining = TEACHER_RECIPE
    slot: TeacherTraining = SLOT_RECIPE
    second: TeacherTraining = SECOND_RECIPE
    student: StudentTraining = STUDENT_RECIPE
    num_clips: int = 1280


def run_names() -> list[str]:
    """All trainings, in the order in which they are needed first."""
    return [f"{kind}-{seed}" for seed in SEEDS for kind in (*TEACHERS, *STUDENTS)]


def student_spec(bundled: ModelSpec, kind: str) -> ModelSpec:
    """The spec of a student of `STUDENTS`."""
    chunk, sink, window, _ = STUDENTS[kind]
    plan = ChunkPlan(chunk, 1)
    return replace(bundled, chunk_plan=plan, sink_frames=sink, window_frames=window, frame_size=(SIZE_PX, SIZE_PX))


def train(study: Study, name: str, recipes: Recipes | None = None) -> None:
    """Run one training to its end, or go on with it. Raises ValueError for an unknown name."""
    kind, _, seed = name.rpartition("-")
    if name not in run_names():
        raise ValueError(f"training {name!r} is unknown; known are {', '.join(run_names())}")
    if study.finished(name):
        return
    recipes = recipes or Recipes()
    prepare_study(study.folder / "world", study.vae, recipes.num_clips)
    if kind in STUDENTS:
        _train_student(study, kind, int(seed), recipes.student)
    else:
        _train_teacher(study, kind, int(seed), recipes)
    (study.folder / name / "done").touch()


def begin_slot_anew(model: TrackWan, spec: ModelSpec, seed: int) -> None:
    """Give the model a new track head and new input channels for it, as at the start of a training."""
    torch.manual_seed(seed)
    fresh = build_model(spec)
    assert model.track_head is not None and fresh.track_head is not None
    fresh.track_head.initialise()
    model.track_head.load_state_dict(fresh.track_head.state_dict())
    start = 0
    for kind, width in spec.layout.slots:
        if kind == "track":
            channels = slice(start, start + width)
            with torch.no_grad():
                model.patch_embedding.weight[:, channels] = fresh.patch_embedding.weight[:, channels]
        start += width


def _train_teacher(study: Study, kind: str, seed: int, recipes: Recipes) -> None:
    name, training = f"{kind}-{seed}", replace(recipes.teacher, seed=seed)
    start = study.bundled("teacher") if kind in ("head", "trackless") else study.load(f"head-{seed}")
    spec = replace(start.spec, frame_size=(SIZE_PX, SIZE_PX))
    if kind == "trackless":
        training = replace(training, motion_dropout=1.0)
    elif kind in ("newhead", "bilinear", "rgb"):
        assert spec.track_head is not None and start.model.track_head is not None
        head = replace(spec.track_head, coordinates=SLOT_COORDINATES[kind])
        spec, start.model.track_head.config = replace(spec, track_head=head), head
        begin_slot_anew(start.model, spec, seed)
        training = replace(recipes.slot, seed=10 + seed)
    elif kind in ("masked", "unmasked"):
        phase = replace(recipes.second.phases[0], mask_probability=MASK_PROBABILITY if kind == "masked" else 0.0)
        training = replace(recipes.second, phases=(phase,), seed=20 + seed)
    engine, folder = Engine(Compute(torch.device("cpu"))), study.folder / name
    clips = StudyClips(study.folder / "world", pictures=kind == "rgb")
    start.model.requires_grad_(True)
    trained = train_teacher(engine, start.model, spec, training, clips, folder, Log(folder, study.echo))
    assert trained is not None
    save_model(study.checkpoint(name), trained, spec)


def _train_student(study: Study, kind: str, seed: int, recipe: StudentTraining) -> None:
    name, device = f"{kind}-{seed}", torch.device("cpu")
    bundled = study.bundled("student")
    spec = student_spec(bundled.spec, kind)
    training, view = replace(recipe, seed=30 + seed), View(STUDENTS[kind][3], CELLS)
    loss = truth_loss(StudyClips(study.folder / "world"), spec, view, training.seed, device)
    folder, engine = study.folder / name, Engine(Compute(device))
    start = LoadedModel(bundled.model, spec)
    trained = train_student(engine, "student", start, spec, loss, training, folder, Log(folder, study.echo))
    assert trained is not None
    save_model(study.checkpoint(name), trained, spec)
