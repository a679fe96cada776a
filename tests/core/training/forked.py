"""Ranks of a training run as processes of their own, joined over gloo as torchrun would join them."""

from __future__ import annotations

import multiprocessing
import runpy
import socket
from pathlib import Path
from typing import Any

NEVER = 600  # seconds after which a process is taken to hang


def process_context() -> Any:
    """Processes that have torch and the training rooms loaded already when they begin."""
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(["motionstream_core.training.recipes.bundled_stages"])
    return made


def run_ranks(
    context: Any, script: Path, folder: Path, num_ranks: int, given: dict[str, Any], joined: bool
) -> tuple[list[int | None], list[str]]:
    """Run `script` as `num_ranks` ranks to their end: (exit codes, what each said).

    The script finds `given` in its global GIVEN, with `output`, the file for what it says, and `environment`, which
    names torchrun's variables where the ranks are to be `joined`. Raises TimeoutError for ranks that hang.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outputs, processes = [folder / f"rank_{rank}.txt" for rank in range(num_ranks)], []
    for rank, output in enumerate(outputs):
        numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": num_ranks, "MASTER_PORT": port}
        environment = {"MASTER_ADDR": "127.0.0.1"} | {key: str(value) for key, value in numbers.items()}
        ours = given | {"output": str(output), "environment": environment if joined else {}}
        process = context.Process(target=runpy.run_path, args=(str(script), {"GIVEN": ours}, "__main__"))
        process.start()
        processes.append(process)
    hanging = False
    for process in processes:
        process.join(NEVER)
        if process.is_alive():
            process.kill()
            hanging = True
    said = [output.read_text("utf-8") if output.exists() else "" for output in outputs]
    if hanging:
        raise TimeoutError(f"a rank hangs; they said {said}")
    return [process.exitcode for process in processes], said
