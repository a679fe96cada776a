"""One rank of a Wan recipe in miniature; test_wan_ranks.py starts it in a process of its own, with `GIVEN` set.

preset, folder, output (a file for what it says), precision, environment (torchrun's variables, or none of them).
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import torch

from motionstream_core.training.engine.engine import Compute
from motionstream_core.training.engine.log import Log
from motionstream_core.training.engine.ranks import joined
from motionstream_core.training.recipes.wan import WAN_PRESETS
from motionstream_core.training.recipes.wan_stages import WAN_STAGES, Material, WanRun
from tests.core.training.narrow_wan import narrow

STAGES = ("teacher", "ode", "causal", "distill")


def main(given: dict[str, Any]) -> int:
    torch.set_num_threads(1)
    os.environ.update(given["environment"])
    folder, preset = Path(given["folder"]), narrow(WAN_PRESETS[given["preset"]])
    with ExitStack() as stack:
        output = stack.enter_context(open(given["output"], "w", encoding="utf-8"))
        stack.enter_context(redirect_stdout(output))
        stack.enter_context(redirect_stderr(output))
        device, ranks = torch.device("cpu"), int(os.environ.get("WORLD_SIZE", "1"))
        if ranks > 1:
            device = stack.enter_context(joined(device))
        compute = Compute(device, given["precision"], ranks > 1, True, num_replicas=given["replicas"])
        log = Log(folder / "log", lambda line: print(line, flush=True), writes=os.environ.get("RANK", "0") == "0")
        run = WanRun(folder, compute, log, preset, Material(base=folder / "base.safetensors"))
        for stage in STAGES:
            WAN_STAGES[stage](run)
        if not run.engine.is_main:  # where shards come from rank 0, no other rank reads a model
            assert all(parameter.is_meta for parameter in run.load("teacher").model.parameters())
    return 0


if __name__ == "__main__":
    sys.exit(main(GIVEN))  # type: ignore[name-defined]  # noqa: F821
