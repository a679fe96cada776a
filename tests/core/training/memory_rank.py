"""One rank that opens a model as stage distill does; test_host_memory.py starts it with `GIVEN` set.

model (a checkpoint), output (a file for what it says), environment (torchrun's variables). It says the most memory of
its own that it held meanwhile, beside what it held before, and what it holds in the end, in bytes; what is mapped from
files is not counted, for the system takes it back when it needs it.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from motionstream_core.checkpoints import build_model, load_model
from motionstream_core.training.engine.engine import Compute, Engine
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.ranks import joined
from motionstream_core.training.recipes.run import Run
from motionstream_core.training.recipes.wan import WAN_PRESETS
from tests.core.training.narrow_wan import narrow

STATUS = Path("/proc/self/status")


def own_bytes() -> int:
    """Anonymous memory."""
    found = re.search(r"RssAnon:\s+(\d+) kB", STATUS.read_text("ascii"))
    assert found is not None
    return int(found[1]) * 1024


class Watched:
    """The most that `own_bytes` was within it."""

    def __init__(self) -> None:
        self.peak, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.002):
            self.peak = max(self.peak, own_bytes())


def main(given: dict[str, Any]) -> int:
    torch.set_num_threads(1)
    os.environ.update(given["environment"])
    path = Path(given["model"])
    with (
        open(given["output"], "w", encoding="utf-8") as output,
        redirect_stdout(output),
        redirect_stderr(output),
        joined(torch.device("cpu")) as device,
    ):
        run = Run(path.parent, Compute(device, "bf16", shard=True), Log(path.parent / "log", print, writes=False))
        engine: Engine = run.engine
        small = narrow(WAN_PRESETS["wan2.2-5b"]).teacher
        engine.frozen(build_model(small), compact=True)  # what is imported and kept for good is no network's
        engine.barrier()
        before = own_bytes()
        with Watched() as watched:
            teacher = run.load(path.stem).model
            critic = engine.frozen(engine.twin(teacher))
            real = engine.frozen(teacher, compact=True)
        print("memory", watched.peak - before, own_bytes() - before)
        stored = load_model(path).model.state_dict()
        for network, dtype in ((critic, torch.float32), (real, torch.bfloat16)):
            whole = engine.whole_state(network)
            assert (whole.keys() == stored.keys()) == engine.is_main
            for name, value in whole.items():
                assert torch.equal(value, stored[name].to(dtype).float()), name
    return 0


if __name__ == "__main__":
    sys.exit(main(GIVEN))  # type: ignore[name-defined]  # noqa: F821
