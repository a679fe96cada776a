"""Both Wan recipes in miniature as clusters run them: two sharded ranks in bf16, every stage after the other."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from motionstream_core.checkpoints import load_model
from motionstream_core.training.recipes.wan import WAN_PRESETS
from motionstream_core.training.recipes.wan_stages import CLIP_FOLDERS
from tests.core.training.forked import process_context, run_ranks
from tests.core.training.narrow_wan import narrow, write_base, write_clips

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the ranks are forked")

RANK = Path(__file__).with_name("wan_rank.py")
CURVES = ("teacher", "teacher-2", "causal", "student")


def train(name: str, folder: Path, num_ranks: int, precision: str, replicas: int = 1) -> dict[str, list[float]]:
    """The whole recipe; losses by stage."""
    preset = narrow(WAN_PRESETS[name])
    for clips in CLIP_FOLDERS:
        write_clips(folder / clips, preset.teacher)
    write_base(folder / "base.safetensors", preset)
    given = {"preset": name, "folder": str(folder), "precision": precision, "replicas": replicas}
    codes, said = run_ranks(process_context(), RANK, folder, num_ranks, given, joined=num_ranks > 1)
    assert codes == [0] * num_ranks, said
    curves = {}
    for stage in CURVES:
        with (folder / "log" / f"{stage}.csv").open(encoding="utf-8") as file:
            curves[stage] = [float(row["loss"]) for row in csv.DictReader(file)]
    return curves


@pytest.mark.slow
def test_replicas_train_as_one_process_does(tmp_path: Path) -> None:
    """HSDP: two ranks with the whole model each, in fp32, where the numbers are the same."""
    curves = {}
    for num_ranks in (1, 2):
        folder = tmp_path / str(num_ranks)
        folder.mkdir()
        curves[num_ranks] = train("wan2.1-1.3b", folder, num_ranks, "fp32", replicas=num_ranks)
    for stage in CURVES:
        assert curves[2][stage] == pytest.approx(curves[1][stage], rel=1e-5), stage


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wan2.1-1.3b", "paper-5b"])
def test_two_bf16_ranks_go_through_every_stage_as_one_does(name: str, tmp_path: Path) -> None:
    """The numbers are those of one process, as far as bf16 sees. Either network, chunk plan and way to regress; one
    process goes through the other recipes in test_wan_stages.py."""
    curves = {}
    for num_ranks in (1, 2):
        folder = tmp_path / str(num_ranks)
        folder.mkdir()
        curves[num_ranks] = train(name, folder, num_ranks, "bf16")
    for stage in CURVES:
        assert len(curves[2][stage]) == 2
        assert curves[2][stage] == pytest.approx(curves[1][stage], rel=0.05), stage
    student = load_model(tmp_path / "2" / "student.safetensors")
    assert all(value.isfinite().all() for value in student.model.state_dict().values())
