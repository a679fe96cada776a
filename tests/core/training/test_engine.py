"""The engine on one device: steps, optimizers, averages, checkpoints, logs and the loop around them."""

from __future__ import annotations

import json
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from motionstream_core.training import __main__ as command
from motionstream_core.training.engine.checkpoint import MANIFEST, Checkpoints
from motionstream_core.training.engine.ema import Ema
from motionstream_core.training.engine.engine import Compute, Engine, MicroBatches, Part, TrainingDiverged
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.loop import LoopPlan, Stopped, train_loop
from motionstream_core.training.engine.meter import Meter
from motionstream_core.training.engine.optimizers import Muon, Optimizer, OptimizerSettings, orthogonalised
from motionstream_core.training.recipes.bundled_stages import STAGES

CPU = torch.device("cpu")
ADAMW = OptimizerSettings("adamw", learning_rate=0.1, weight_decay=0.0)


class Net(nn.Module):
    """A matrix in `blocks`, which Muon takes, and a layer beside it."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, width, bias=False)])
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks[0](x).tanh())


def engine() -> Engine:
    return Engine(Compute(CPU, "fp32"))


def a_part(
    settings: OptimizerSettings = ADAMW, ema_decay: float | None = 0.9, name: str = "net", seed: int = 0
) -> Part:
    torch.manual_seed(seed)
    return engine().part(name, Net(), settings, ema_decay)


def data(micro: int, size: int) -> Tensor:
    return torch.randn(size, 3, generator=torch.Generator().manual_seed(micro))


def loss_of(part: Part, scale: float = 1.0) -> Callable[[int, int], Tensor]:
    return lambda micro, size: scale * (part.model(data(micro, size)) - 2).square().mean()


def copies(part: Part) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in part.tensors().items()}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert [name for name, tensor in one.items() if not torch.equal(tensor, other[name])] == []


# --- micro-batches and steps


@pytest.mark.parametrize(
    ("batch_size", "micro", "num_ranks"), [(8, 2, 1), (8, 2, 2), (8, 2, 4), (8, None, 4), (6, 1, 3)]
)
def test_every_micro_batch_is_dealt_out_once(batch_size: int, micro: int | None, num_ranks: int) -> None:
    shares = [MicroBatches(batch_size, micro).share(rank, num_ranks) for rank in range(num_ranks)]
    size, _, total = shares[0]
    assert size * total == batch_size and all((s, n) == (size, total) for s, _, n in shares)
    assert [index for _, mine, _ in shares for index in mine] == list(range(total))
    assert len({len(mine) for _, mine, _ in shares}) == 1


@pytest.mark.parametrize(("batches", "num_ranks"), [((8, 3), 1), ((8, 4), 4), ((6, None), 4), ((2, 4), 1)])
def test_batches_that_cannot_be_dealt_out_evenly_are_refused(batches: tuple[int, int | None], num_ranks: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size {batches[0]}.*{num_ranks} ranks"):
        MicroBatches(*batches).share(0, num_ranks)


@pytest.mark.parametrize("clip_norm", [1e-2, 1e6])
def test_a_step_is_that_of_the_whole_batch(clip_norm: float) -> None:
    """Three micro-batches at once, and torch's own clipping and AdamW on their mean."""
    settings = OptimizerSettings("adamw", learning_rate=0.1, weight_decay=0.02, clip_norm=clip_norm)
    part = a_part(settings)
    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, betas=(0.9, 0.98), weight_decay=0.02)
    for _ in range(3):
        done = engine().accumulate(part, MicroBatches(6, 2), loss_of(part), rate=0.5)
        loss = torch.stack([(model(data(micro, 2)) - 2).square().mean() for micro in range(3)]).mean()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        assert done == {"loss": pytest.approx(loss.item()), "grad_norm": pytest.approx(norm.item())}
    for name, value in model.state_dict().items():
        torch.testing.assert_close(part.model.state_dict()[name], value)


@pytest.mark.parametrize("poison", ["loss", "gradient"])
def test_what_is_not_finite_stops_before_anything_is_stepped(poison: str) -> None:
    part = a_part()
    good = loss_of(part)
    engine().accumulate(part, MicroBatches(4, 2), good)
    before = copies(part)

    def bad(micro: int, size: int) -> Tensor:
        if micro != 1:
            return good(micro, size)
        if poison == "loss":
            return good(micro, size) * torch.nan
        return good(micro, size) + (part.model.head.bias * 0).abs().sqrt().sum()  # 0, but its slope is not

    with pytest.raises(TrainingDiverged) as caught:
        engine().accumulate(part, MicroBatches(4, 2), bad, context="net, step 7")
    assert str(caught.value).startswith("net, step 7: ")
    assert ("micro-batch 1 is nan (of 2)" if poison == "loss" else "the gradient's length is nan") in str(caught.value)
    assert_same(copies(part), before)
    assert all(parameter.grad is None for parameter in part.model.parameters())


def test_a_weight_first_used_without_gradient_learns_and_its_gradients_add_up_in_fp32() -> None:
    """As the chunk loop uses it: a pass under no_grad, then several with gradient, in one autocast."""
    bf16 = Engine(Compute(CPU, "bf16"))
    torch.manual_seed(0)
    part = bf16.part("layer", nn.Linear(3, 1, bias=False), ADAMW)
    inputs = [torch.tensor([[1.0, 1 / 3, -0.7]]) * scale for scale in (1.0, 2**-9)]
    found: list[Tensor] = []
    part.model.weight.register_hook(found.append)  # type: ignore[union-attr]

    def loss(micro: int, size: int) -> Tensor:
        with torch.no_grad():
            part.model(inputs[0])
        return torch.stack([part.model(each) for each in inputs]).sum()

    bf16.accumulate(part, MicroBatches(1), loss)
    # of a sum of products the gradient is the other factor, as bf16 holds it
    assert torch.equal(found[0], sum(each.bfloat16().float() for each in inputs))


def test_what_is_only_asked_may_be_kept_in_bf16() -> None:
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        asked = Engine(Compute(CPU, precision)).frozen(Net(), compact=True)  # type: ignore[arg-type]
        assert {p.dtype for p in asked.parameters()} == {dtype}
        assert not any(p.requires_grad for p in asked.parameters())
    assert {p.dtype for p in Engine(Compute(CPU)).frozen(Net()).parameters()} == {torch.float32}


def test_gradients_that_another_network_left_do_not_count() -> None:
    one, other = a_part(), a_part()
    (one.model(data(3, 2)) * 50).sum().backward()
    for part in (one, other):
        engine().accumulate(part, MicroBatches(2), loss_of(part))
    assert_same(copies(one), copies(other))


def test_what_is_frozen_stays_and_goes_on_later() -> None:
    part = a_part()
    start = copies(part)
    part.freeze(("head.",))
    frozen = engine().accumulate(part, MicroBatches(2), loss_of(part))
    assert torch.equal(part.model.head.weight, start["net.model.head.weight"])
    assert not torch.equal(part.model.blocks[0].weight, start["net.model.blocks.0.weight"])
    fresh = a_part()
    loss_of(fresh)(0, 2).backward()
    assert frozen["grad_norm"] == pytest.approx(float(fresh.model.blocks[0].weight.grad.norm()))
    part.freeze(())
    engine().accumulate(part, MicroBatches(2), loss_of(part))
    assert not torch.equal(part.model.head.weight, start["net.model.head.weight"])
    with pytest.raises(ValueError, match="no parameter whose name begins with 'tail'"):
        part.freeze(("tail",))


def test_whole_states_are_copies_in_fp32() -> None:
    part = a_part()
    engine().accumulate(part, MicroBatches(2), loss_of(part))
    whole, average = engine().whole_state(part), engine().whole_state(part, ema=True)
    assert whole.keys() == average.keys() == part.model.state_dict().keys()
    assert torch.equal(whole["head.weight"], part.model.head.weight)
    assert not torch.equal(average["head.weight"], whole["head.weight"])
    whole["head.weight"].zero_()
    assert part.model.head.weight.any()
    assert all(value.dtype == torch.float32 for value in engine().whole_state(Net().half()).values())
    with pytest.raises(ValueError, match="no average is kept"):
        engine().whole_state(a_part(ema_decay=None), ema=True)


def test_sharding_and_checkpointing_say_what_they_need() -> None:
    with pytest.raises(ValueError, match="needs the ranks of torchrun"):
        Engine(Compute(CPU, shard=True))
    with pytest.raises(ValueError, match="precision is 'fp8'"):
        Compute(CPU, "fp8")  # type: ignore[arg-type]


# --- optimizers and averages


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 5)])
def test_muon_is_torchs_own(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    mine, theirs = (nn.Parameter(torch.ones(shape)) for _ in range(2))
    muon = Muon([mine], 0.02, 0.03, precision=torch.bfloat16)
    reference = torch.optim.Muon(
        [theirs], lr=0.02, weight_decay=0.03, adjust_lr_fn="match_rms_adamw", ns_steps=4, momentum=0.95
    )
    for _ in range(5):
        gradient = torch.randn(shape)
        mine.grad, theirs.grad = gradient.clone(), gradient.clone()
        muon.step()
        reference.step()
        assert torch.equal(mine, theirs)


def test_the_cpus_precision_changes_an_update_by_little() -> None:
    matrix = torch.randn(24, 16, generator=torch.Generator().manual_seed(0))
    mine, theirs = orthogonalised(matrix), orthogonalised(matrix, torch.bfloat16).float()
    assert mine.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(mine.flatten(), theirs.flatten(), dim=0) > 0.999


def test_muon_takes_the_blocks_matrices_and_nothing_else() -> None:
    model = Net()
    optimizer = Optimizer(model, OptimizerSettings())
    assert [type(part) for part in optimizer.parts] == [Muon, torch.optim.AdamW]
    assert [p is model.blocks[0].weight for p in optimizer.parts[0].param_groups[0]["params"]] == [True]
    assert len(optimizer.parts[1].param_groups[0]["params"]) == 2
    assert [type(part) for part in Optimizer(model, ADAMW).parts] == [torch.optim.AdamW]
    assert [type(part) for part in Optimizer(nn.Linear(2, 2), OptimizerSettings()).parts] == [torch.optim.AdamW]
    for wrong in ({"kind": "sgd"}, {"learning_rate": 0.0}, {"clip_norm": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            OptimizerSettings(**wrong)  # type: ignore[arg-type]


def test_an_average_warms_up() -> None:
    model = nn.Linear(3, 2)
    ema = Ema(model, 0.9)
    start = model.weight.detach().clone()
    with torch.no_grad():
        model.weight += 1
    ema.update(model)
    decay = min(0.9, 2 / 11)
    torch.testing.assert_close(ema.weights["weight"], decay * start + (1 - decay) * (start + 1))
    for _ in range(200):
        ema.update(model)
    assert ema.num_updates == 201
    before = ema.weights["weight"].clone()
    with torch.no_grad():
        model.weight += 1
    ema.update(model)
    torch.testing.assert_close(ema.weights["weight"], 0.9 * before + 0.1 * model.weight.detach())


# --- checkpoints


def checkpoints(folder: Path, keep: int = 2, note: Callable[[str], None] = lambda text: None) -> Checkpoints:
    return Checkpoints(engine(), folder, keep, note)


def saved(folder: Path, steps: int = 3, keep: int = 2) -> tuple[Part, dict[int, dict[str, Tensor]]]:
    """A part that was saved after each of its steps, and what it held then."""
    part, held = a_part(OptimizerSettings(learning_rate=0.1)), {}
    with checkpoints(folder, keep) as writer:
        for step in range(1, steps + 1):
            engine().accumulate(part, MicroBatches(2), loss_of(part))
            held[step] = copies(part)
            writer.save(step, [part])
    return part, held


def test_a_checkpoint_holds_the_state_at_its_step_and_the_last_ones_stay(tmp_path: Path) -> None:
    _, held = saved(tmp_path, steps=4, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000003", "step_00000004"]
    kept = {"optimizer.momentum.blocks.0.weight", "optimizer.exp_avg_sq.head.bias", "ema.weights.head.bias"}
    assert {f"net.{name}" for name in kept} <= held[4].keys()
    other = a_part(OptimizerSettings(learning_rate=0.1), seed=9)
    assert checkpoints(tmp_path).resume([other]) == 4
    assert_same(copies(other), held[4])
    assert other.ema is not None and other.ema.num_updates == 4
    assert checkpoints(tmp_path / "nothing").resume([other]) == 0


def truncate(path: Path) -> None:
    with next(path.glob("*.distcp")).open("r+b") as file:
        file.truncate(100)


def flip(path: Path) -> None:
    file = next(path.glob("*.distcp"))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def lose(path: Path) -> None:
    next(path.glob("*.distcp")).unlink()


def unlist(path: Path) -> None:
    (path / MANIFEST).unlink()


def unfinish(path: Path) -> None:
    path.rename(path.with_name(path.name + ".part"))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (truncate, "100 bytes instead of"),
        (flip, "is not what was written"),
        (lose, "is missing"),
        (unlist, "cannot be read"),
        (unfinish, "never finished"),
    ],
)
def test_a_broken_checkpoint_is_left_out_with_a_note(tmp_path: Path, harm: Callable[[Path], None], words: str) -> None:
    _, held = saved(tmp_path)
    harm(tmp_path / "step_00000003")
    notes: list[str] = []
    other = a_part(OptimizerSettings(learning_rate=0.1), seed=9)
    reader = checkpoints(tmp_path, note=notes.append)
    assert reader.resume([other]) == 2
    assert_same(copies(other), held[2])
    assert any("step_00000003" in note and words in note for note in notes)
    with reader:  # and it is replaced
        reader.save(3, [other])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_00000002", "step_00000003"]


def test_a_write_that_fails_is_no_checkpoint_and_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, _ = saved(tmp_path)

    def full(*given: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="no space left"), checkpoints(tmp_path) as writer:
        writer.save(9, [part])
    monkeypatch.undo()
    assert checkpoints(tmp_path).resume([part]) == 3


def test_a_checkpoint_of_another_training_is_refused_with_both_shapes(tmp_path: Path) -> None:
    saved(tmp_path)
    wider = engine().part("net", Net(5), OptimizerSettings(), 0.9)
    with pytest.raises(ValueError, match=r"net\.model\.blocks\.0\.weight is \(4, 3\), not \(5, 3\).*more"):
        checkpoints(tmp_path).resume([wider])
    with pytest.raises(ValueError, match=r"missing: critic\.model"):
        checkpoints(tmp_path).resume([a_part(OptimizerSettings()), a_part(OptimizerSettings(), name="critic")])
    with pytest.raises(ValueError, match=r"unknown: net\.ema"):
        checkpoints(tmp_path).resume([a_part(OptimizerSettings(), ema_decay=None)])


class Harmful:
    """Runs a command when it is unpickled by torch's own reader."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.target),))


def test_a_checkpoints_index_runs_nothing(tmp_path: Path) -> None:
    part, _ = saved(tmp_path / "state")
    path = tmp_path / "state" / "step_00000003"
    (path / ".metadata").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))
    sizes = {file.name: file.stat().st_size for file in path.iterdir() if file.name != MANIFEST}
    (path / MANIFEST).write_text(json.dumps(sizes))
    with pytest.raises(pickle.UnpicklingError, match="has no business with"):
        checkpoints(tmp_path / "state").resume([part])
    assert not (tmp_path / "harm").exists()


# --- logs


def test_rows_stand_once_and_in_order(tmp_path: Path) -> None:
    lines: list[str] = []
    log = Log(tmp_path, lines.append)
    for step in (10, 20, 30):
        log("teacher", step, loss=step / 7, rate=1.0)
        log("teacher-gap", step, right=1.0)
    log("student", 30, loss=1.0)
    Log(tmp_path).rewind("teacher", 20)
    assert (tmp_path / "teacher.csv").read_text() == "step,loss,rate\n10,1.42857,1\n20,2.85714,1\n"
    assert (tmp_path / "teacher-gap.csv").read_text() == "step,right\n10,1\n20,1\n"
    assert (tmp_path / "student.csv").read_text() == "step,loss\n30,1\n"
    assert lines[0] == "teacher,10,loss=1.4286,rate=1"
    again = Log(tmp_path)
    again("teacher", 20, loss=5, rate=2)  # a step that is done again
    assert (tmp_path / "teacher.csv").read_text() == "step,loss,rate\n10,1.42857,1\n20,5,2\n"


def test_columns_may_come_late_and_stay_away(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log("student", 1, critic=1.5)
    log("student", 2, critic=1.25, loss=3.0)
    log("student", 3, loss=2.0)
    assert (tmp_path / "student.csv").read_text() == "step,critic,loss\n1,1.5,\n2,1.25,3\n3,,2\n"


def test_other_ranks_write_and_say_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    log = Log(tmp_path / "log", lines.append, writes=False)
    log("teacher", 1, loss=1.0)
    log.note("something")
    log.rewind("teacher", 0)
    assert lines == [] and not (tmp_path / "log").exists()


def test_tensorboard_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        Log(tmp_path, tensorboard=True)


def test_tensorboard_gets_every_row_and_forgets_what_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[object, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None = None) -> None:
            told.append((Path(folder).relative_to(tmp_path).as_posix(), purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            told.append((name, value, step))

        def flush(self) -> None: ...

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", SimpleNamespace(SummaryWriter=Writer))
    log = Log(tmp_path, tensorboard=True)
    log("teacher", 1, loss=2.0)
    log.rewind("teacher", 1)
    log("teacher", 2, loss=1.0, rate=0.5)
    assert told == [
        ("tensorboard/teacher", None),
        ("loss", 2.0, 1),
        ("tensorboard/teacher", 2),
        ("loss", 1.0, 2),
        ("rate", 0.5, 2),
    ]


def test_wandb_gets_rows_and_pictures_in_one_run_that_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ImportError, match="pip install wandb"):
        Log(tmp_path, wandb="wan")
    told: list[object] = []
    run = SimpleNamespace(log=told.append, define_metric=lambda name, step_metric: told.append((name, step_metric)))
    begun: list[dict[str, object]] = []
    fake = SimpleNamespace(init=lambda **given: begun.append(given) or run, Image=lambda path: ("image", path))
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for _ in range(2):
        log = Log(tmp_path / "run" / "log", wandb="wan")
    log("teacher", 1, loss=2.0)
    log.picture("teacher", 1, tmp_path / "sheet.png")
    assert [given["project"] for given in begun] == ["wan", "wan"] and begun[0]["id"] == begun[1]["id"]
    assert begun[0]["name"] == "run" and begun[0]["resume"] == "allow"
    assert told == [
        ("teacher/*", "teacher/step"),
        {"teacher/step": 1, "teacher/loss": 2.0},
        {"teacher/step": 1, "teacher/videos": ("image", str(tmp_path / "sheet.png"))},
    ]
    Log(tmp_path / "other", writes=False, wandb="wan")
    assert len(begun) == 2


def test_a_meter_says_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    meter = Meter(CPU, 4, clock=lambda: now)
    meter.start(10)
    now = 130.0
    assert meter.row(20, 1220) == {"s_per_step": 3.0, "eta_h": 1.0}
    meter.work(samples=60, tflop=1200.0)
    meter.peak_tflops = 200.0
    now = 134.0
    assert meter.row(21, 21) == {"s_per_step": 4.0, "eta_h": 0, "samples_per_s": 15, "tflops": 75, "mfu": 0.375}


# --- the loop


def loop(
    folder: Path,
    part: Part,
    plan: LoopPlan,
    step: Callable[[int], dict[str, float]] | None = None,
    on_save: Callable[[int], None] | None = None,
    on_video: Callable[[int], None] | None = None,
) -> None:
    def plain(train_step: int) -> dict[str, float]:
        return engine().accumulate(part, MicroBatches(2), loss_of(part))

    train_loop(engine(), "net", [part], step or plain, plan, folder, Log(folder / "log"), on_save, on_video)


def test_everything_comes_when_it_is_due(tmp_path: Path) -> None:
    steps: list[int] = []
    saves: list[int] = []
    videos: list[int] = []

    def step(train_step: int) -> dict[str, float]:
        steps.append(train_step)
        return {"loss": float(train_step)} | ({"rare": 7.0} if train_step == 1 else {})

    loop(tmp_path, a_part(), LoopPlan(7, save_every=3, log_every=2, video_every=5), step, saves.append, videos.append)
    assert steps == list(range(7)) and saves == [3, 6, 7] and videos == [5, 7]
    rows = [row.split(",")[:3] for row in (tmp_path / "log" / "net.csv").read_text().splitlines()]
    assert rows[0][:2] == ["step", "loss"]
    assert [row[:2] for row in rows[1:]] == [["2", "0.5"], ["4", "2.5"], ["6", "4.5"], ["7", "6"]]  # means


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_step_saves_and_stops(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    part, steps = a_part(), []

    def step(train_step: int) -> dict[str, float]:
        if train_step == 2:
            os.kill(os.getpid(), number)
        steps.append(train_step)
        return engine().accumulate(part, MicroBatches(2), loss_of(part))

    with pytest.raises(Stopped, match=r"net stopped after step 3; saved in .*step_00000003") as caught:
        loop(tmp_path, part, LoopPlan(9), step)
    assert caught.value.signal_number == number and steps == [0, 1, 2]
    assert signal.getsignal(number) is before
    held = copies(part)
    resumed = a_part(seed=9)
    assert checkpoints(tmp_path / "net.state").resume([resumed]) == 3
    assert_same(copies(resumed), held)


def test_a_second_interrupt_does_not_wait(tmp_path: Path) -> None:
    def step(train_step: int) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return {}

    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, a_part(), LoopPlan(9), step)


def test_divergence_names_the_last_good_checkpoint(tmp_path: Path) -> None:
    part = a_part()

    def train(bad_step: int) -> str:
        def step(train_step: int) -> dict[str, float]:
            scale = torch.nan if train_step == bad_step else 1.0
            return engine().accumulate(part, MicroBatches(2), loss_of(part, scale), context=f"net, step {train_step}")

        with pytest.raises(TrainingDiverged) as caught:
            loop(tmp_path, part, LoopPlan(9, save_every=2), step)
        return str(caught.value)

    assert train(0).startswith("net, step 0: ") and "no checkpoint was saved before" in train(0)
    assert f"the last good checkpoint is {tmp_path / 'net.state' / 'step_00000004'}" in train(5)
    assert f"the last good checkpoint is {tmp_path / 'net.state' / 'step_00000004'}" in train(4)  # just resumed


def test_a_loop_outside_the_main_thread_takes_no_signals(tmp_path: Path) -> None:
    part = a_part()
    thread = threading.Thread(target=lambda: loop(tmp_path, part, LoopPlan(1)))
    thread.start()
    thread.join()
    assert (tmp_path / "net.state" / "step_00000001").is_dir()


# --- the command


def run_command(monkeypatch: pytest.MonkeyPatch, out: Path, *more: str) -> int:
    argv = ["training", "teacher", "--preset", "smoke", "--out", str(out), "--device", "cpu", *more]
    monkeypatch.setattr(sys, "argv", argv)
    return command.main()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (Stopped("teacher", 3, Path("here"), signal.SIGTERM), 143, "teacher stopped after step 3; saved in here"),
        (Stopped("teacher", 3, Path("here"), signal.SIGINT), 130, "saved in here"),
        (TrainingDiverged("step 4: nan"), 2, "step 4: nan"),
        (ValueError("batch_size 3"), 2, "batch_size 3"),
    ],
)
def test_the_command_ends_with_a_line_and_a_code(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    words: str,
) -> None:
    def stage(run: object) -> None:
        raise error

    monkeypatch.setitem(STAGES, "teacher", stage)
    assert run_command(monkeypatch, tmp_path) == code
    assert words in capsys.readouterr().err


def test_sharding_without_torchrun_says_how_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert run_command(monkeypatch, tmp_path, "--shard") == 2
    assert "torchrun --nproc-per-node" in capsys.readouterr().err
