"""Track head against tracks drawn as a picture and encoded by the VAE (arXiv 2511.01266, Table 3)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from motionstream_core.evaluation.world.cases import CASE_KINDS
from motionstream_core.evaluation.world.report import case_tracks
from motionstream_core.models.track_head import TrackHead

from .bounds import NUM_CASES, NUM_STEPS, teacher_measures
from .judging import study_cases
from .preset import SIZE_PX
from .rgb_tracks import RgbTracks
from .runs import Study

CHUNK_FRAMES = 12


def cpu_ms(work: Callable[[], object], repeats: int) -> float:
    """Median CPU time of `work` in ms, after one call that is not counted."""
    work()
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        taken.append((time.process_time() - start) * 1000)
    return statistics.median(taken)


@torch.no_grad()
def conditioning_ms(head: TrackHead, num_tracks: int, num_frames: int, repeats: int = 20) -> float:
    """CPU time in ms that `head` takes for `num_tracks` tracks over `num_frames` frames of the study's size."""
    generator = torch.Generator().manual_seed(8)
    points = torch.rand(1, num_frames, num_tracks, 2, generator=generator) * SIZE_PX
    visibility = torch.ones(1, num_frames, num_tracks, dtype=torch.bool)
    ids = torch.randperm(100_000, generator=generator)[:num_tracks]

    def work() -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return head.encode(points, visibility, ids, (SIZE_PX, SIZE_PX), at_start=True)

    return cpu_ms(work, repeats)


def track_slot(
    study: Study, seeds: Sequence[int], num_cases: int = NUM_CASES, num_steps: int = NUM_STEPS, repeats: int = 20
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Rows of quality per kind of case, and of the time of the conditioning per clip and per chunk.

    A chunk is timed as its 12 frames and the one before them, which the VAE's encoder needs to start.
    """
    rows: list[dict[str, Any]] = []
    for kind in CASE_KINDS:
        for name in ("newhead", "rgb"):
            for run, seed in study.repetitions(name, seeds):
                measures = teacher_measures(study, run, seed, kind, num_cases, num_steps)
                rows.append({"case": kind, "slot": name, "run": run, "seed": seed, **measures})
    num_tracks = round(sum(case_tracks(case).num_tracks for case in study_cases(num_cases)) / num_cases)
    head = study.load(f"newhead-{seeds[0]}").model.track_head
    assert head is not None
    for name, encoder in (("newhead", head), ("rgb", RgbTracks(head.config, study.vae))):
        for part, frames in (("clip", 49), ("chunk", 1 + CHUNK_FRAMES)):
            rows.append({"part": part, "slot": name, "ms": conditioning_ms(encoder, num_tracks, frames, repeats)})
    settings = {"cases": num_cases, "steps": num_steps, "tracks_timed": num_tracks, "size_px": SIZE_PX}
    return rows, settings
