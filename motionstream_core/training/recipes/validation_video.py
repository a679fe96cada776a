"""Validation videos of a stage: held-out cases of the world, the truth on the left, the model on the right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ...checkpoints.load import LoadedModel
from ...evaluation.world.cases import Case, CaseKind, held_out_case
from ...evaluation.world.report import student_generator, teacher_generator
from ...media.video_file import VideoFile
from ...models.vae.tiny_vae import TinyVae

SHOWN: Sequence[tuple[int, CaseKind]] = ((0, "plain"), (1, "drag"))
TEACHER_STEPS = 12


def write_video(path: Path, loaded: LoadedModel, vae: TinyVae, num_frames: int, size_px: int) -> None:
    """Two fixed cases, one above the other, to an mp4; in the precision of the autocast around it.

    Raises ImportError where PyAV is missing.
    """
    cases = [held_out_case(index, kind, num_frames, size_px=size_px) for index, kind in SHOWN]
    generate: Callable[[Case], np.ndarray]
    if loaded.spec.role == "student":
        generate = student_generator(loaded, vae)
    else:
        generate = teacher_generator(loaded, vae, TEACHER_STEPS)
    rows = [np.concatenate([case.clip.frames, generate(case)], axis=2) for case in cases]
    with VideoFile(path, loaded.spec.fps) as video:
        video.push(torch.from_numpy(np.concatenate(rows, axis=1)).float() / 255)
