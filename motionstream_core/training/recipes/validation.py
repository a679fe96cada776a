"""What is seen of a Wan stage at every save: numbers on fixed clips, and the clips beside the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...media.video_file import VideoFile
from ...tracks import Tracks, contact_sheet
from ..data import Batch
from ..engine.engine import Engine, Part
from ..engine.log import Log
from ..stages.probe import Probe, measure_student, measure_teacher, probe

Decode = Callable[[Tensor], Tensor]
"""latents (1 c f h w) -> frames (1 3 t h w) in [0, 1]"""
SHEET_CELLS, SHEET_CELL_PX = 6, 208


class Validation:
    """Called at every save of stage `name`, by all ranks, which share the probe's clips.

    Logs `<name>-gap` (loss or error with the right tracks, none and another clip's). Where rank 0 can decode, it writes
    `videos/<name>_<steps>.mp4`, every clip's truth left of what is made, and a contact sheet of the same name.
    metrics: of the last call.
    """

    def __init__(
        self, name: str, spec: ModelSpec, given: Probe, engine: Engine, folder: Path, log: Log, decode: Decode | None
    ) -> None:
        self.name, self.spec, self.engine, self.folder, self.log, self.decode = name, spec, engine, folder, log, decode
        self._batch = given.batch()
        student = spec.role == "student"
        self._measure = measure_student(spec) if student else measure_teacher(spec, given.num_steps)
        self._shows = bool(engine.from_main(decode is not None))
        self.metrics: Mapping[str, float] = {}

    def __call__(self, part: Part, train_step: int) -> None:
        probed = probe(self.engine, part, self._batch, self._measure)
        self.metrics = probed.metrics
        self.log(f"{self.name}-gap", train_step, **probed.metrics)
        if not self._shows:
            return
        made: dict[int, Tensor] = {}
        for each in self.engine.collected(dict(probed.made)):
            made |= each  # type: ignore[arg-type]
        if self.engine.is_main:
            self._show(made, train_step)
        self.engine.barrier()

    def _show(self, made: Mapping[int, Tensor], train_step: int) -> None:
        assert self.decode is not None
        path = self.folder / "videos" / f"{self.name}_{train_step:06d}.mp4"
        rows, sheets = [], []
        for number in sorted(made):
            clip = self._batch.clip(number)
            for latents in (clip.latents, made[number]):
                frames = self.decode(latents)[0].permute(1, 2, 3, 0).float().cpu()
                rows.append(frames)
                sheets.append(_sheet(frames, clip))
        with VideoFile(path, self.spec.fps) as video:
            # the clips one above the other
            video.push(torch.cat([torch.cat(rows[i : i + 2], dim=2) for i in range(0, len(rows), 2)], dim=1))
        Image.fromarray(np.concatenate(sheets)).save(path.with_suffix(".png"))
        self.log.picture(self.name, train_step, path.with_suffix(".png"))


def _sheet(frames: Tensor, clip: Batch) -> np.ndarray:
    """A row of frames under the tracks that were told."""
    height, width = frames.shape[1:3]
    tracks = Tracks(clip.points[0].float(), clip.visibility[0], height, width)
    sheet = contact_sheet(frames, tracks, columns=SHEET_CELLS, num_cells=SHEET_CELLS, cell_width=SHEET_CELL_PX)
    return sheet.numpy()
