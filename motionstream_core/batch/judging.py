"""The clips of an evaluation over a pool: first the input of each, since some need another's, then its result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from ..evaluation.clips.cases import Protocol
from ..evaluation.clips.datasets import Footage
from ..evaluation.clips.judge import ClipJudge
from ..evaluation.clips.memories import ChunkMemory, MemoryGrid
from ..evaluation.clips.runs import BOUNDS, ClipResult, ClipRuns, Plan
from ..evaluation.perceptual import Lpips, load_lpips
from ..pool.pool import Pool, ended
from ..streaming.stream import StreamSettings
from ..tracks.extract.cotracker import CoTracker3
from ..tracks.extract.tracker import OpenCvTracker
from .model_choice import ModelChoice

AUTO, OFF = "auto", "off"


@dataclass(frozen=True)
class Asked:
    """What is asked of every clip, as plain values; paths are absolute. What is not said here, the model says.

    cotracker: its checkpoint; None follows points by OpenCV. lpips: AUTO, OFF or VGG-16's file. compare_at: (height,
    width) px. part: (i, n), the clips of this run; the others' tracks are lent to it all the same. stamp: changes with
    the files of the model.
    """

    choice: ModelChoice
    footage: tuple[Footage, ...]
    out: Path
    stamp: str
    max_frames: int = 81
    every_frame: bool = False
    spread: bool = False
    grid: int = 50
    variants: tuple[str, ...] = ()
    memories: MemoryGrid | None = None
    keep: bool = False
    prompt: str = ""
    negative: str = ""
    seed: int = 0
    cotracker: Path | None = None
    lpips: str = AUTO
    compare_at: tuple[int, int] | None = None
    part: tuple[int, int] = (0, 1)

    @property
    def mine(self) -> tuple[Footage, ...]:
        """The clips of this run."""
        return self.footage[self.part[0] :: self.part[1]]


@dataclass(frozen=True)
class Conditions:
    """What a worker judges by, and must be the same everywhere. note: why LPIPS is left out, empty where it is not."""

    role: str
    protocol: Protocol
    tracker: str
    note: str
    memories: tuple[ChunkMemory, ...] = ()


@dataclass(frozen=True)
class Step:
    """One of the two jobs that a clip is."""

    footage: Footage
    is_input: bool


@dataclass(frozen=True)
class Told:
    """What a worker tells of a step. result: None where the clip's input is made and no more. computed_on: a device."""

    result: ClipResult | None
    conditions: Conditions
    computed_on: str


class JudgeWorker:
    """Judges clips into a folder that all workers share."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._loaded: tuple[ClipRuns, Conditions, str] | None = None

    def load(self, device: str) -> None:
        """Load the model, the tracker and LPIPS. Raises as they do."""
        asked, where = self._asked, torch.device(device)
        renderer = asked.choice.open(device)
        spec = renderer.loaded.spec
        fps = None if asked.every_frame else spec.fps
        size = asked.choice.frame_size or spec.frame_size
        protocol = Protocol(size, asked.max_frames, fps, asked.grid, asked.spread)
        lpips, note = lpips_of(asked.lpips, where)
        tracker = OpenCvTracker() if asked.cotracker is None else CoTracker3.load(asked.cotracker, where)
        memories = () if asked.memories is None else asked.memories.of(spec)
        plan = Plan(
            protocol,
            asked.variants,
            memories,
            asked.keep,
            asked.prompt,
            asked.negative,
            StreamSettings(seed=asked.seed),
            asked.choice.teacher,
            asked.stamp,
        )
        runs = ClipRuns(renderer, asked.footage, plan, ClipJudge(tracker, lpips, asked.compare_at), asked.out)
        name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
        self._loaded = runs, Conditions(spec.role, protocol, tracker.name, note, memories), name

    def work(self, job: Step) -> Told:
        """Make a clip's input, or its result."""
        assert self._loaded is not None, "load comes first"
        runs, conditions, name = self._loaded
        result = runs.begin(job.footage) if job.is_input else runs.finish(job.footage, self._asked.mine)
        return Told(result, conditions, name)


@dataclass(frozen=True)
class Judged:
    """results: of this run's clips, in their order. computed_on: the devices, by name."""

    results: list[ClipResult]
    conditions: Conditions
    computed_on: tuple[str, ...]


def judged(asked: Asked, pool: Pool, attempts: int, say: Callable[[str], None]) -> Judged:
    """Judge the clips; those that are complete in the folder are not judged again.

    A clip that cannot be judged is skipped, and its result says why. say: is told how it goes on, in lines. Raises as
    the pool does, and ValueError where a clip's worker failed every time, or where workers judge by different things.
    """
    results: dict[str, ClipResult] = {}
    failed: list[str] = []
    ready: list[Footage] = []
    seen: set[Conditions] = set()
    computed_on: set[str] = set()
    waiting = deque(Step(each, True) for each in asked.mine)
    inputs_left = len(waiting)
    steps = ended(
        pool,
        JudgeWorker(asked),
        waiting,
        attempts,
        started=lambda job, where: None,
        again=lambda job, error: say(f"{job.footage.name}: again, {error}"),
    )
    for job, outcome in steps:
        name, told = job.footage.name, outcome.value
        inputs_left -= job.is_input
        if told is None:
            failed.append(f"{name}: {outcome.error}")
            say(failed[-1])
        else:
            seen.add(told.conditions)
            if len(seen) > 1:
                raise ValueError(f"--ray: workers do not judge by the same: {_difference(*seen)}")
            computed_on.add(told.computed_on)
            if told.result is None:
                ready.append(job.footage)
            else:
                results[name] = told.result
                if told.result.skipped is not None or not job.is_input:
                    say(f"{name}: {_shown(told.result)} ({len(results)} of {len(asked.mine)})")
        if job.is_input and not inputs_left:
            complete = sum(each.skipped is None for each in results.values())
            if complete:
                say(f"{complete} of {len(asked.mine)} clips are complete and are not made again")
            waiting.extend(Step(each, False) for each in ready)
    if failed:
        raise ValueError(f"{len(failed)} clips could not be judged; run the command again. The first: {failed[0]}")
    (conditions,) = seen
    return Judged([results[each.name] for each in asked.mine], conditions, tuple(sorted(computed_on)))


def _shown(result: ClipResult) -> str:
    if result.skipped is not None:
        return f"skipped, {result.skipped}"
    errors = {name: each["epe_px"] for name, each in result.variants.items() if name not in BOUNDS}
    return "EPE in px: " + ", ".join(f"{name} {value:.2f}" for name, value in errors.items())


def _difference(one: Conditions, other: Conditions) -> str:
    return next(
        f"{name} is {getattr(one, name) or 'none'!r} and {getattr(other, name) or 'none'!r}"
        for name in vars(one)
        if getattr(one, name) != getattr(other, name)
    )


def lpips_of(asked: str, device: torch.device) -> tuple[Lpips | None, str]:
    """LPIPS as `Asked.lpips` says, or none with a line that says why."""
    if asked == OFF:
        return None, "LPIPS was left out."
    try:
        return load_lpips(None if asked == AUTO else asked).to(device), ""
    except FileNotFoundError as error:
        if asked != AUTO:
            raise
        return None, f"LPIPS was left out: {error}"
