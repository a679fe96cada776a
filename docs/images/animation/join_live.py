"""Pictures of record_live.js to an animation at the times at which they were painted.

python docs/images/animation/join_live.py FOLDER OUT.webp
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

from PIL import Image

STEP_MS, WIDTH = 80, 420


def main(folder: Path, out: Path) -> None:
    names = sorted(folder.glob("*.jpg"))
    times = [int(path.stem.split("_")[1]) for path in names]
    kept, last = [], -STEP_MS
    for path, time in zip(names, times, strict=True):
        if time - last >= STEP_MS:
            kept.append((path, time))
            last = time
    pictures = []
    for path, _ in kept:
        picture = Image.open(path).convert("RGB")
        pictures.append(
            picture.resize((WIDTH, round(WIDTH * picture.height / picture.width)), Image.Resampling.LANCZOS)
        )
    durations = [after - before for (_, before), (_, after) in pairwise(kept)] + [800]
    pictures[0].save(
        out,
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        kmax=1,  # whole pictures: what changes by little every time is smeared where only differences are written
        quality=55,
        method=6,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
