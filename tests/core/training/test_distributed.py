"""Two ranks over gloo: the same numbers as one rank, and what happens when a run is killed, stopped or poisoned."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.core.training.forked import process_context, run_ranks

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the ranks are forked")

RANK = Path(__file__).with_name("rank.py")
SIDE, LATENT_FRAMES, NUM_POINTS, NUM_CLIPS = 6, 7, 5, 6
FRAMES = 1 + 4 * (LATENT_FRAMES - 1)


@dataclass(frozen=True)
class Outcome:
    """exit codes of the ranks, what rank 0 said, and its losses with gradient norms by the number of the step."""

    codes: list[int | None]
    said: list[str]
    losses: Mapping[int, tuple[str, str]]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    generator = torch.Generator().manual_seed(1)
    points = torch.rand(NUM_CLIPS, 1, NUM_POINTS, 2, generator=generator) * SIDE * 8 + torch.zeros(1, FRAMES, 1, 1)
    tensors = {
        "latents": torch.randn(NUM_CLIPS, 4, LATENT_FRAMES, SIDE, SIDE, generator=generator).half(),
        "points": points.half(),
        "visibility": torch.ones(NUM_CLIPS, FRAMES, NUM_POINTS, dtype=torch.bool),
        "owner": torch.tensor([[0, 0, 0, -1, -1]] * NUM_CLIPS, dtype=torch.int8),
    }
    captions = ["a red circle" if index % 2 else "a blue circle" for index in range(NUM_CLIPS)]
    save_file(tensors, str(folder / "world_00000.safetensors"), {"captions": json.dumps(captions)})
    return folder


@pytest.fixture(scope="module")
def context() -> Any:
    return process_context()


class Runs:
    """Starts runs of rank.py."""

    def __init__(self, context: Any, clips: Path, folder: Path) -> None:
        self.context, self.clips, self.folder = context, clips, folder

    def __call__(self, name: str, num_ranks: int, steps: int, **given: Any) -> Outcome:
        """Run `num_ranks` ranks in the folder `name` to their end."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        asked = {"stage": "teacher", "shard": num_ranks > 1, "folder": str(folder), "clips": str(self.clips), **given}
        alone = num_ranks == 1 and not asked["shard"]
        codes, outputs = run_ranks(self.context, RANK, folder, num_ranks, asked | {"steps": steps}, joined=not alone)
        said = outputs[0].splitlines()
        losses = {int(line.split()[1]): tuple(line.split()[2:4]) for line in said if line.startswith("loss ")}
        return Outcome(codes, said, losses)  # type: ignore[arg-type]

    def checkpoints(self, name: str, stage: str = "teacher") -> set[str]:
        return {path.name for path in (self.folder / name / f"{stage}.state").iterdir()}

    def copy(self, name: str, to: str) -> None:
        shutil.copytree(self.folder / name, self.folder / to)

    def assert_same_result(self, one: str, other: str) -> None:
        first, second = (load_file(str(self.folder / name / "averaged.safetensors")) for name in (one, other))
        assert first.keys() == second.keys()
        for name, value in first.items():
            assert torch.equal(value, second[name]), name


@pytest.fixture
def run(context: Any, clips: Path, tmp_path: Path) -> Runs:
    return Runs(context, clips, tmp_path)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_two_sharded_ranks_train_as_one_rank_does(run: Runs, optimizer: str) -> None:
    """One rank takes both micro-batches in turn, two ranks one each: losses, norms and weights agree to the bit."""
    alone = run("alone", 1, 5, optimizer=optimizer)
    both = run("both", 2, 5, optimizer=optimizer)
    assert alone.codes == [0] and both.codes == [0, 0]
    assert list(alone.losses) == [1, 2, 3, 4, 5] and alone.losses == both.losses
    run.assert_same_result("alone", "both")


@pytest.mark.slow
def test_distillation_trains_the_same_however_it_is_computed(run: Runs) -> None:
    """Student, critic and frozen teacher, many passes through the cache before one backward pass: sharded or not, with
    blocks that run twice or not."""
    plain = run("plain", 1, 2, stage="student")
    twice = run("twice", 1, 2, stage="student", activation_checkpointing=True)
    copies = run("copies", 2, 2, stage="student", shard=False)
    sharded = run("sharded", 2, 2, stage="student", activation_checkpointing=True)
    assert plain.codes == twice.codes == [0] and copies.codes == sharded.codes == [0, 0]
    assert len(plain.losses) == 2
    for name, other in {"twice": twice, "copies": copies, "sharded": sharded}.items():
        assert other.losses == plain.losses, name
        run.assert_same_result("plain", name)


def test_bf16_shards_stay_close(run: Runs) -> None:
    alone = run("alone", 1, 2, precision="bf16")
    both = run("both", 2, 2, precision="bf16")
    assert alone.losses.keys() == both.losses.keys() == {1, 2}
    for step, (loss, norm) in alone.losses.items():
        other_loss, other_norm = both.losses[step]
        assert float.fromhex(other_loss) == pytest.approx(float.fromhex(loss), rel=2e-3)
        assert float.fromhex(other_norm) == pytest.approx(float.fromhex(norm), rel=2e-2)


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit_with_as_many_ranks_or_another_number(run: Runs) -> None:
    whole = run("whole", 2, 6, save_every=3)
    killed = run("killed", 2, 6, save_every=3, die_at=4)
    assert killed.codes[1] == -9 and killed.codes[0] not in (0, None)
    assert "step_00000003" in run.checkpoints("killed") and "step_00000006" not in run.checkpoints("killed")
    rows = (run.folder / "killed" / "log" / "teacher.csv").read_text("utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3", "4"]
    run.copy("killed", "fewer")
    for name, num_ranks in (("killed", 2), ("fewer", 1)):
        resumed = run(name, num_ranks, 6, save_every=3)
        assert resumed.codes == [0] * num_ranks
        assert resumed.losses == {step: whole.losses[step] for step in (4, 5, 6)}
        run.assert_same_result("whole", name)
        rows = (run.folder / name / "log" / "teacher.csv").read_text("utf-8").splitlines()
        assert [row.split(",")[0] for row in rows] == ["step", "1", "2", "3", "4", "5", "6"]
        assert run.checkpoints(name) == {"step_00000003", "step_00000006"}


@pytest.mark.slow
def test_a_run_begun_alone_goes_on_with_two_ranks(run: Runs) -> None:
    whole = run("whole", 1, 4)
    run("part", 1, 4, save_every=2)
    shutil.rmtree(run.folder / "part" / "teacher.state" / "step_00000004")  # as if it had been stopped before
    assert run("part", 2, 4).losses == {step: whole.losses[step] for step in (3, 4)}
    run.assert_same_result("whole", "part")


def test_one_rank_told_to_stop_stops_all_and_saves(run: Runs) -> None:
    stopped = run("run", 2, 4, stop_at=1)
    assert stopped.codes == [143, 143]
    assert run.checkpoints("run") == {"step_00000002"}
    path = run.folder / "run" / "teacher.state" / "step_00000002"
    assert any(line.startswith("stopped") and "after step 2" in line and str(path) in line for line in stopped.said)
    assert run("run", 2, 4).losses.keys() == {3, 4}


def test_a_poisoned_batch_stops_all_ranks_and_leaves_the_last_good_checkpoint(run: Runs) -> None:
    outcome = run("run", 2, 6, save_every=2, poison=3)
    assert outcome.codes == [3, 3]
    assert run.checkpoints("run") == {"step_00000002"}
    path = run.folder / "run" / "teacher.state" / "step_00000002"
    message = outcome.said[-1]
    assert "teacher, step 3" in message and "micro-batch 1 is nan (of 2)" in message and str(path) in message
    assert (run.folder / "run" / "rank_1.txt").read_text("utf-8").splitlines()[-1] == message
    resumed = run("run", 2, 4)
    assert resumed.codes == [0, 0] and resumed.losses.keys() == {3, 4}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("stage", ["teacher", "student"])
def test_a_cuda_device_trains_as_the_cpu_does(run: Runs, stage: str) -> None:
    """Alone and as one rank of nccl, sharded, with checkpoints that the other can go on from."""
    cpu = run("cpu", 1, 3, stage=stage)
    cuda = run("cuda", 1, 3, stage=stage, device="cuda", save_every=2)
    sharded = run("sharded", 1, 3, stage=stage, device="cuda", shard=True, activation_checkpointing=True)
    for other in (cuda, sharded):
        assert other.losses.keys() == {1, 2, 3}
        for step, numbers in cpu.losses.items():
            wanted = [float.fromhex(number) for number in numbers]
            assert [float.fromhex(number) for number in other.losses[step]] == pytest.approx(wanted, rel=1e-3)
    shutil.rmtree(run.folder / "cuda" / f"{stage}.state" / "step_00000003")
    resumed = run("cuda", 1, 3, stage=stage, device="cuda", shard=True)
    assert resumed.losses.keys() == {3}
    assert float.fromhex(resumed.losses[3][0]) == pytest.approx(float.fromhex(cuda.losses[3][0]), rel=1e-5)
