"""Logs of live streams with values replaced: refused, or of sizes and counts that a stream can have."""

from __future__ import annotations

import json
import random
from typing import Any

from motionstream_core.live.open import Log
from motionstream_core.streaming.events import LOG_VERSION
from tests.data.mutate_document import JUNK

GOOD: dict[str, Any] = {
    "format": "motionstream-live",
    "version": LOG_VERSION,
    "model": "bundled",
    "prompt": "",
    "width": 128,
    "height": 128,
    "fps": 16.0,
    "seed": 3,
    "chunk_frames": 4,
    "first_frames": 1,
    "steps": 2,
    "num_chunks": 5,
    "num_frames": 17,
    "image": "live_00001.png",
    "events": [{"chunk": 1, "kind": "release", "payload": {"id": 4}}],
}
DEEP = ["[" * 100_000, '{"format": ' * 50_000, "", "null", '{"format": "motionstream-live"}']


def texts(count: int, seed: int) -> list[str]:
    """As many."""
    rng, made = random.Random(seed), list(DEEP)
    while len(made) < count:
        value = json.loads(json.dumps(GOOD))
        for _ in range(rng.choice((1, 1, 2, 4))):
            value[rng.choice(list(value))] = rng.choice(
                [*JUNK, 2**62, 10**9, -5, "../x.png", "a/b", "/etc/passwd", "x\x00"]
            )
        text = json.dumps(value)
        made.append(text if rng.random() < 0.9 else text[: rng.randrange(len(text))])
    return made[:count]


def try_text(text: str) -> str | None:
    """Read; what is taken must name a file beside it, and sizes that a stream can have."""
    log = Log.parse(text)
    about, image = log.about, json.loads(text)["image"]
    if not isinstance(image, str) or "/" in image or image in ("", ".", "..") or "\x00" in image:
        return f"an image {image!r}"
    sizes = (about.width, about.height, about.chunk_frames, about.first_frames, about.steps)
    if not all(type(each) is int and 1 <= each <= 10_000 for each in sizes):
        return f"sizes {sizes}"
    if not 0 < about.fps <= 1000 or type(about.seed) is not int or about.seed < 0:
        return f"fps {about.fps}, seed {about.seed}"
    return None if 0 <= log.num_chunks < 2**31 else f"{log.num_chunks} chunks"
