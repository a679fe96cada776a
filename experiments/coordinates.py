"""To which cells of the track map a point falls: the one it lies in (arXiv 2511.01266, Eq. 1), or a share to four."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motionstream_core.evaluation.world.cases import CASE_KINDS

from .bounds import NUM_CASES, NUM_STEPS, teacher_measures
from .preset import SIZE_PX
from .runs import Study
from .trainings import SLOT_COORDINATES

RULES = {SLOT_COORDINATES[name]: name for name in ("newhead", "bilinear")}  # rule: the trainings that have it


def coordinates(
    study: Study, seeds: Sequence[int], num_cases: int = NUM_CASES, num_steps: int = NUM_STEPS
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per kind of case, rule and repetition."""
    rows: list[dict[str, Any]] = []
    for kind in CASE_KINDS:
        for rule, name in RULES.items():
            for run, seed in study.repetitions(name, seeds):
                measures = teacher_measures(study, run, seed, kind, num_cases, num_steps)
                rows.append({"case": kind, "coordinates": rule, "run": run, "seed": seed, **measures})
    return rows, {"cases": num_cases, "steps": num_steps, "cell_px": 8, "size_px": SIZE_PX}
