"""Judges of a whole set of clips, on the videos that a run kept: FVD and VBench."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ...media.video import VideoFrames
from ..frechet import frechet_distance, video_features
from ..vbench import vbench_scores
from .cases import Video
from .runs import MADE, TRUE, ClipResult


def fvd(folder: Path, results: Sequence[ClipResult], network: Any, device: torch.device) -> float:
    """Of the model's videos against the true clips, by a network of `load_features`. Raises as `frechet` does."""
    features = network.to(device)
    made, true = (
        torch.stack([video_features(features, _read(path / name), device) for path in _folders(folder, results)])
        for name in (MADE, TRUE)
    )
    return frechet_distance(made, true)


def vbench(
    folder: Path, results: Sequence[ClipResult], dimensions: Sequence[str], device: torch.device
) -> dict[str, float]:
    """VBench-I2V's scores of the model's videos; its files lie in `folder`/vbench. Raises as `vbench_scores` does."""
    out = folder / "vbench"
    shutil.rmtree(out, ignore_errors=True)
    videos, images = out / "videos", out / "images"
    for each in (videos, images):
        each.mkdir(parents=True)
    for number, path in enumerate(_folders(folder, results)):
        shutil.copyfile(path / MADE, videos / f"{number:05d}.mp4")
        Image.fromarray(_read(path / TRUE)[0]).save(images / f"{number:05d}.png")
    return vbench_scores(videos, images, dimensions, out, device)


def _folders(folder: Path, results: Sequence[ClipResult]) -> Iterator[Path]:
    return (folder / "clips" / each.name for each in results if each.skipped is None)


def _read(path: Path) -> Video:
    video = VideoFrames(path)
    return video.read(0, video.num_frames)
