"""Hours of one stream: what is told of them tells drift from a busy machine, and a whole file from a cut one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from benchmarks import endurance
from motionstream_core.media.video_file import VideoFile

CHUNKS = 600


def found(chunk_ms: np.ndarray, young_ms: np.ndarray, mb: np.ndarray) -> dict[str, Any]:
    young = [each if number % endurance.YOUNG_EVERY == 0 else None for number, each in enumerate(young_ms)]
    return {"s": np.arange(CHUNKS) * 0.75, "chunk ms": list(chunk_ms), "young ms": young, "MB": mb}


def test_a_machine_that_becomes_busy_is_no_drift_and_a_stream_that_becomes_slow_is() -> None:
    busy = np.where(np.arange(CHUNKS) < CHUNKS / 2, 1.0, 1.7)
    grown = 1 + 0.1 * np.arange(CHUNKS) / CHUNKS
    held = 500 + 2 * np.arange(CHUNKS) * 0.75 / 60
    told = endurance.drifts(found(200 * busy, 190 * busy, held))
    assert told["chunk beside a young one"] == pytest.approx(0, abs=1e-9) and told["chunk"] == pytest.approx(0.7)
    assert told["MB a minute"] == pytest.approx(2)
    told = endurance.drifts(found(200 * busy * grown, 190 * busy, held))
    assert told["chunk beside a young one"] == pytest.approx(0.09, abs=0.01)


def test_what_a_player_finds_in_the_file(tmp_path: Path) -> None:
    grey = torch.linspace(0, 1, 48)[:, None, None, None].expand(-1, 32, 32, 3)
    with VideoFile(tmp_path / "a.mp4", 16) as file:
        file.push(grey)
    told, first, last = endurance.read(tmp_path / "a.mp4", 16, 32)
    assert told == {"frames": 48, "each at its time": True}
    assert first.shape == last.shape == (16, 32, 32, 3)
    assert first[0].mean() < 5 and last[-1].mean() > 250
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(av.FFmpegError):
        endurance.read(tmp_path / "cut.mp4", 16, 32)


def test_minutes_stand_above_each_other() -> None:
    minute = np.arange(960, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 6, 3), np.uint8)
    image = np.asarray(endurance.beside((minute, minute + np.uint8(1))))
    assert image.shape == (16, 48, 3)
    shown = [864, 888, 912, 936]
    for row in (0, 1):
        middles = image[4 + 8 * row, 6::12, 0].astype(int)
        assert np.abs(middles - [(each + row) % 256 for each in shown]).max() <= 1
