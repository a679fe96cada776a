"""Sink and window over eight times the training length (arXiv 2511.01266, Table 4 and Figure 6)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from motionstream_core.streaming.stream import StreamSettings

from .chunk_size import stream_timed
from .judging import measure, study_cases
from .preset import LATENT_FRAMES
from .runs import Study

VARIANTS = ("c3s1w1", "c3s0w1", "c1s1w1", "c3s0w6")
TIMES_LONGER = 8
NUM_CASES = 4
NUM_PARTS = 8


def sink_window(
    study: Study,
    seeds: Sequence[int],
    num_cases: int = NUM_CASES,
    variants: Sequence[str] = VARIANTS,
    times_longer: int = TIMES_LONGER,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per variant and seed for the whole stream, and one for every eighth of it.

    jitter_ms: standard deviation of the time of a chunk once the window is full.
    """
    num_frames = 1 + 4 * (LATENT_FRAMES - 1) * times_longer
    cases = study_cases(num_cases, "plain", num_frames)
    bounds = np.linspace(1, num_frames, NUM_PARTS + 1).astype(int)
    rows: list[dict[str, Any]] = []
    for name in variants:
        for run, sampling in study.repetitions(name, seeds):
            student = study.load(run)
            timed = stream_timed(student, study.vae, cases, StreamSettings(seed=sampling))
            plan, spec = student.spec.chunk_plan, student.spec
            full = -(-(spec.sink_frames + spec.window_frames) // plan.chunk_frames)
            taken = np.concatenate([np.array(each[full:]) for each in timed.chunk_seconds]) * 1000
            first = np.mean([each[0] for each in timed.chunk_seconds]) * 1000
            key = {"variant": name, "run": run, "seed": sampling}
            rows.append(
                {
                    **key,
                    "part": "all",
                    **measure(cases, timed.videos),
                    "chunk_ms": float(np.median(taken)),
                    "jitter_ms": float(np.std(taken)),
                    "first_chunk_ms": float(first),
                }
            )
            for part, (start, stop) in enumerate(pairwise(bounds.tolist())):
                measures = measure(cases, timed.videos, slice(start, stop))
                rows.append({**key, "part": part, **measures})
    return rows, {"cases": num_cases, "frames": num_frames, "trained_frames": 1 + 4 * (LATENT_FRAMES - 1)}
