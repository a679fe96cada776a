"""Training stages: the smoke recipe through the command, interruption at any step, and where gradients go."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from motionstream_core.checkpoints import LoadedModel, build_model, load_model, load_tiny_vae
from motionstream_core.diffusion.schedule import student_sigmas
from motionstream_core.models.track_wan import TrackWan
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.rollout import GradientPolicy
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.training import __main__ as command
from motionstream_core.training.data import WHOLE_CLIP, Batch, LatentClips, View
from motionstream_core.training.data.trajectories import StoredTrajectories, Trajectories
from motionstream_core.training.engine.checkpoint import load_start
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.recipes.bundled import PRESETS
from motionstream_core.training.recipes.bundled_specs import STUDENT_SPEC, TEACHER_SPEC
from motionstream_core.training.recipes.bundled_stages import HELD_OUT, STAGES
from motionstream_core.training.stages.causal import StepLoss, StudentTraining, train_student
from motionstream_core.training.stages.causal_loss import causal_loss
from motionstream_core.training.stages.conditions import Conditioned, conditions_of, random_ids
from motionstream_core.training.stages.losses import draw_flow, flow_loss, track_weight
from motionstream_core.training.stages.ode import OdeTraining, trajectory_sigmas, write_trajectories
from motionstream_core.training.stages.regression import TruePaths, truth_loss
from motionstream_core.training.stages.student import rollout_loss, training_rollout
from motionstream_core.training.stages.teacher import (
    Phase,
    TeacherTraining,
    micro_generator,
    new_teacher,
    teacher_loss,
    train_teacher,
)
from tests.core.tiny_models import CHANNELS, TINY_TEACHER, WORDS
from tests.core.training.teacher_forcing import teacher_forced

CPU = torch.device("cpu")
SIDE, LATENT_FRAMES, NUM_POINTS = 6, 4, 5
FRAMES = 1 + 4 * (LATENT_FRAMES - 1)
TEACHER = TINY_TEACHER
STUDENT = replace(TEACHER, role="student", pin_first_latent=True)


class Interruption(Exception):
    """What stands for a key press or a power cut."""


def log_to(folder: Path) -> Log:
    return Log(folder / "log")


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def a_batch(count: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(count, 1, NUM_POINTS, 2, generator=generator) * SIDE * 8 + torch.zeros(1, FRAMES, 1, 1)
    visibility = torch.ones(count, FRAMES, NUM_POINTS, dtype=torch.bool)
    captions = ["a red circle" if index % 2 else "a blue circle" for index in range(count)]
    return Batch(draw(count, CHANNELS, LATENT_FRAMES, SIDE, SIDE, seed=seed), points, visibility, captions)


@pytest.fixture
def clips(tmp_path: Path) -> LatentClips:
    folder = tmp_path / "world"
    folder.mkdir()
    batch = a_batch(6, seed=1)
    tensors = {
        "latents": batch.latents.half(),
        "points": batch.points.half(),
        "visibility": batch.visibility,
        "owner": torch.tensor([[0, 0, 0, -1, -1]] * 6, dtype=torch.int8),
    }
    save_file(tensors, str(folder / "world_00000.safetensors"), {"captions": json.dumps(batch.captions)})
    return LatentClips(folder)


@pytest.fixture
def trajectories() -> Trajectories:
    batch = a_batch(5, seed=2)
    levels = draw(5, 3, CHANNELS, LATENT_FRAMES, SIDE, SIDE, seed=3)
    return Trajectories(levels, batch.latents, batch, random_ids(5, NUM_POINTS, torch.Generator().manual_seed(4)))


def start() -> LoadedModel:
    torch.manual_seed(7)
    return LoadedModel(build_model(STUDENT), STUDENT)


def engine() -> Engine:
    return Engine(Compute(CPU))


def interrupt_at(save: int) -> Callable[[TrackWan, int], None]:
    """An on_save that is cut off at its `save`-th call."""
    calls = 0

    def on_save(model: TrackWan, train_step: int) -> None:
        nonlocal calls
        calls += 1
        if calls == save:
            raise Interruption

    return on_save


def assert_identical(one: TrackWan, other: TrackWan) -> None:
    theirs = other.state_dict()
    assert one.state_dict().keys() == theirs.keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, theirs[name]), name


def assert_other(one: TrackWan, other: TrackWan) -> None:
    theirs = other.state_dict()
    assert any(not torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


# --- the command


@pytest.mark.slow
def test_the_smoke_recipe_runs_every_stage_and_its_bundle_streams(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["training", "all", "--preset", "smoke", "--out", str(tmp_path), "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", argv)
    assert command.main() == 0
    assert "teacher-gap,4" in capsys.readouterr().out
    trained, held_out = (
        LatentClips(tmp_path / folder).epoch_batch(0, 4, WHOLE_CLIP, 0).latents for folder in ("world", HELD_OUT)
    )
    first_frames = (trained[:, None, :, 0] - held_out[None, :, :, 0]).abs().amax((2, 3, 4))
    assert first_frames.min() > 0.1  # no scene is in both
    assert (tmp_path / "log" / "ode.csv").read_text("utf-8") == "step,total\n1,1\n"
    videos = {path.name for path in (tmp_path / "videos").iterdir()}
    assert videos == {"teacher_000004.mp4", "student_000002.mp4"}
    bundle = tmp_path / "bundle"
    assert {path.name for path in bundle.iterdir()} == {
        "student.safetensors",
        "teacher.safetensors",
        "tiny_vae.safetensors",
    }
    assert load_model(bundle / "teacher.safetensors").spec == TEACHER_SPEC
    student = load_model(bundle / "student.safetensors", torch.float32)
    assert student.spec == STUDENT_SPEC
    vae = load_tiny_vae(bundle / "tiny_vae.safetensors")
    points = torch.full((13, 2, 2), 20.0)
    tracks = Tracks(points, torch.ones(13, 2, dtype=torch.bool), 32, 32)
    context = encode_prompt(student.model, student.spec, "a red circle , snow")
    conditions = StreamConditions(
        student.model, student.spec, context, KnownTracks(tracks), image=torch.rand(1, 3, 1, 32, 32), vae=vae
    )
    chunks = list(stream_chunks(student, conditions, TinyStreamingDecoder(vae), num_latent_frames=4))
    frames = torch.cat([chunk.frames for chunk in chunks])
    assert frames.shape == (13, 32, 32, 3) and frames.isfinite().all()

    # what is finished stays finished: a second call trains nothing more and bundles the same weights
    weights = {path.name: path.read_bytes() for path in bundle.iterdir()}
    for stage in ("distill", "bundle"):
        monkeypatch.setattr(sys, "argv", [argv[0], stage, *argv[2:]])
        assert command.main() == 0
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == weights


@pytest.mark.parametrize(("stage", "missing"), [("prepare", "tiny_vae"), ("teacher", "world"), ("ode", "world")])
def test_a_stage_out_of_order_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str, missing: str
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["training", stage, "--preset", "smoke", "--out", str(tmp_path), "--device", "cpu"]
    )
    assert command.main() == 2
    message = capsys.readouterr().err
    assert missing in message and "in order: tiny-vae, prepare, teacher, ode, causal, paths, distill" in message


def test_recipes_fit_their_model() -> None:
    """Whole views are the clips' own size, and every view fills chunks where a student sees it."""
    for preset in PRESETS.values():
        side = preset.mix.size_px // TEACHER_SPEC.vae_stride.space
        whole = TEACHER_SPEC.vae_stride.num_latent_frames(preset.mix.num_frames)
        views = [phase.view for phase in preset.teacher.phases]
        for view in (*views, preset.ode.view, preset.paths_view, preset.distill.view):
            assert view.cells <= side and view.latent_frames <= whole
            assert view.cells % TEACHER_SPEC.backbone.patch[1] == 0
        for view in (preset.ode.view, preset.paths_view, preset.distill.view):
            STUDENT_SPEC.chunk_plan.num_chunks(view.latent_frames)
        assert preset.causal.batch_size <= preset.ode.num_trajectories
    assert list(STAGES) == ["tiny-vae", "prepare", "teacher", "ode", "causal", "paths", "distill"]


# --- interruption

TEACHER_TRAINING = TeacherTraining(phases=(Phase(2, 2, View(2, 4)), Phase(2, 3, View(4, 6))), save_every=1)


def train_a_teacher(
    folder: Path,
    clips: LatentClips,
    on_save: Callable[[TrackWan, int], None] | None = None,
    training: TeacherTraining = TEACHER_TRAINING,
) -> TrackWan:
    model = new_teacher(TEACHER, training.seed)
    averaged = train_teacher(engine(), model, TEACHER, training, clips, folder, log_to(folder), on_save)
    assert averaged is not None
    return averaged


@pytest.mark.parametrize("save", [1, 2, 3])
def test_an_interrupted_teacher_goes_on_bit_for_bit(tmp_path: Path, clips: LatentClips, save: int) -> None:
    """1 and 3 lie within a phase, 2 between two phases."""
    in_one_go = train_a_teacher(tmp_path / "one", clips)
    with pytest.raises(Interruption):
        train_a_teacher(tmp_path / "two", clips, interrupt_at(save))
    assert_identical(in_one_go, train_a_teacher(tmp_path / "two", clips))
    one, two = ((tmp_path / name / "log" / "teacher.csv").read_text("utf-8").split(",")[:-1] for name in ("one", "two"))
    assert one[:2] == two[:2]
    fewer = TeacherTraining(phases=(Phase(2, 2, View(2, 4)),))
    assert_other(in_one_go, train_a_teacher(tmp_path / "fewer", clips, training=fewer))


@pytest.mark.parametrize("stage", ["causal", "paths", "truth"])
def test_an_interrupted_student_goes_on_bit_for_bit(
    tmp_path: Path, clips: LatentClips, trajectories: Trajectories, stage: str
) -> None:
    training = StudentTraining(num_steps=4, batch_size=2, save_every=1)
    view = View(4, 6)
    sources = {"causal": trajectories, "paths": TruePaths(clips, STUDENT, view)}
    loss: StepLoss = (
        truth_loss(clips, STUDENT, view, training.seed, CPU)
        if stage == "truth"
        else causal_loss(sources[stage], STUDENT, training.masks, training.seed, CPU)
    )

    def train(folder: str, on_save: Callable[[TrackWan, int], None] | None = None) -> TrackWan:
        path = tmp_path / folder
        averaged = train_student(engine(), stage, start(), STUDENT, loss, training, path, log_to(path), on_save)
        assert averaged is not None
        return averaged

    in_one_go = train("one")
    assert_other(in_one_go, start().model)
    with pytest.raises(Interruption):
        train("two", interrupt_at(2))
    assert_identical(in_one_go, train("two"))


def test_a_finished_stage_is_left_as_it_is(tmp_path: Path, clips: LatentClips) -> None:
    first = train_a_teacher(tmp_path, clips)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "teacher.state").rglob("*")}
    assert_identical(first, train_a_teacher(tmp_path, clips))
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "teacher.state").rglob("*")} == files


@pytest.mark.parametrize("every", [1, 2, 3])
def test_averages_are_handed_out_as_often_as_asked_and_at_the_end(
    tmp_path: Path, clips: LatentClips, every: int
) -> None:
    steps: list[int] = []
    training = replace(TEACHER_TRAINING, save_every=every)
    train_a_teacher(tmp_path, clips, lambda model, train_step: steps.append(train_step), training)
    assert steps == [step for step in range(1, 5) if step % every == 0 or step == 4]


def test_a_frozen_head_stays_while_all_else_moves(tmp_path: Path, clips: LatentClips) -> None:
    """The averages of a phase in which the head is frozen hold the head of the phase before."""
    phases = (Phase(1, 2, View(2, 4), freeze_head=True), Phase(1, 2, View(2, 4)))
    models: dict[int, dict[str, Tensor]] = {}
    train_a_teacher(
        tmp_path,
        clips,
        lambda model, train_step: models.update({train_step: {n: v.clone() for n, v in model.state_dict().items()}}),
        replace(TEACHER_TRAINING, phases=phases),
    )
    first = new_teacher(TEACHER, TEACHER_TRAINING.seed).state_dict()
    assert torch.equal(models[1]["track_head.proj.weight"], first["track_head.proj.weight"])
    assert not torch.equal(models[1]["patch_embedding.weight"], first["patch_embedding.weight"])
    assert not torch.equal(models[2]["track_head.proj.weight"], first["track_head.proj.weight"])


def test_the_first_steps_follow_the_formula(tmp_path: Path, clips: LatentClips) -> None:
    """Loss of every step beside a loop that is written down here: mean gradient of the micro-batches, clip, AdamW."""
    phase = Phase(3, 4, View(4, 6), mask_probability=0.5, micro_batch_size=2)
    settings = OptimizerSettings("adamw", learning_rate=3e-3, clip_norm=0.2)
    training = TeacherTraining((phase,), settings, log_every=1)
    log = log_to(tmp_path)
    plain = Engine(Compute(CPU, "fp32"))
    train_teacher(plain, new_teacher(TEACHER, 2), TEACHER, training, clips, tmp_path, log)
    rows = (tmp_path / "log" / "teacher.csv").read_text("utf-8").split()[1:]

    model = new_teacher(TEACHER, 2)
    optimizer = torch.optim.AdamW(model.parameters(), betas=settings.betas, weight_decay=0.01)
    for step in range(3):
        losses = []
        for micro in range(2):
            batch = clips.epoch_batch(4 * step + 2 * micro, 2, phase.view, training.seed)
            generator = micro_generator(training.seed, step, micro)
            losses.append(teacher_loss(model, TEACHER, batch, training, phase, generator))
        loss = torch.stack(losses).mean()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * training.rate(step)
        optimizer.step()
        optimizer.zero_grad()
        logged = [float(value) for value in rows[step].split(",")]
        assert logged[0] == step + 1
        assert logged[1:3] == pytest.approx([loss.item(), norm.item()], rel=2e-5)
        assert norm > settings.clip_norm


def test_samples_are_counted_through_the_phases() -> None:
    training = TeacherTraining((Phase(3, 4, View(4, 6)), Phase(2, 5, View(4, 6))))
    assert [training.samples_before(step) for step in range(6)] == [0, 4, 8, 12, 17, 22]


def test_weights_of_another_model_are_named_with_both_shapes() -> None:
    other = build_model(replace(TEACHER, backbone=replace(TEACHER.backbone, ffn_dim=16)))
    with pytest.raises(ValueError, match=r"\.ffn\.0\.weight is \(16, 24\), not \(32, 24\).*and 3 more") as caught:
        load_start(build_model(TEACHER), other.state_dict(), "teacher.safetensors")
    assert "teacher.safetensors" in str(caught.value)


def test_the_rate_depends_on_the_step_alone_and_ends_low() -> None:
    training = TeacherTraining(phases=(Phase(300, 1, View(1, 2)), Phase(700, 1, View(1, 2))))
    rates = [training.rate(step) for step in range(1000)]
    assert rates[0] == 0.01 and rates[99] == 1 and max(rates) == 1
    assert rates[699:701] == [1, 1] and rates[850] == pytest.approx(0.5) and rates[-1] == 0.05
    assert [training.phase_at(step) for step in (0, 299, 300, 999)] == [0, 0, 1, 1]


# --- losses and gradients


@pytest.mark.parametrize("forced", [False, True], ids=["self-forcing", "teacher-forcing"])
@pytest.mark.parametrize("exit_step", range(3))
def test_a_rollout_teaches_track_head_and_text_encoder(
    trajectories: Trajectories, forced: bool, exit_step: int
) -> None:
    model, batch = start().model, trajectories.batch
    whole = conditions_of(model, batch, trajectories.ids, STUDENT, Conditioned.on_everything(5))
    if forced:
        noisy, clean = trajectories.levels[:, exit_step], trajectories.clean
        chunks = teacher_forced(model, STUDENT, whole, noisy, clean, exit_step)
    else:
        chunks = training_rollout(model, STUDENT, whole, batch.latents.shape, GradientPolicy(exit_step), seed=3)
    loss = rollout_loss(chunks, batch.latents, track_weight(batch, STUDENT))
    loss.backward()
    reached = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, _ in model.named_parameters()}
    assert model.track_head is not None and model.text_encoder is not None
    assert float(model.track_head.proj.weight.grad.abs().max()) > 0
    embedding = model.text_encoder.embedding.weight.grad
    assert embedding is not None
    touched = {WORDS[row - 1] for row in range(1, len(WORDS) + 1) if embedding[row].any()}
    assert touched == {"a", "red", "blue", "circle"}


def test_untold_conditions_carry_no_gradient(trajectories: Trajectories) -> None:
    model, batch = start().model, trajectories.batch
    untold = torch.zeros(5, dtype=torch.bool)
    whole = conditions_of(model, batch, trajectories.ids, STUDENT, Conditioned(untold, untold))
    chunks = training_rollout(model, STUDENT, whole, batch.latents.shape, GradientPolicy(0), seed=3)
    rollout_loss(chunks, batch.latents, track_weight(batch, STUDENT)).backward()
    assert model.track_head is not None and model.text_encoder is not None
    assert not model.track_head.proj.weight.grad.any()
    assert model.text_encoder.embedding.weight.grad is not None
    assert not model.text_encoder.embedding.weight.grad.any()


def test_rollout_loss_is_the_weighted_mean_over_what_was_generated(trajectories: Trajectories) -> None:
    model, batch = start().model, trajectories.batch
    whole = conditions_of(model, batch, trajectories.ids, STUDENT, Conditioned.on_everything(5))
    weight = track_weight(batch, STUDENT)
    rolled = list(training_rollout(model, STUDENT, whole, batch.latents.shape, GradientPolicy(1), seed=3))
    assert torch.equal(rolled[0].latents, batch.latents[:, :, :1])  # the image itself
    error = (rolled[1].latents - batch.latents[:, :, 1:]).square()
    expected = (error * weight[:, :, 1:]).sum() / (weight[:, :, 1:].sum() * CHANNELS)
    torch.testing.assert_close(rollout_loss(iter(rolled), batch.latents, weight), expected)


def test_cells_about_a_track_weigh_more(trajectories: Trajectories) -> None:
    batch = trajectories.batch
    points = torch.full((1, FRAMES, 1, 2), 20.0)  # cell (2, 2)
    visibility = torch.ones(1, FRAMES, 1, dtype=torch.bool)
    visibility[:, 4] = False  # latent frame 1 belongs to frames 1..4, and is weighed by the last of them
    weight = track_weight(Batch(batch.latents[:1], points, visibility, ["a"]), TEACHER, gain=4.0)
    expected = torch.ones(1, 1, LATENT_FRAMES, SIDE, SIDE)
    expected[:, :, [0, 2, 3], 1:4, 1:4] = 5
    assert torch.equal(weight, expected)


def test_flow_loss_of_a_model_that_says_nothing(clips: LatentClips) -> None:
    """Velocity 0 misses the target, noise - clean, by all of it."""
    model = build_model(TEACHER)
    torch.nn.init.zeros_(model.head.head.weight)
    torch.nn.init.zeros_(model.head.head.bias)
    batch = clips.batch(4, View(4, 6), np.random.default_rng(0))
    with torch.no_grad():
        draw_of_it = draw_flow(batch, TEACHER, Conditioned.on_everything(4), torch.Generator().manual_seed(5))
        loss = flow_loss(model, TEACHER, batch, draw_of_it)
    generator = torch.Generator().manual_seed(5)
    torch.rand(4, generator=generator)  # the levels
    noise = torch.randn(batch.latents.shape, generator=generator)
    weight = track_weight(batch, TEACHER)
    expected = ((noise - batch.latents).square() * weight).sum() / (weight.sum() * CHANNELS)
    torch.testing.assert_close(loss, expected)


# --- trajectories


@pytest.mark.parametrize("shift", [1.0, 5.0, 6.0])
def test_trajectories_pass_each_of_the_students_levels_once(shift: float) -> None:
    for step_list in ((1000, 667, 333), (1000, 750, 500, 250), (900, 1)):
        wanted = student_sigmas(step_list, shift)[:-1].tolist()
        for num_steps in range(1, 60):
            sigmas = trajectory_sigmas(num_steps, step_list, shift)
            assert sigmas[0] == 1 and sigmas[-1] == 0 and (sigmas.diff() < 0).all()
            kept = [s for s in sigmas.tolist() if any(abs(s - level) < 1e-5 for level in wanted)]
            assert kept == pytest.approx(wanted, abs=1e-6), num_steps


def test_trajectories_hold_the_states_at_the_students_levels(tmp_path: Path, clips: LatentClips) -> None:
    """A model of constant velocity c goes straight: x_sigma = noise - (1 - sigma) c."""
    model = build_model(TEACHER)
    torch.nn.init.zeros_(model.head.head.weight)
    bias = torch.arange(CHANNELS).float()
    with torch.no_grad():
        model.head.head.bias.copy_(bias.repeat(4))
    training = OdeTraining(num_trajectories=4, batch_size=2, num_steps=3, view=View(4, 6))
    done: list[tuple[int, int]] = []
    loaded = LoadedModel(model.eval().requires_grad_(False), TEACHER)
    write_trajectories(engine(), loaded, clips, training, tmp_path / "ode", lambda *pair: done.append(pair))
    assert done == [(1, 2), (2, 2)]
    taken = StoredTrajectories(tmp_path / "ode")
    assert len(taken) == 4
    all_of_them = taken.take(torch.arange(4))
    assert all_of_them.levels.shape == (4, 3, CHANNELS, LATENT_FRAMES, SIDE, SIDE)
    velocity = bias[None, :, None, None, None]
    noise = all_of_them.levels[:, 0]
    assert noise.std() == pytest.approx(1, abs=0.05)
    for index, sigma in enumerate(student_sigmas(TEACHER.step_list, TEACHER.shift)[:-1].tolist()):
        torch.testing.assert_close(all_of_them.levels[:, index], noise - (1 - sigma) * velocity, atol=0.02, rtol=0.01)
    torch.testing.assert_close(all_of_them.clean[:, :, 1:], (noise - velocity)[:, :, 1:], atol=0.02, rtol=0.01)
    one = taken.take(torch.tensor([2]))
    assert torch.equal(one.clean[0], all_of_them.clean[2]) and one.batch.captions == [all_of_them.batch.captions[2]]
    stored = torch.stack([clips._shards[0]["latents"][index, :, 0].float() for index in range(6)])
    assert all((stored == all_of_them.clean[index, :, 0]).all((1, 2, 3)).any() for index in range(4))  # the images

    content = {path.name: path.read_bytes() for path in (tmp_path / "ode").iterdir()}
    (tmp_path / "ode" / "ode_00001.safetensors").unlink()
    write_trajectories(engine(), loaded, clips, training, tmp_path / "ode")
    assert {path.name: path.read_bytes() for path in (tmp_path / "ode").iterdir()} == content


def test_true_paths_lead_straight_from_noise_to_a_clip(clips: LatentClips) -> None:
    """What the stage's teacher would walk if it knew the clip; every draw is another clip, noise and set of ids."""
    drawn = TruePaths(clips, STUDENT, View(4, 6)).draw(5, np.random.default_rng(1))
    stored = clips._shards[0]["latents"].float()
    assert all((stored == clip).all((1, 2, 3, 4)).any() for clip in drawn.clean)
    assert torch.equal(drawn.clean, drawn.batch.latents) and drawn.ids.shape == (5, drawn.batch.points.shape[2])
    noise = drawn.levels[:, 0]
    assert noise.std() == pytest.approx(1, abs=0.05) and noise.flatten(1).corrcoef().fill_diagonal_(0).abs().max() < 0.1
    for index, sigma in enumerate(student_sigmas(STUDENT.step_list, STUDENT.shift)[:-1].tolist()):
        expected = sigma * noise + (1 - sigma) * drawn.clean
        torch.testing.assert_close(drawn.levels[:, index], expected, atol=1e-5, rtol=1e-5)
    again = TruePaths(clips, STUDENT, View(4, 6)).draw(5, np.random.default_rng(1))
    assert torch.equal(again.levels, drawn.levels) and torch.equal(again.ids, drawn.ids)


def test_without_trajectories_it_says_which_stage_makes_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage 'ode' first"):
        StoredTrajectories(tmp_path)
