"""One student under many sinks, windows and chunks: what the paper's names mean, and the command that tries them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from motionstream_core.__main__ import main
from motionstream_core.demo.weights import TEACHER
from motionstream_core.evaluation.clips.memories import ChunkMemory, MemoryGrid
from motionstream_core.evaluation.command import export_clips
from motionstream_core.geometry import ChunkPlan
from motionstream_core.models.kv_cache import remembered_frames
from tests.core.tiny_models import TINY_TEACHER

STUDENT = replace(TINY_TEACHER, role="student")


@pytest.mark.parametrize("first", [1, 3])
@pytest.mark.parametrize("memory", [(3, 1, 1), (3, 0, 2), (3, 2, 1), (1, 1, 2), (5, 1, 1)])
def test_a_chunk_sees_the_chunks_that_the_name_says(memory: tuple[int, int, int], first: int) -> None:
    """Chunks counted one by one, for the seventh chunk of a stream."""
    spec = ChunkMemory(*memory).spec(replace(STUDENT, chunk_plan=ChunkPlan(3, first)))
    size, sinks, windows = memory
    chunks = list(spec.chunk_plan.chunks(spec.chunk_plan.chunk(6).stop))
    assert {each.num_frames for each in chunks[1:]} == {size} and chunks[0].num_frames in (1, size)
    seen = [*chunks[:sinks], *chunks[6 - windows : 6]]
    expected = [frame for each in seen for frame in range(each.start, each.stop)]
    assert remembered_frames(chunks[6].start, spec.sink_frames, spec.window_frames) == expected


def test_a_grid_is_every_pair_that_sees_something() -> None:
    grid = MemoryGrid(sinks=(0, 1), windows=(0, 2)).of(STUDENT)
    size = STUDENT.chunk_plan.chunk_frames
    assert [each.name for each in grid] == [f"c{size}s0w2", f"c{size}s1w0", f"c{size}s1w2"]
    assert [each.name for each in MemoryGrid((1, 3)).of(STUDENT)] == ["c1s1w1", "c3s1w1"]
    with pytest.raises(ValueError, match="both 0"):
        MemoryGrid(sinks=(0,), windows=(0,))
    with pytest.raises(ValueError, match=r"c3s0w0: .*not both be 0"):
        ChunkMemory(3, 0, 0)
    with pytest.raises(ValueError, match="at least 1 latent frame"):
        ChunkMemory(0, 1, 1)


@pytest.mark.thorough
def test_the_command_tries_one_student_under_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own memory gives the figures that it has without being asked for one; no sink, and no longer the same."""
    pytest.importorskip("cv2", reason="the tracker without weights")
    export_clips(tmp_path / "clips", 1, 25)
    given = ["evaluate", str(tmp_path / "clips"), "--out", str(tmp_path / "out"), "--device", "cpu", "--grid", "6"]
    given += ["--variants", "none", "--lpips", "off", "--sinks", "0,1", "--chunks", "3,9"]
    assert main(given) == 0
    with open(tmp_path / "out" / "clips.csv", newline="", encoding="utf-8") as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"reconstruction", "still", "vae", "c3s0w1", "c3s1w1"}
    own, same, sinkless = (rows[name] for name in ("reconstruction", "c3s1w1", "c3s0w1"))
    for figure in ("psnr_db", "ssim", "epe_px", "followed"):
        assert own[figure] == same[figure]
    assert sinkless["psnr_db"] != own["psnr_db"] and float(sinkless["frames_per_second"]) > 0
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "memory c3s0w1" in page and "c9s1w1 was left out" in page and "src='memories.png'" in page
    assert (tmp_path / "out" / "memories.png").read_bytes().startswith(b"\x89PNG")
    assert "paper: memory c3s1w1, 241 frames" in capsys.readouterr().out
    assert main([*given, "--chunks", "9", "--out", str(tmp_path / "long")]) == 0
    assert "memories.png was left out: all --chunks are longer" in capsys.readouterr().out
    assert not (tmp_path / "long" / "memories.png").exists()
    assert main([*given, "--model", str(TEACHER), "--out", str(tmp_path / "teacher")]) == 2
    assert "this model is a teacher" in capsys.readouterr().err
