"""Teacher and student beside what bounds them: the judge's error, the VAE, a frozen frame, a model without tracks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motionstream_core.evaluation.world.cases import CASE_KINDS, CaseKind
from motionstream_core.evaluation.world.report import reference_generators, student_generator, teacher_generator
from motionstream_core.streaming.stream import StreamSettings

from .judging import measure_generator, study_cases, told_nothing
from .runs import Measures, Study

NUM_CASES = 8
NUM_STEPS = 10
TEXT_WEIGHT, MOTION_WEIGHT = 0.0, 3.0


def teacher_measures(
    study: Study, run: str, seed: int, kind: CaseKind, num_cases: int, num_steps: int, told: bool = True
) -> Measures:
    """Measures of a teacher under motion guidance, on held-out cases; told False withholds the tracks."""

    def answer() -> Measures:
        cases = study_cases(num_cases, kind)
        if not told:
            cases = [told_nothing(case) for case in cases]
        generate = teacher_generator(study.load(run), study.vae, num_steps, TEXT_WEIGHT, MOTION_WEIGHT, seed)
        return measure_generator(cases, generate)

    guided = f"weights {TEXT_WEIGHT} and {MOTION_WEIGHT}"
    question = f"{kind} x {num_cases}, {num_steps} steps, {guided}, seed {seed}, told {told}"
    return study.remembered(run, question, answer)


def student_measures(study: Study, run: str, seed: int, kind: CaseKind, num_cases: int) -> Measures:
    """Measures of a student on held-out cases."""

    def answer() -> Measures:
        generate = student_generator(study.load(run), study.vae, StreamSettings(seed=seed))
        return measure_generator(study_cases(num_cases, kind), generate)

    return study.remembered(run, f"{kind} x {num_cases}, seed {seed}", answer)


def bounds(
    study: Study, seeds: Sequence[int], num_cases: int = NUM_CASES, num_steps: int = NUM_STEPS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per case kind, generator and repetition."""
    rows: list[dict[str, Any]] = []
    for kind in CASE_KINDS:
        for name, generate in reference_generators(study.vae).items():
            rows.append({"case": kind, "model": name, **measure_generator(study_cases(num_cases, kind), generate)})
        for told, trained, model in (
            (False, "trackless", "no-track model"),
            (False, "head", "tracks withheld"),
            (True, "head", "teacher"),
        ):
            for run, seed in study.repetitions(trained, seeds):
                measures = teacher_measures(study, run, seed, kind, num_cases, num_steps, told)
                rows.append({"case": kind, "model": model, "run": run, "seed": seed, **measures})
        for run, seed in study.repetitions("c3s1w1", seeds):
            measures = student_measures(study, run, seed, kind, num_cases)
            rows.append({"case": kind, "model": "student", "run": run, "seed": seed, **measures})
    settings = {"cases": num_cases, "steps": num_steps, "text_weight": TEXT_WEIGHT, "motion_weight": MOTION_WEIGHT}
    return rows, settings
