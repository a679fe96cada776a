"""Runs the saved workflows in the real host and writes what the test of their frames compares with.

`COMFYUI_PATH=... python -m tests.host.make_saved_frames`, after the bundled weights, or what is known of their picture,
have changed; it prints how far every video has moved.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np

from tests import conftest  # noqa: F401  # arithmetic that is the same on every machine, which the host inherits
from tests.host.comfy_host import ComfyHost, host_python
from tests.host.test_saved_workflows import FOLDER, FRAMES, made_frames, small


def main() -> None:
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        host = ComfyHost(Path(os.environ["COMFYUI_PATH"]).resolve(), host_python(), Path(folder), has_gpu=False)
        host.start()
        try:
            for name, before in FRAMES.items():
                frames = made_frames(host, name)
                seen = small(frames)
                print(f"{name}: {np.abs(seen - np.array(before['small'])).max():.1f} of 256", flush=True)
                made[name] = {"length": len(frames), "small": seen.tolist()}
        finally:
            host.stop()
    (FOLDER / "frames.json").write_text(json.dumps(made, separators=(",", ":")) + "\n", "utf-8")


if __name__ == "__main__":
    main()
