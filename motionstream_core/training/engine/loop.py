"""The loop of all stages: steps, logs, checkpoints, and how to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from .checkpoint import Checkpoints
from .engine import Engine, Part, TrainingDiverged
from .log import Log


class Stopped(Exception):
    """Training was asked to stop and has saved. signal_number: SIGTERM's or SIGINT's."""

    def __init__(self, name: str, train_step: int, path: Path, signal_number: int) -> None:
        super().__init__(
            f"{name} stopped after step {train_step}; saved in {path}; the same command goes on from there"
        )
        self.path = path
        self.signal_number = signal_number


@dataclass(frozen=True)
class LoopPlan:
    """How long, and how often: a checkpoint every `save_every` steps (`keep` stay), a log row every `log_every`.

    video_every: validation videos, None for none.
    """

    num_steps: int
    save_every: int = 250
    log_every: int = 50
    keep: int = 2
    video_every: int | None = None

    def __post_init__(self) -> None:
        if self.num_steps < 1 or self.save_every < 1 or self.log_every < 1 or (self.video_every or 1) < 1:
            raise ValueError(f"all counts of a loop must be at least 1: {self}")

    def due(self, train_step: int, every: int | None) -> bool:
        """Whether something that comes every so many steps, and at the end, comes after `train_step` steps."""
        return every is not None and (train_step % every == 0 or train_step == self.num_steps)


def train_loop(
    engine: Engine,
    name: str,
    parts: Sequence[Part],
    step: Callable[[int], Mapping[str, float]],
    plan: LoopPlan,
    folder: Path,
    log: Log,
    on_save: Callable[[int], None] | None = None,
    on_video: Callable[[int], None] | None = None,
) -> None:
    """Call `step` for every train_step that is still to do; all ranks run this loop together.

    Goes on from the newest checkpoint in `<folder>/<name>.state`. step: (train_step) -> numbers to log, as means since
    the row before, beside those of the engine's meter. on_save, on_video: (steps done), when a checkpoint or a video is
    due, on every rank; the checkpoint is then being written.
    SIGTERM, or SIGINT once, ends the step on all ranks, saves and raises Stopped. TrainingDiverged comes back with the
    last good checkpoint in its message.
    """
    with Checkpoints(engine, folder / f"{name}.state", plan.keep, log.note) as checkpoints, _StopSignals() as stop:
        done = checkpoints.resume(parts)
        log.rewind(name, done)
        means, started = _Means(), time.monotonic()
        engine.meter.start(done)
        while done < plan.num_steps:
            try:
                means.add(step(done))
            except TrainingDiverged as error:
                path = checkpoints.wait()
                last = "no checkpoint was saved before" if path is None else f"the last good checkpoint is {path}"
                raise TrainingDiverged(f"{error}; {last}") from error
            done += 1
            if plan.due(done, plan.log_every):
                row = engine.meter.row(done, plan.num_steps)
                log(name, done, **means.take(), seconds=time.monotonic() - started, **row)
            asked = engine.largest(stop.asked)
            if asked:
                checkpoints.save(done, parts)
                path = checkpoints.wait()
                assert path is not None
                raise Stopped(name, done, path, asked)
            if plan.due(done, plan.save_every):
                checkpoints.save(done, parts)
                if on_save is not None:
                    on_save(done)
            if on_video is not None and plan.due(done, plan.video_every):
                on_video(done)
            if plan.due(done, plan.log_every):
                engine.meter.start(done)  # what was saved and shown is no part of a step


class _Means:
    """Means of what the steps report; a name may be missing in some steps."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The means since the last time."""
        means = {name: sum(values) / len(values) for name, values in self._values.items()}
        self._values = {}
        return means


class _StopSignals:
    """`asked` is the number of SIGTERM or SIGINT once one came, else 0. A second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.asked = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> _StopSignals:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no handlers
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = int(number)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
