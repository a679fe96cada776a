"""What distillation costs and gains: the teacher's 50 steps of three passes against the student's three steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from motionstream_core.evaluation.world.report import Generator, student_generator, teacher_generator
from motionstream_core.streaming.stream import StreamSettings

from .judging import NUM_FRAMES, measure, study_cases
from .runs import Study

NUM_CASES = 4
TEACHER_STEPS = 50
TEXT_WEIGHT, MOTION_WEIGHT = 3.0, 1.5


def distillation(
    study: Study, seeds: Sequence[int], num_cases: int = NUM_CASES, teacher_steps: int = TEACHER_STEPS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per model and seed: quality, CPU ms per frame, decoding included."""
    cases = study_cases(num_cases)
    rows: list[dict[str, Any]] = []
    teachers, students = study.repetitions("head", seeds), study.repetitions("c3s1w1", seeds)
    for (run, seed), (student_run, student_seed) in zip(teachers, students, strict=True):
        teacher, student = study.load(run), study.load(student_run)
        guided = teacher_generator(teacher, study.vae, teacher_steps, TEXT_WEIGHT, MOTION_WEIGHT, seed)
        streamed = student_generator(student, study.vae, StreamSettings(seed=student_seed))
        makers: list[tuple[str, str, int, Generator]] = [
            ("teacher, guided", run, seed, guided),
            ("teacher, one pass", run, seed, teacher_generator(teacher, study.vae, teacher_steps, 0.0, 1.0, seed)),
            ("student", student_run, student_seed, streamed),
        ]
        for name, of, sampling, generate in makers:
            with torch.autocast("cpu", torch.bfloat16):
                generate(cases[0])  # the first call of a kind is slower
                start = time.process_time()
                videos = [generate(case) for case in cases]
            ms = (time.process_time() - start) * 1000 / (len(cases) * NUM_FRAMES)
            rows.append({"model": name, "run": of, "seed": sampling, **measure(cases, videos), "ms_per_frame": ms})
    settings = {"cases": num_cases, "teacher_steps": teacher_steps, "student_steps": 3}
    return rows, settings | {"text_weight": TEXT_WEIGHT, "motion_weight": MOTION_WEIGHT}
