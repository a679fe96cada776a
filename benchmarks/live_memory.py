"""Memory of a live stream that goes on and on under random hands, as fast as it is made. Prints a table (docs/live.md).

    PYTHONPATH=. python benchmarks/live_memory.py [--minutes 30] [--size 128]

The stream is recorded and encoded for a viewer as on the page, but in this process, and nothing waits for anybody, so
that half an hour of video takes as long as the machine needs for it. Resident: what the process holds. In use and free:
of the heap, as glibc counts them; what is free lies in holes.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT
from motionstream_core.live.open import HISTORY_S, Opened
from motionstream_core.live.protocol import read_message
from motionstream_core.live.run import LiveAbout, LiveRun
from motionstream_core.streaming.render.renderer import open_renderer

WARM_UP_S = 2 * HISTORY_S
ROWS_S = 10.0
MB = 2**20
FIELDS = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")


class Heap(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [(name, ctypes.c_size_t) for name in FIELDS]


class Nobody:
    """A viewer that looks at nothing."""

    def told(self, message: dict[str, Any]) -> None: ...

    def shown(self, packed: bytes) -> None: ...


def hands(size: int) -> Iterator[dict[str, Any]]:
    """Drags from random places, one after the other, a message for every chunk."""
    rng, hand = random.Random(0), 0
    while True:
        hand = (hand + 1) % 900
        x, y = rng.uniform(0.1, 0.85) * size, rng.uniform(0.1, 0.85) * size
        dx, dy = rng.uniform(-0.1, 0.1) * size, rng.uniform(-0.1, 0.1) * size
        grid = {"grid": {"columns": 3, "rows": 3, "dx": 6, "dy": 6}}
        for step in range(rng.randint(2, 6)):
            at = [x + dx * step, y + dy * step, 1.0]
            yield {"type": "samples", "id": hand, "samples": [at]} | (grid if step == 0 else {})
        yield {"type": "release", "id": hand}


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory of a live stream")
    parser.add_argument("--minutes", type=float, default=30, help="of video")
    parser.add_argument("--size", type=int, default=128)
    args = parser.parse_args()
    torch.set_num_threads(1)
    opened = Opened(open_renderer(PHOTO_STUDENT), (args.size, args.size), chunk_frames=1, name="bundled", steps=1)
    picture = opened.fitted(Image.fromarray(drawn_example(2).image))
    mallinfo2 = ctypes.CDLL("libc.so.6").mallinfo2
    mallinfo2.restype = Heap
    process, rows = psutil.Process(), []
    print("| s of video | resident | in use | free |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        run = LiveRun(
            lambda hooks: opened.session(picture, "", hooks),
            LiveAbout(opened.about("")),
            picture,
            Path(folder),
            started=True,
        )
        run.screen.pacer.wait_s = lambda: 0.0
        run.audience.join(Nobody())
        fps, messages = run.about.recording.fps, hands(args.size)
        for _ in run.run():
            seconds = run.num_frames / fps
            if seconds >= ROWS_S * (len(rows) + 1):
                heap = mallinfo2()
                rows.append((seconds, process.memory_info().rss / MB))
                figures = (rows[-1][1], heap.uordblks / MB, heap.fordblks / MB)
                print(f"| {seconds:.0f} | " + " | ".join(f"{each:.1f} MiB" for each in figures) + " |", flush=True)
            if seconds >= 60 * args.minutes:
                break
            run.command(read_message(json.dumps(next(messages))), lambda t_ms: run.clock())
    print(f"| when it has ended | {process.memory_info().rss / MB:.1f} MiB | | |")
    warm = np.array([each for each in rows if each[0] > WARM_UP_S])
    if len(warm) > 2:
        slope = np.polyfit(warm[:, 0] / 60, warm[:, 1], 1)[0]
        print(f"\n{slope:+.2f} MiB a minute of video after {WARM_UP_S:.0f} s of it")


if __name__ == "__main__":
    main()
