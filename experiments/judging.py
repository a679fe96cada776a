"""Held-out cases at the study's size, and what is measured on generated videos of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from motionstream_core.evaluation.metrics import ssim
from motionstream_core.evaluation.world.cases import Case, CaseKind, held_out_case
from motionstream_core.evaluation.world.report import Generator, Video, generate_all, score

from .preset import LARGE, SIZE_PX
from .runs import Measures

NUM_FRAMES = 49
STILL_CAMERA = replace(LARGE, camera_probability=0.0)


def study_cases(count: int, kind: CaseKind = "plain", num_frames: int = NUM_FRAMES, first: int = 0) -> list[Case]:
    """Held-out cases number `first` and after it, in which something moves that can be judged."""
    cases: list[Case] = []
    index = first
    while len(cases) < count:
        case = held_out_case(index, kind, num_frames, size_px=SIZE_PX, level=LARGE)
        if case.counted.any():
            cases.append(case)
        index += 1
    return cases


def with_effect(case: Case, effect: str) -> Case:
    """The same first frame and tracks under a caption that asks for another effect."""
    caption = case.clip.caption.rsplit(",", 1)[0] + ", " + effect
    return replace(case, clip=replace(case.clip, caption=caption))


def told_nothing(case: Case) -> Case:
    """The same case without a single track."""
    return replace(case, told=np.zeros(0, np.int64))


def measure(cases: list[Case], videos: list[Video], frames: slice = slice(None)) -> Measures:
    """Object error and lost share by the judge, PSNR and SSIM against the true clips."""
    found = score(cases, videos, frames)
    likeness = [ssim(video[frames], case.clip.frames[frames]) for case, video in zip(cases, videos, strict=True)]
    return {
        "epe_px": found.epe_px,
        "lost": found.lost,
        "psnr_db": found.psnr_db,
        "ssim": float(np.mean(likeness)),
    }


def measure_generator(cases: list[Case], generate: Generator) -> Measures:
    """`measure` of what `generate` makes of the cases, in bf16."""
    return measure(cases, generate_all(cases, generate, bf16=True))


def mean_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation (0 for a single value)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return float(np.mean(values)), spread
