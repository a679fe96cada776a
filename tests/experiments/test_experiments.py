"""Every training and every experiment, from nothing to a row, at a size that proves nothing but that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from experiments.bounds import bounds
from experiments.chunk_size import chunk_size
from experiments.coordinates import coordinates
from experiments.distillation import distillation
from experiments.effect_classifier import trained_classifier
from experiments.guidance_grid import guidance_grid
from experiments.record import store
from experiments.release import release
from experiments.report import SECTIONS, render
from experiments.runs import Study
from experiments.sink_window import sink_window
from experiments.tables import Row
from experiments.track_slot import track_slot
from experiments.trainings import STUDENTS, TEACHERS, Recipes, begin_slot_anew, student_spec, train
from motionstream_core.checkpoints.spec import ModelSpec


@pytest.fixture(scope="module")
def trained(small_study: Study, small_recipes: Recipes) -> Study:
    for kind in (*TEACHERS, *STUDENTS):
        train(small_study, f"{kind}-1", small_recipes)
    return small_study


def numbers(rows: Sequence[Row]) -> list[float]:
    return [value for row in rows for value in row.values() if isinstance(value, float)]


@pytest.mark.slow
def test_every_experiment_runs_and_is_reported(trained: Study, tmp_path: Path) -> None:
    trained_classifier(trained.folder / "effects.safetensors", trained.vae, num_clips=4, num_steps=1)
    done = {
        "bounds": bounds(trained, [1], num_cases=1, num_steps=1),
        "track_slot": track_slot(trained, [1], num_cases=1, num_steps=1, repeats=1),
        "coordinates": coordinates(trained, [1], num_cases=1, num_steps=1),
        "guidance_grid": guidance_grid(trained, [1], (0.0, 3.0), (1.5,), 1, 1, 4, 8),
        "sink_window": sink_window(trained, [1], 1, ("c3s1w1", "c1s1w1"), times_longer=1),
        "chunk_size": chunk_size(trained, [1], 1, ("c3s1w1", "c7s1w1"), latent_frames=8),
        "release": release(trained, [1], num_cases=2, num_steps=1),
        "distillation": distillation(trained, [1], num_cases=1, teacher_steps=1),
    }
    assert done.keys() == SECTIONS.keys()
    for name, (rows, settings) in done.items():
        assert rows and settings and numbers(rows), name
        store(tmp_path, name, rows, settings, {"hardware": "a test", "torch": "0"})
    text = render(tmp_path)
    for title, _ in SECTIONS.values():
        assert f"## {title}\n" in text
    first = [row for row in done["bounds"][0] if row["case"] == "plain"]
    assert [row["model"] for row in first] == [
        "judge",
        "vae",
        "frozen",
        "no-track model",
        "tracks withheld",
        "teacher",
        "student",
    ]
    sizes = [(row["chunk_frames"], row["steps"]) for row in done["chunk_size"][0]]
    assert sizes == [(size, steps) for size in (3, 7) for steps in (1, 2, 3, 4)]


@pytest.mark.slow
def test_a_second_phase_starts_from_the_first_and_leaves_the_head(trained: Study) -> None:
    first, second = trained.load("head-1").model, trained.load("masked-1").model
    assert first.track_head is not None and second.track_head is not None
    for one, other in zip(first.track_head.parameters(), second.track_head.parameters(), strict=True):
        assert (one - other).abs().max() < 1e-6
    assert any(
        not one.equal(other) for one, other in zip(first.blocks.parameters(), second.blocks.parameters(), strict=True)
    )


@pytest.mark.slow
def test_repetitions_are_trainings_or_else_samplings(trained: Study) -> None:
    assert trained.repetitions("head", [1]) == [("head-1", 0)]
    assert trained.repetitions("head", [1, 2, 3]) == [("head-1", 0), ("head-1", 1), ("head-1", 2)]


def test_what_is_not_trained_names_its_command(tmp_path: Path, small_study: Study) -> None:
    with pytest.raises(FileNotFoundError, match="experiments train c5s1w1-2"):
        Study(tmp_path, small_study.weights).load("c5s1w1-2")
    with pytest.raises(ValueError, match="'heads-1' is unknown"):
        train(small_study, "heads-1")


def test_a_slot_begun_anew_is_new_and_nothing_else_is(small_study: Study) -> None:
    before, after = small_study.bundled("teacher"), small_study.bundled("teacher")
    begin_slot_anew(after.model, after.spec, 1)
    old, new = before.model.state_dict(), after.model.state_dict()
    changed = {name for name, value in old.items() if not torch.equal(value, new[name])}
    assert changed == {"patch_embedding.weight", "track_head.proj.weight"}
    same = old["patch_embedding.weight"] == new["patch_embedding.weight"]
    assert same[:, :36].all() and not same[:, 36:].any()  # noise 16, mask 4, image 16 come before the track slot
    again = small_study.bundled("teacher")
    begin_slot_anew(again.model, again.spec, 2)
    assert not torch.equal(again.model.state_dict()["track_head.proj.weight"], new["track_head.proj.weight"])


def test_students_say_in_their_names_what_they_are(small_study: Study) -> None:
    bundled = small_study.bundled("student").spec
    for name, (chunk, sink, window, length) in STUDENTS.items():
        spec: ModelSpec = student_spec(bundled, name)
        assert (spec.chunk_plan.chunk_frames, spec.sink_frames, spec.window_frames) == (chunk, sink, window)
        spec.chunk_plan.num_chunks(length)  # raises unless its training clips fill whole chunks
        assert name.startswith(f"c{chunk}s{sink}")
        assert window == chunk * int(name[-1])
