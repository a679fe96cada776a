"""What a start costs: a model and its stream run without PyTorch's compiler, whose import takes longer than they do."""

from __future__ import annotations

import subprocess
import sys

STREAM = """
import sys
from itertools import islice
import torch
from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import BUNDLED, PHOTO_STUDENT
from motionstream_core.streaming.render.renderer import open_renderer
renderers = {path: open_renderer(path, dtype=torch.float32) for path in BUNDLED.values() if "student" in path.name}
renderer, example = renderers[PHOTO_STUDENT], drawn_example(13)
image = torch.from_numpy(example.image.copy()).permute(2, 0, 1).float() / 255
(prompt,) = renderer.encode([""], [image])
frames = torch.cat(list(renderer.video(prompt, image, example.tracks, 13)))
assert frames.shape == (13, 128, 128, 3) and len(renderers) == 2
print("torch._dynamo" in sys.modules)
"""


def test_a_stream_imports_no_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", STREAM], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["False"]
