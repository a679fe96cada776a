"""How well a bundled model follows by chunk, steps and Hold: the figures beside the delay in docs/live.md.

    python benchmarks/live_follow.py [bundled/student]

First the demo's clip, drawn beforehand: mean distance of the objects' centres from where they were drawn. Then a
drag of one object by 26 px within 1.2 s, held for three seconds more: how far it is from the hand, when the hand has
arrived and at the end, and how far the other objects went.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from motionstream_core.demo.example import drawn_example
from motionstream_core.demo.weights import BUNDLED, PHOTO_STUDENT
from motionstream_core.live.open import Opened
from motionstream_core.streaming.conditions import KnownTracks
from motionstream_core.streaming.render.renderer import Renderer, open_renderer
from motionstream_core.streaming.session import SessionHooks, StreamSession
from motionstream_core.tracks.drawn.document import Grid
from motionstream_core.world.judge import locate

FPS, FRAMES = 16, 96
BEGINS_S, LASTS_S = 1.0, 1.2
GRID = Grid(5, 5, 6.4, 6.4)
"""As the page's hand takes it on this frame."""


def session(renderer: Renderer, chunk: int, steps: int) -> tuple[StreamSession, int]:
    """A session on the demo's picture, and the frames of its chunks."""
    example = drawn_example(2)
    opened = Opened(renderer, (128, 128), chunk_frames=chunk, steps=steps, history_bytes=0)
    prompt = example.prompt if "red" in renderer.loaded.spec.vocabulary else ""
    return opened.session(example.image, prompt, SessionHooks()), 4 * chunk


def drawn_error(renderer: Renderer, chunk: int) -> float:
    """px, of the demo's clip."""
    example = drawn_example(49)
    live, per_chunk = session(renderer, chunk, 3)
    live._conditions.tracks = KnownTracks(example.tracks)
    stream = live.run()
    video = torch.cat([next(stream).frames for _ in range(1 + 48 // per_chunk)])
    centers = locate(as_video(video), example.scene)[0]
    return float(np.linalg.norm(centers - example.tracks.points[:, ::5].numpy(), axis=-1)[1:].mean())


def dragged(renderer: Renderer, chunk: int, steps: int, hold: bool) -> tuple[float, float, float]:
    """px: of the object from the hand when it has arrived, at the end; of the others from where they were."""
    example = drawn_example(2)
    live, per_chunk = session(renderer, chunk, steps)
    if hold:
        live.hold(16.0)
    start = example.tracks.points[0, 0].numpy()
    way = np.sign(64 - start) * np.array([20.0, 16.0])
    frames, stream, count, taken = [], live.run(), 0, False
    while count < FRAMES:
        begin, end = count / FPS, (count + per_chunk) / FPS
        if end > BEGINS_S and begin < BEGINS_S + LASTS_S:
            shares = np.clip((np.linspace(begin, end, 9)[1:] - BEGINS_S) / LASTS_S, 0, 1)
            places = [tuple(start + way * share) for share in shares]
            live.add_samples(1, places if taken else [tuple(start), *places], None if taken else GRID)
            taken = True
        frames.append(next(stream).frames)
        count += len(frames[-1])
    centers = locate(as_video(torch.cat(frames)), example.scene)[0]
    astray = np.linalg.norm(centers[:, 0] - (centers[0, 0] + way), axis=1)
    others = np.linalg.norm(centers[-1, 1:] - centers[0, 1:], axis=1)
    arrived = round((BEGINS_S + LASTS_S) * FPS) + per_chunk
    return float(astray[arrived]), float(astray[FRAMES - 2]), float(others.max())


def as_video(frames: torch.Tensor) -> np.ndarray:
    return (frames * 255 + 0.5).to(torch.uint8).numpy()


def main() -> None:
    renderer = open_renderer(BUNDLED[sys.argv[1]] if len(sys.argv) > 1 else PHOTO_STUDENT)
    renderer.settle()
    print("| latent frames a chunk, 3 steps | error of the demo's clip |\n|---|---|")
    for chunk in (1, 2, 3):
        print(f"| {chunk} | {drawn_error(renderer, chunk):.1f} px |", flush=True)
    print(
        "\n| latent frames, steps | Hold | left of a drag of 26 px | 3 s later | others moved |\n|---|---|---|---|---|"
    )
    for chunk, steps in ((1, 1), (1, 2), (3, 3)):
        for hold in (False, True):
            arrived, end, others = dragged(renderer, chunk, steps, hold)
            row = f"| {chunk}, {steps} | {'on' if hold else 'off'} |"
            print(f"{row} {arrived:.1f} px | {end:.1f} px | {others:.1f} px |", flush=True)


if __name__ == "__main__":
    main()
