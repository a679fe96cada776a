"""Which models a stage keeps while it trains, and what is measured of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from motionstream_core.checkpoints import build_model, load_model
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.engine.optimizers import OptimizerSettings
from motionstream_core.training.recipes.exports import Exports
from tests.core.tiny_models import TINY_TEACHER


def kept(folder: Path) -> list[int]:
    return sorted(int(path.stem.rsplit("-", 1)[1]) for path in (folder / "exports").glob("net-step-*.safetensors"))


def bias_of(path: Path) -> float:
    return float(load_model(path).model.head.head.bias[0])


def test_the_last_and_the_best_stay(tmp_path: Path) -> None:
    model, exports = build_model(TINY_TEACHER), Exports(tmp_path, "net", TINY_TEACHER, keep=2)

    def save(step: int, right: float) -> None:
        nn.init.constant_(model.head.head.bias, step)
        exports.write(model, step, {"right": right, "none": 1.0})

    for step, right in ((10, 0.9), (20, 0.3), (30, 0.5), (40, 0.4), (50, 0.6)):
        save(step, right)
    assert kept(tmp_path) == [20, 40, 50]
    assert [(each.step, each.metrics["right"]) for each in exports.entries()] == [(20, 0.3), (40, 0.4), (50, 0.6)]
    assert bias_of(tmp_path / "net.safetensors") == 50
    assert bias_of(tmp_path / "net-best.safetensors") == 20
    assert bias_of(tmp_path / "exports" / "net-step-00000040.safetensors") == 40

    again = Exports(tmp_path, "net", TINY_TEACHER, keep=2)  # a run that goes on from step 40 makes 50 anew
    again.write(model, 50, {"right": 0.1})
    assert kept(tmp_path) == [40, 50]
    assert bias_of(tmp_path / "net-best.safetensors") == 50
    again.write(model, 45, {"right": 0.5})  # back before the best: what is best now is step 40
    assert bias_of(tmp_path / "net-best.safetensors") == 40


def test_without_numbers_nothing_is_best(tmp_path: Path) -> None:
    exports = Exports(tmp_path, "net", TINY_TEACHER, keep=1)
    for step in (1, 2):
        exports.write(build_model(TINY_TEACHER), step, {})
    assert kept(tmp_path) == [2] and not (tmp_path / "net-best.safetensors").exists()
    with pytest.raises(ValueError, match="at least one export"):
        Exports(tmp_path, "net", TINY_TEACHER, keep=0)


def test_a_part_computes_with_its_averages_for_a_while() -> None:
    part = Engine(Compute(torch.device("cpu"), "fp32")).part("net", nn.Linear(2, 1), OptimizerSettings("adamw"), 0.9)
    assert part.ema is not None
    own = {name: value.clone() for name, value in part.model.state_dict().items()}
    for value in part.ema.weights.values():
        value.fill_(7)
    with part.averaged() as model:
        assert all((value == 7).all() for value in model.state_dict().values())
        assert not model.training
    assert all(torch.equal(value, own[name]) for name, value in part.model.state_dict().items())
    assert all((value == 7).all() for value in part.ema.weights.values())
    assert part.model.training
