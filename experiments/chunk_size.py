"""Chunk size and number of steps: quality, latency and throughput of students (arXiv 2511.01266, Figure A2)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from motionstream_core.checkpoints import LoadedModel
from motionstream_core.evaluation.world.cases import Case
from motionstream_core.evaluation.world.report import Video, case_conditions, to_video
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.stream import StreamSettings, stream_chunks

from .judging import measure, study_cases
from .runs import Study

CHUNKS = ("c1s1w1", "c3s1w1", "c5s1w1", "c7s1w1")
STEP_LISTS = ((1000,), (1000, 500), (1000, 667, 333), (1000, 750, 500, 250))
LATENT_FRAMES = 36  # chunks of 1, 5 and 7 after the image fill them; of 3, one latent frame more
NUM_CASES = 4


@dataclass(frozen=True)
class Timed:
    """Videos (t h w 3), cut to the cases' length, and CPU seconds of every generated chunk, decoded."""

    videos: list[Video]
    chunk_seconds: list[list[float]]


@torch.no_grad()
def stream_timed(loaded: LoadedModel, vae: TinyVae, cases: list[Case], settings: StreamSettings) -> Timed:
    """Stream every case to at least its own length, in bf16, on one thread."""
    videos, seconds = [], []
    for case in cases:
        wanted = len(case.clip.frames)
        length = loaded.spec.vae_stride.num_latent_frames(loaded.spec.lengths.at_least(wanted))
        frames, taken, before = [], [], 0.0
        with torch.autocast("cpu", torch.bfloat16):
            conditions = case_conditions(loaded, vae, case)
            chunks = stream_chunks(
                loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length, settings=settings
            )
            for streamed in chunks:
                now = time.process_time()
                if streamed.chunk.index > 1:  # the image, and the chunk in which everything is first touched
                    taken.append(now - before)
                frames.append(streamed.frames)
                before = time.process_time()
        videos.append(to_video(torch.cat(frames))[:wanted])
        seconds.append(taken)
    return Timed(videos, seconds)


def chunk_size(
    study: Study,
    seeds: Sequence[int],
    num_cases: int = NUM_CASES,
    chunks: Sequence[str] = CHUNKS,
    latent_frames: int = LATENT_FRAMES,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per chunk size, number of steps and seed: quality, ms per chunk, frames per second.

    Latency is the time from a chunk's first track sample being known to its frames: the wait for the chunk's own
    duration at 16 frames per second comes on top and is not counted.
    """
    cases = study_cases(num_cases, "plain", 1 + 4 * (latent_frames - 1))
    rows: list[dict[str, Any]] = []
    for name in chunks:
        for run, sampling in study.repetitions(name, seeds):
            student = study.load(run)
            for steps in STEP_LISTS:
                timed = stream_timed(student, study.vae, cases, StreamSettings(seed=sampling, step_list=steps))
                taken = np.concatenate([np.array(each) for each in timed.chunk_seconds])
                size = student.spec.chunk_plan.chunk_frames
                rows.append(
                    {
                        "chunk_frames": size,
                        "steps": len(steps),
                        "run": run,
                        "seed": sampling,
                        **measure(cases, timed.videos),
                        "chunk_ms": float(np.median(taken)) * 1000,
                        "frames_per_second": 4 * size / float(np.median(taken)),
                    }
                )
    return rows, {"cases": num_cases, "latent_frames": latent_frames, "trained_steps": 3}
