"""Run as a process of its own: reads the files of weights that it is told of, one a line, and says what came of each.

Its memory is limited, so that a file which asks for more fails here and not the tests' own process.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from motionstream_core.checkpoints import load_model, load_tiny_vae, load_vae
from motionstream_core.checkpoints.describe import describe
from motionstream_core.checkpoints.lora import read_lora

LIMIT_BYTES = 3 * 2**30
READERS: dict[str, Callable[[str], Any]] = {
    "model": load_model,
    "tiny VAE": load_tiny_vae,
    "VAE": load_vae,
    "LoRA": lambda path: read_lora(path, {}),
    "inspect": describe,
}


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def outcome(reader: str, path: str) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    before, start = peak_mib(), time.process_time()
    kind = message = ""
    try:
        READERS[reader](path)
    except Exception as error:
        kind, message = type(error).__name__, str(error)
    return {
        "error": kind,
        "message": message,
        "seconds": time.process_time() - start,
        "mib": peak_mib() - before,
    }


if __name__ == "__main__":
    importlib.import_module("diffusers.models.autoencoders.autoencoder_kl_wan")  # no part of what is measured
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    for line in sys.stdin:
        print(json.dumps(outcome(*json.loads(line))), flush=True)
