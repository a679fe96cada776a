"""docs/results.md is what the renderer makes of results/, and the tables say what the rows say."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from experiments.judging import mean_spread
from experiments.plots import draw_plots
from experiments.record import read, store
from experiments.report import SECTIONS, render
from experiments.tables import by_case, cell, markdown, pick

ROOT = Path(__file__).parents[2]
MAKER = {"hardware": "h", "torch": "t"}


def test_the_document_is_generated_from_the_stored_results() -> None:
    document = ROOT / "docs" / "results.md"
    assert document.read_text("utf-8") == render(ROOT / "experiments" / "results"), "run: make results"


def test_every_picture_of_the_document_is_there() -> None:
    text = (ROOT / "docs" / "results.md").read_text("utf-8")
    for part in text.split("](")[1:]:
        target = part.split(")")[0]
        assert (ROOT / "docs" / target).exists(), target


def test_mean_and_spread() -> None:
    values = [3.0, 4.5, 7.0]
    mean, spread = mean_spread(values)
    assert mean == pytest.approx(statistics.mean(values)) and spread == pytest.approx(statistics.stdev(values))
    assert mean_spread([2.0]) == (2.0, 0.0)


def test_cells() -> None:
    rows = [{"x": 0.1}, {"x": 0.3}, {"y": 9.0}]
    assert cell(rows, "x") == "0.20 ± 0.14"
    assert cell(rows, "x", 0, percent=True) == "20 ± 14 %"
    assert cell(rows[:1], "x", 1) == "0.1"
    assert cell(rows, "z") == ""
    assert pick([{"a": 1, "b": 2}, {"a": 1, "b": 3}], a=1, b=3) == [{"a": 1, "b": 3}]
    assert markdown(["a", "b"], [["1", "2"]]) == ["| a | b |", "|---|---|", "| 1 | 2 |"]
    table = by_case(
        [{"case": "plain", "model": "m", "e": 1.0}, {"case": "plain", "model": "n", "e": 2.0}], "e", "model"
    )
    assert table == ["|  | m | n |", "|---|---|---|", "| plain | 1.00 | 2.00 |"]


def test_what_is_stored_is_read_back_rounded(tmp_path: Path) -> None:
    row = {"model": "student", "seed": 1, "epe_px": 1.23456789, "nested": [0.1234567], "psnr_db": float("inf")}
    store(tmp_path, "bounds", [row], {"cases": 2}, MAKER)
    found = read(tmp_path, "bounds")
    assert found is not None and found["rows"] == [row | {"epe_px": 1.2346, "nested": [0.12346], "psnr_db": None}]
    assert read(tmp_path, "release") is None


def test_plots_are_drawn_for_what_is_stored(tmp_path: Path) -> None:
    rows = [{"variant": "c3s1w1", "part": part, "epe_px": 1.0, "psnr_db": 20.0} for part in ("all", 0, 1)]
    store(tmp_path, "sink_window", rows, {"frames": 97, "trained_frames": 49}, {})
    drawn = draw_plots(tmp_path, tmp_path / "images")
    assert [path.name for path in drawn] == ["sink_window.png"] and drawn[0].stat().st_size > 1000


def test_readings_are_put_under_their_results(tmp_path: Path) -> None:
    rows = [{"model": "student", "epe_px": 1.0, "lost": 0.0, "psnr_db": 2.0, "ssim": 0.5, "ms_per_frame": 3.0}]
    store(tmp_path, "distillation", rows, {"cases": 1}, MAKER)
    (tmp_path / "distillation.md").write_text("What this means.\n")
    text = render(tmp_path)
    assert text.index(SECTIONS["distillation"][0]) < text.index("| student |") < text.index("What this means.")


def test_the_document_says_what_the_spread_is_over(tmp_path: Path) -> None:
    row = {"model": "m", "strayed_px": 1.0, "step_px": 1.0, "lost": 0.0, "psnr_db": 2.0, "background_db": 3.0}
    runs = [("head-1", 0), ("head-2", 0), ("masked-1", 0), ("masked-1", 1), ("masked-1", 2)]
    store(tmp_path, "release", [{**row, "run": run, "seed": seed} for run, seed in runs], {"cases": 1}, MAKER)
    assert "Repetitions: 2 trainings of head, 3 samplings of masked-1." in render(tmp_path)
