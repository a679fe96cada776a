"""The bundled model's page under a random hand: how long from a drag to the first picture that answers it.

    python benchmarks/live_delay.py [--seconds 60] [--chunk 1] [--steps 2]

Chromium shows the page and drags in it now and then, at moments of no rhythm; the page itself measures from the event
of the pointer's going down to when it draws the first frame of the chunk that answers. Also: milliseconds to a chunk's
last frames, and frames shown a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from statistics import median, quantiles

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import PHOTO_STUDENT
from motionstream_core.live.open import Opened
from motionstream_core.live.page import LivePage, serving
from motionstream_core.streaming.render.renderer import open_renderer

SCRIPT = Path(__file__).with_name("drag_at_random.js")


def main() -> None:
    parser = argparse.ArgumentParser(description="Delay from a drag to the picture that answers it")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--chunk", type=int, nargs="+", default=[1], help="latent frames at a time")
    parser.add_argument("--steps", type=int, default=2, help="denoise steps of a chunk")
    args = parser.parse_args()
    example, renderer = drawn_example(2), open_renderer(PHOTO_STUDENT)
    for chunk in args.chunk:
        with tempfile.TemporaryDirectory() as folder:
            opened = Opened(renderer, (128, 128), chunk_frames=chunk, name="bundled", steps=args.steps)
            with serving(LivePage(opened, "", example.image, Path(folder), hold=True)) as address:
                told = subprocess.run(
                    ["node", str(SCRIPT), address, str(args.seconds)], check=True, capture_output=True, text=True
                )
        shown = json.loads(told.stdout)
        tenths = quantiles(shown["delays"], n=10)
        print(
            f"chunks of {chunk}: {len(shown['delays'])} drags, delay {median(shown['delays']):.0f} ms (median), "
            f"{tenths[8]:.0f} (9 of 10); a chunk after {median(shown['made']):.0f} ms; "
            f"{median(shown['early']):.0f} ms early; {shown['fps']:.1f} frames a second",
            flush=True,
        )


if __name__ == "__main__":
    main()
