"""`make gpu-check`, rehearsed on the CPU: the same code in tiny sizes, on a machine that has little installed."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_check import __main__ as command
from benchmarks.gpu_check import environment
from benchmarks.gpu_check.correctness import PRESETS
from benchmarks.gpu_check.record import Record
from benchmarks.gpu_check.training import TINY_LATENT_FRAMES, stage_steps
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches, Part

ROOT = Path(__file__).parents[1]
LACKED = ("diffusers", "transformers", "av", "flash_attn", "pydantic", "aiohttp", "psutil", "cv2", "matplotlib", "gguf")
BLOCKER = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LACKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""


def run(folder: Path, *arguments: str, blocked: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The command, where there is no GPU."""
    environ = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    if blocked is not None:
        (blocked / "sitecustomize.py").write_text(BLOCKER, "utf-8")
        environ["PYTHONPATH"] = str(blocked)
    whole = [sys.executable, "-m", "benchmarks.gpu_check", "--out", str(folder), *arguments]
    return subprocess.run(whole, cwd=ROOT, env=environ, capture_output=True, text=True)


def held(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "gpu_check.json").read_text("utf-8"))["parts"]


@pytest.mark.slow
def test_everything_is_told_on_a_bare_machine(tmp_path: Path) -> None:
    out, blocked = tmp_path / "out", tmp_path / "blocked"
    blocked.mkdir()
    done = run(out, "--tiny", blocked=blocked)
    assert done.returncode == 0, done.stdout + done.stderr
    parts = held(out)
    assert list(parts) == list(command.PARTS)
    assert all(part["state"] == "done" and not part["faults"] for part in parts.values())

    assert parts["environment"]["facts"]["versions"]["torch"] == torch.__version__
    assert "flash_attn" in parts["environment"]["facts"]["attention backends"]["flash2"]
    right = parts["correctness"]["facts"]
    assert "No module named 'diffusers'" in right["full VAE"] and "cv2" in right["bundled student for pictures"]
    assert sum(isinstance(fact, dict) and fact["right"] for fact in right.values()) >= 30
    streamed = parts["stream"]["facts"]
    assert "No module named 'diffusers'" in streamed.pop("1.3B 832x480, full VAE")
    for name in ("1.3B 832x480", "5B 1280x704"):
        told = streamed[name]
        stages = ("conditions", "denoise step", "decode", "hand-over", "cache pass")
        assert all(
            0 < streamed[f"{name}: {each} ms"]["median"] <= streamed[f"{name}: {each} ms"]["p95"] for each in stages
        )
        assert told["chunk ms"]["median"] >= told["boundary to picture ms"]["median"] > 0
        rate = 12e3 / told["chunk ms"]["median"]  # 12 frames a chunk
        assert told["frames a second"] == pytest.approx(rate, rel=1e-3)
    options, changed = parts["options"]["facts"], ("compiled", "fp8", "fp8, compiled")
    assert set(options) == {"plain", *changed, *(f"{name}, latents" for name in changed)}
    assert all(options[name]["ms a chunk"] > 0 for name in ("plain", *changed))
    assert options["fp8, latents"]["difference"] > 0 == options["compiled, latents"]["difference"]
    assert all("fp8 ms" in fact for name, fact in parts["environment"]["facts"].items() if name.startswith("product"))
    assert set(parts["training"]["facts"]) == {"teacher", "causal", "critic", "distill"}
    assert (out / "trace.json.gz").exists()
    assert [each["model"] for each in json.loads((out / "stream.json").read_text("utf-8"))["cases"]] == [
        "1.3b",
        "5b",
        "1.3b",
    ]

    files = list(out.iterdir())
    assert len(files) <= 8 and sum(path.stat().st_size for path in files) < 60 * 2**20
    table = (out / "gpu_check.md").read_text("utf-8")
    assert all(f"## {name}: done" in table for name in command.PARTS) and "a rehearsal, no measurement" in table


@pytest.mark.thorough
def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    record = Record(tmp_path, tiny=True)
    for name in command.PARTS:
        record.begin(name)
        record.tell(name, "mark", 7)
        record.end(name, "failed" if name == "environment" else "done", 1.0, "cut off" * (name == "environment"))
    assert run(tmp_path, "--tiny").returncode == 0
    parts = held(tmp_path)
    assert {name for name, part in parts.items() if part["facts"].get("mark") == 7} == {*command.PARTS} - {
        "environment"
    }
    assert parts["environment"]["state"] == "done" and "error" not in parts["environment"]


def test_a_part_that_hangs_is_stopped_and_keeps_what_it_told(tmp_path: Path) -> None:
    record = Record(tmp_path, tiny=True)
    record.begin("stream")
    record.tell("stream", "first", 1)
    command._apart(tmp_path, True, "stream", 0.01)
    part = held(tmp_path)["stream"]
    assert part["state"] == "failed" and "all that it may take" in part["error"] and part["facts"] == {"first": 1}


def test_a_part_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Record, device: torch.device, tiny: bool) -> None:
        record.tell("environment", "first", 1)
        with record.checking("environment", "second"):
            raise ValueError("no second")
        record.compare("environment", "third", float("nan"), 1.0)
        record.compare("environment", "fourth", 0.5, 1.0)
        raise RuntimeError("CUDA error: device gone")

    monkeypatch.setattr(environment, "run", broken)
    record = Record(tmp_path, tiny=True)
    assert command._alone(record, "environment", tiny=True) == 1
    part = held(tmp_path)["environment"]
    assert part["state"] == "failed" and part["error"].startswith("RuntimeError: CUDA error: device gone\nTraceback: ")
    assert part["facts"]["first"] == 1 and part["facts"]["fourth"]["right"] is True
    assert set(part["faults"]) == {"second", "third"} and "no second" in part["faults"]["second"]
    assert not record.is_right
    table = (tmp_path / "gpu_check.md").read_text("utf-8")
    assert "**Error:** RuntimeError: CUDA error: device gone" in table and "**Fault in third:**" in table


def test_the_limits_leave_ten_minutes() -> None:
    assert sum(command.PARTS.values()) <= 560


@pytest.mark.thorough
def test_a_rehearsal_is_not_mixed_with_a_run(tmp_path: Path) -> None:
    Record(tmp_path, tiny=False).begin("stream")
    done = run(tmp_path, "--tiny")
    assert done.returncode == 2 and "give another --out" in done.stderr


@pytest.mark.thorough
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_how_to_rehearse(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 2 and "--tiny rehearses" in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize("preset", PRESETS)
def test_no_loss_mixes_devices_or_waits_for_one(preset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device: tensors without data, for which both are errors. Batches and draws come from the CPU."""
    meta = torch.device("meta")

    def accumulate(engine: Engine, part: Part, batches: MicroBatches, loss: Any) -> dict[str, float]:
        value = loss(0, batches.batch_size)
        assert value.device == meta
        value.backward()
        return {"gradients": sum(each.grad is not None for each in part.optimizer.parameters.values())}

    monkeypatch.setattr(Engine, "accumulate", accumulate)
    monkeypatch.setattr(Engine, "autocast", lambda _: contextlib.nullcontext())  # there is none for meta
    compute = Compute(meta, "fp32", activation_checkpointing=True)
    told = {name: step() for name, step in stage_steps(preset, compute, True, TINY_LATENT_FRAMES, meta)}
    assert list(told) == ["teacher", "causal", "critic", "distill"]
    assert all(each["gradients"] > 40 for each in told.values())
