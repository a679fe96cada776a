"""What a rank holds in main memory while a stage starts: its shards, and one weight at a time."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motionstream_core.checkpoints import build_model, save_model
from motionstream_core.training.recipes.wan import WAN_PRESETS
from tests.core.training.forked import process_context, run_ranks
from tests.core.training.narrow_wan import narrow

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is read where Linux writes it")

RANK = Path(__file__).with_name("memory_rank.py")
NUM_RANKS, MIB = 2, 2**20
SLACK = 32 * MIB  # what FSDP keeps of its own, and what the allocator does not give back


def test_rank_0_holds_its_shards_and_one_weight_at_a_time(tmp_path: Path) -> None:
    """A teacher and its critic of 128 MB each, from a file: neither is ever whole in a rank's own memory."""
    preset = narrow(WAN_PRESETS["wan2.2-5b"])
    wide = replace(preset.teacher.backbone, dim=512, ffn_dim=2048, num_heads=4, num_layers=7)
    spec = replace(preset.teacher, backbone=wide)
    torch.manual_seed(0)
    model = build_model(spec)
    sizes = [parameter.numel() * 4 for parameter in model.parameters()]
    save_model(tmp_path / "teacher.safetensors", model, spec)
    given = {"model": str(tmp_path / "teacher.safetensors")}
    codes, said = run_ranks(process_context(), RANK, tmp_path, NUM_RANKS, given, joined=True)
    assert codes == [0, 0], said
    whole, largest = sum(sizes), max(sizes)
    assert whole > 120 * MIB and largest < whole / 15
    shards = (whole + whole / 2) / NUM_RANKS  # of the critic in fp32, of the teacher in bf16
    for text in said:
        peak, kept = map(int, text.split("memory ")[1].split()[:2])
        assert shards * 0.95 < kept < shards + SLACK
        assert peak < shards + 3 * largest + SLACK
