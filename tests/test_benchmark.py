"""`make bench` in miniature: what it measures adds up, and what it writes can be drawn."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks import beside_core, stream
from benchmarks.measure.measured import drift
from benchmarks.measure.stages import STEP
from motionstream_core.checkpoints import ModelSpec
from motionstream_core.geometry import ChunkPlan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the JSON of a rehearsal: two layouts."""
    out = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("COMFYUI_PATH", "SELF_FORCING_PATH"):
            patch.delenv(variable, raising=False)
        patch.setitem(stream.COPY_BYTES, "cpu", 2**16)
        words = ["--narrow", "--model", "1.3b", "--layout", "c3s1w1", "c1s0w2", "--steps", "2", "--chunks", "6"]
        stream.main([*words, "--dtype", "fp32", "--out", str(out)])
    return out, json.loads((out / "stream.json").read_text("utf-8"))


def test_the_stages_make_up_the_chunk(results: tuple[Path, dict[str, Any]]) -> None:
    for told, frames in zip(results[1]["cases"], (12, 4), strict=True):
        assert told["frames a chunk"] == frames and len(told["chunks ms"]) == 6
        median = told["chunk ms"]["median"]
        assert told["frames a second"] == pytest.approx(frames / median * 1e3, rel=1e-3)
        stages = sum(each["median"] * (2 if name == STEP else 1) for name, each in told["stages"].items())
        assert 0.4 * median < stages < 2 * median  # medians of few, on a machine that may be busy
        assert told["boundary to picture ms"]["median"] < median
        assert told["first frame ms"] > told["chunks ms"][0]


def test_rates_are_arithmetic_over_time(results: tuple[Path, dict[str, Any]]) -> None:
    told = results[1]["cases"][0]
    whole = sum(each["TFLOP"] * (2 if name == STEP else 1) for name, each in told["stages"].items())
    assert told["chunk ms"]["TFLOP"] == pytest.approx(whole)
    for each in told["stages"].values():
        assert each["TFLOP/s"] == pytest.approx(each["TFLOP"] / each["median"] * 1e3, rel=1e-2)
        assert each["share of the floor"] == pytest.approx(each["TFLOP/s"] / told["matrix TFLOP/s"], rel=1e-2)
    shorter = results[1]["cases"][1]["stages"][STEP]
    assert 0 < shorter["TFLOP"] < told["stages"][STEP]["TFLOP"]


def test_it_says_on_what_it_ran(results: tuple[Path, dict[str, Any]]) -> None:
    held = results[1]
    assert held["versions"]["torch"] == torch.__version__ and held["versions"]["commit"]
    assert held["device"]["threads"] == torch.get_num_threads() and held["memory TB/s"] > 0
    table = "\n".join(stream.table(held["cases"][0]))
    assert "1.3b, 48x32, c3s1w1, 2 steps, tiny VAE, fp32" in table and "| denoise step |" in table


def test_the_picture_is_drawn_anew_from_the_json(results: tuple[Path, dict[str, Any]]) -> None:
    picture = results[0] / "stream.png"
    first = picture.read_bytes()
    picture.unlink()
    stream.main(["--draw", str(results[0] / "stream.json")])
    with Image.open(picture) as image:
        assert min(image.size) > 400
    assert picture.read_bytes() == first


def test_drift_is_the_last_tenth_over_the_first() -> None:
    assert drift([1.0] * 50) == 1
    assert drift([float(each) for each in range(1, 101)]) == statistics.mean([95, 96]) / statistics.mean([5, 6])


def test_layouts_are_the_papers() -> None:
    assert stream.Layout.parse("c3s1w2") == stream.Layout(3, 3, 6)
    for wrong in ("c0s1w1", "3s1w1", "c3s1", ""):
        with pytest.raises(ValueError, match="is no layout; write it as c3s1w1"):
            stream.Layout.parse(wrong)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--layout", "paper"], "--layout: 'paper' is no layout"),
        (["--chunks", "3"], "--chunks is 3; at least 4"),
        (["--dtype", "fp8"], "invalid choice: 'fp8'"),
    ],
)
def test_what_it_cannot_do_it_says(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        stream.parsed(CPU, words)
    assert said in capsys.readouterr().err


def test_a_bundled_model_has_no_full_vae(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(stream.COPY_BYTES, "cpu", 2**16)
    with pytest.raises(SystemExit, match="--vae full: shapes has a latent space of its own"):
        stream.main(["--model", "shapes", "--vae", "full", "--out", str(tmp_path)])


def test_beside_core_the_window_is_the_papers() -> None:
    """Else the blocks that are compared would see what core's do not."""
    spec: ModelSpec = beside_core._spec("cpu")
    assert (spec.chunk_plan, spec.sink_frames, spec.window_frames) == (ChunkPlan(3, 3), 3, 3)
    assert spec.backbone.dim // spec.backbone.num_heads == 128  # what core takes every Wan's heads to be


def test_what_core_took_is_told_beside_ours() -> None:
    ours, core = [9.0, *[1.0] * 20], [9.0, *[float(each) for each in range(1, 21)]]
    told = {"about": "x", "ours": beside_core.told(ours), "core": beside_core.told(core)}
    assert told["core"]["last tenth / first"] == pytest.approx(19.5 / 1.5)
    lines = stream.beside_table(told, "core")
    assert "| seconds, all but the first chunk | 20 | 210 | 10.50 |" in lines
    assert "| seconds a chunk, last tenth | 1 | 19.5 | 19.50 |" in lines


def test_what_the_hosts_python_says_last_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="comfy"):
        beside_core.beside_core(tmp_path, 4)
