"""Hours of one stream, written as it comes: do memory, pace or picture drift, is the file whole? (docs/reliability.md)

    python -m benchmarks.endurance FOLDER [--minutes 120] [--size 128]

The bundled model for pictures leads two things round and round (`evaluation.world.endurance`), on the processor, by one
thread. FOLDER gets `stream.mp4`, `report.json` and `pictures.png`: the first minute above, the last one below, at the
same places of the round. What is judged is the file that was written, read anew.

Others may use the machine, and a core's two hyperthreads share it. So a chunk's time is its thread's own, and after
every sixth chunk one of another stream is timed alike, which is begun anew every nine chunks and so stays young. The
drift is that of the quotient of the two chunks beside it and that one, median of the last tenth over the first's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure.machine import device_about, versions
from benchmarks.measure.measured import drift
from motionstream_core.demo.weights import PHOTO_STUDENT
from motionstream_core.evaluation.world.endurance import PERIOD_FRAMES, Judge, Loop, looping_case
from motionstream_core.media.video_file import VideoFile
from motionstream_core.options import whole
from motionstream_core.streaming.render.fit import image_tensor
from motionstream_core.streaming.render.prompts import EncodedPrompt
from motionstream_core.streaming.render.renderer import Renderer, open_renderer

MB = 1e6
ROWS_S = 60.0
WARM_SHARE = 0.1  # of the stream, before which memory still fills what it keeps
YOUNG_EVERY = 6  # chunks of the stream
YOUNG_CHUNKS = 9  # before it is begun anew
YOUNG_WARM = 3  # of them that are not counted: the picture, and while the window fills
PLACES = 4  # of the round in the picture
T = TypeVar("T")
Frames = NDArray[np.uint8]


def stream(renderer: Renderer, loop: Loop, num_frames: int, path: Path) -> dict[str, Any]:
    """Write the video. After each chunk: seconds of video, MB of the process, ms it took, ms of a young one or None."""
    image = image_tensor(loop.clip.frames[0])
    (prompt,) = renderer.encode([""], [image])
    spec, process, tracks = renderer.loaded.spec, psutil.Process(), loop.tracks(num_frames)
    num_chunks = spec.chunk_plan.num_chunks(spec.vae_stride.num_latent_frames(num_frames))
    young = young_chunks(renderer, prompt, image, loop)
    found: dict[str, list[Any]] = {"s": [], "MB": [], "chunk ms": [], "young ms": []}
    print("| s of video | MB | ms a chunk | ms of a young one | s it took |\n|---|---|---|---|---|", flush=True)
    begun, rows = time.monotonic(), 0
    frames = renderer.video(prompt, image, tracks, num_frames)
    with VideoFile(path, spec.fps) as file:
        for number in range(num_chunks):
            chunk_ms, chunk = taken(lambda: next(frames))
            file.push(chunk)
            found["s"].append(file.num_frames / spec.fps)
            found["MB"].append(process.memory_info().rss / MB)
            found["chunk ms"].append(chunk_ms)
            found["young ms"].append(None if number % YOUNG_EVERY else next(young))
            if found["s"][-1] >= ROWS_S * (rows + 1):
                rows += 1
                told = [np.median([each for each in found[name][-80:] if each]) for name in ("chunk ms", "young ms")]
                figures = (found["s"][-1], found["MB"][-1], *told, time.monotonic() - begun)
                print("| {:.0f} | {:.1f} | {:.1f} | {:.1f} | {:.0f} |".format(*figures), flush=True)
    return found | {"took s": time.monotonic() - begun}


def young_chunks(renderer: Renderer, prompt: EncodedPrompt, image: torch.Tensor, loop: Loop) -> Iterator[float]:
    """Milliseconds of a chunk of a stream that was begun not long ago."""
    spec = renderer.loaded.spec
    num_frames = spec.vae_stride.num_frames(spec.chunk_plan.chunk(YOUNG_CHUNKS - 1).stop)
    while True:
        frames = renderer.video(prompt, image, loop.tracks(num_frames), num_frames)
        for _ in range(YOUNG_WARM):
            next(frames)
        for _ in range(YOUNG_WARM, YOUNG_CHUNKS):
            yield taken(lambda: next(frames))[0]  # noqa: B023


def taken(run: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of this thread, and what came."""
    before = time.thread_time()
    made = run()
    return (time.thread_time() - before) * 1e3, made


def drifts(found: dict[str, Any]) -> dict[str, float]:
    """Of memory, MB a minute of video; of a chunk's time, its share, beside a young one and alone."""
    seconds, held = np.array(found["s"]), np.array(found["MB"])
    warm = seconds > WARM_SHARE * seconds[-1]
    chunks, young = found["chunk ms"], found["young ms"]
    quotients = [
        (chunks[each] + chunks[each + 1]) / 2 / young[each] for each in range(YOUNG_EVERY, len(chunks) - 1, YOUNG_EVERY)
    ]
    return {
        "MB a minute": float(np.polyfit(seconds[warm] / 60, held[warm], 1)[0]),
        "chunk beside a young one": drift(quotients) - 1,
        "chunk": drift(chunks[1:]) - 1,
        "young chunk": drift(young[::YOUNG_EVERY]) - 1,
    }


def read(path: Path, minute: int, last_from: int) -> tuple[dict[str, Any], Frames, Frames]:
    """What a player finds in the file, its first `minute` frames (t h w 3), and as many from `last_from` on."""
    first, last, times = list[Frames](), list[Frames](), list[int]()
    with av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        for number, frame in enumerate(container.decode(video=0)):
            assert frame.time is not None
            times.append(round(frame.time * rate))
            for kept, start in ((first, 0), (last, last_from)):
                if start <= number < start + minute:
                    kept.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
    whole = times == list(range(len(times)))
    return {"frames": len(times), "each at its time": whole}, np.stack(first), np.stack(last)


def judged(judge: Judge, minute: Frames, start: int) -> dict[str, float]:
    """A minute from frame `start` on beside what should be seen."""
    fps = judge.fps
    seconds = [judge(start // fps + each, minute[each * fps : (each + 1) * fps]) for each in range(len(minute) // fps)]
    return {
        "px beside the way": float(np.mean([each.epe_px for each in seconds])),
        "ground beside the first second, dB": float(np.mean([each.background_psnr_db for each in seconds])),
        "things lost": float(np.mean([each.lost for each in seconds])),
    }


def beside(minutes: tuple[Frames, ...]) -> Image.Image:
    """Each minute's last round in a row, at the same places of it."""
    shown = range(-PERIOD_FRAMES, 0, PERIOD_FRAMES // PLACES)
    rows = np.concatenate([np.concatenate([minute[each] for each in shown], 1) for minute in minutes])
    return Image.fromarray(rows).resize((2 * rows.shape[1], 2 * rows.shape[0]), Image.Resampling.LANCZOS)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Returns the report, without its chunks."""
    parser = argparse.ArgumentParser(description="Hours of one stream")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=whole(1, 600), default=120, help="of video")
    parser.add_argument("--size", type=whole(32, 1024), default=128)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    renderer, loop, path = open_renderer(PHOTO_STUDENT), looping_case(size_px=args.size), args.folder / "stream.mp4"
    minute = 60 * round(renderer.loaded.spec.fps)
    last_from, num_frames = (args.minutes - 1) * minute, renderer.loaded.spec.lengths.at_least(args.minutes * minute)
    about = {"device": device_about(torch.device("cpu")), "versions": versions()}
    found = stream(renderer, loop, num_frames, path)
    told, first, last = read(path, minute, last_from)
    judge = Judge(loop, minute // 60)
    report = {
        "minutes of video": args.minutes,
        "took minutes": found["took s"] / 60,
        "file": {"frames wanted": num_frames, **told, "bytes": path.stat().st_size},
        "drift": drifts(found),
        "first minute": judged(judge, first, 0),
        "last minute": judged(judge, last, last_from),
        **about,
    }
    (args.folder / "report.json").write_text(json.dumps(report | {"chunks": found}, indent=1), "utf-8")
    beside((first, last)).save(args.folder / "pictures.png")
    print("\n" + json.dumps(report, indent=1))
    return report


if __name__ == "__main__":
    main()
