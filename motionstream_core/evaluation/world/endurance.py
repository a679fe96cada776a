"""Does a stream last? Objects go round for minutes, and every second is compared with what should be there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...checkpoints.load import LoadedModel
from ...models.vae.tiny_vae import TinyVae
from ...streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from ...streaming.decode import TinyStreamingDecoder
from ...streaming.stream import StreamSettings, stream_chunks
from ...tracks import Tracks
from ...world import LEVELS, Camera, Clip, Motion, Scene, render, sample_scene
from ...world.judge import locate
from ...world.scene import Path
from ..metrics import endpoint_errors
from .report import Video, frames_tensor, to_video

PERIOD_FRAMES = 96
POINTS_PER_OBJECT = 5
HELD_OUT = 900_002
COVER = 1.4  # a sprite's reach in radii, its anti-aliased rim included


@dataclass(frozen=True)
class Loop:
    """A scene whose objects come back to where they were every PERIOD_FRAMES frames; clip: one period of it."""

    scene: Scene
    clip: Clip

    def frame(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which frame of the period stream frames show; frame 0 of the period is shown once a period."""
        return index % PERIOD_FRAMES

    def tracks(self, num_frames: int) -> Tracks:
        """The input tracks over `num_frames` frames."""
        which = np.concatenate(
            [np.flatnonzero(self.clip.owner == s)[:POINTS_PER_OBJECT] for s in range(len(self.scene.sprites))]
        )
        place = self.frame(np.arange(num_frames))
        points = torch.from_numpy(self.clip.points[place][:, which]).float()
        height, width = self.clip.frames.shape[1:3]
        return Tracks(points, torch.from_numpy(self.clip.visibility[place][:, which]), height, width)

    def background(self) -> NDArray[np.bool_]:
        """Pixels (h w) that no object ever covers."""
        height, width = self.clip.frames.shape[1:3]
        ys, xs = np.mgrid[:height, :width] + 0.5
        free = np.ones((height, width), bool)
        for index, sprite in enumerate(self.scene.sprites):
            for x, y in self.clip.centers[:, index]:
                free &= (xs - x) ** 2 + (ys - y) ** 2 > (COVER * sprite.radius_px) ** 2
        return free


@dataclass(frozen=True)
class Second:
    """One second of a stream: background PSNR in dB against the first chunk, object error in px, share lost."""

    second: int
    background_psnr_db: float
    epe_px: float
    lost: float


def looping_case(index: int = 0, size_px: int = 128) -> Loop:
    """A held-out scene of two objects that circle side by side, in still air, under a camera at rest."""
    rng = np.random.default_rng((HELD_OUT, index))
    scene = sample_scene(rng, LEVELS["plain"], size_px)
    while scene.effect != "still air" or len(scene.sprites) != 2:
        scene = sample_scene(rng, LEVELS["plain"], size_px)
    phase = np.linspace(0, 2 * np.pi, PERIOD_FRAMES, endpoint=False)
    paths = []
    for side in (-1, 1):  # each keeps to its own half: what is judged is drift and not occlusion
        middle = size_px * np.array([0.5 + 0.235 * side, 0.5])
        start_angle = rng.uniform(0, 2 * np.pi)
        circle = np.stack([np.cos(phase + start_angle), side * np.sin(phase + start_angle)], axis=1)
        center = (middle + 0.085 * size_px * circle).astype(np.float32)
        paths.append(Path(center, np.zeros(PERIOD_FRAMES, np.float32), np.ones(PERIOD_FRAMES, np.float32)))
    return Loop(scene, render(scene, Motion(tuple(paths), Camera.at_rest(PERIOD_FRAMES)), size_px))


def endure(
    loaded: LoadedModel,
    vae: TinyVae,
    loop: Loop,
    num_seconds: int,
    settings: StreamSettings | None = None,
    keep_seconds: Sequence[int] = (),
    report: Callable[[Second], None] | None = None,
) -> tuple[list[Second], dict[int, Video]]:
    """Stream `num_seconds` of the loop, in constant memory; the frames of the seconds in `keep_seconds` come back too.

    Raises ValueError for a length under one second.
    """
    if num_seconds < 1:
        raise ValueError(f"num_seconds must be at least 1, got {num_seconds}")
    fps = round(loaded.spec.fps)
    stride, plan = loaded.spec.vae_stride, loaded.spec.chunk_plan
    latent_frames = plan.chunk(last_chunk(num_seconds * fps, stride.time, plan.chunk_frames)).stop
    image = frames_tensor(loop.clip.frames[:1])
    context = encode_prompt(loaded.model, loaded.spec, loop.scene.caption)
    tracks = KnownTracks(loop.tracks(stride.num_frames(latent_frames)))
    conditions = StreamConditions(loaded.model, loaded.spec, context, tracks, image=image, vae=vae)
    judge = Judge(loop, fps)
    kept: dict[int, Video] = {}
    seconds: list[Second] = []
    pending: Video = loop.clip.frames[:0]
    decoder = TinyStreamingDecoder(vae)
    stream = stream_chunks(loaded, conditions, decoder, num_latent_frames=latent_frames, settings=settings)
    try:
        for chunk in stream:
            pending = np.concatenate([pending, to_video(chunk.frames)])
            while len(pending) >= fps and len(seconds) < num_seconds:
                second, pending = pending[:fps], pending[fps:]
                if len(seconds) in keep_seconds:
                    kept[len(seconds)] = second
                seconds.append(judge(len(seconds), second))
                if report:
                    report(seconds[-1])
    finally:
        stream.close()
    return seconds, kept


def last_chunk(num_frames: int, time_stride: int, chunk_frames: int) -> int:
    """Index of the chunk with which a stream has at least `num_frames` frames."""
    return -(-num_frames // (time_stride * chunk_frames)) + 1


class Judge:
    """Compares seconds of a stream with the loop's truth and with the stream's own first second."""

    def __init__(self, loop: Loop, fps: int) -> None:
        self.loop = loop
        self.fps = fps
        self.background = loop.background()
        self.first: NDArray[np.float64] | None = None

    def __call__(self, number: int, frames: Video) -> Second:
        place = self.loop.frame(np.arange(number * self.fps, (number + 1) * self.fps))
        # the judge measures objects against the first frame's: show it that one
        centers, found = locate(np.concatenate([self.loop.clip.frames[:1], frames]), self.loop.scene)
        truth = self.loop.clip.centers[place]
        errors = endpoint_errors(centers[1:], truth, np.ones(truth.shape[:2], bool))
        ground = frames[:, self.background].astype(np.float64)
        first = self.first = ground.mean(0) if self.first is None else self.first
        error = np.mean((ground - first) ** 2)
        psnr = float(10 * np.log10(255**2 / max(error, 1e-9)))
        return Second(number, psnr, float(errors.mean()), float((~found[1:]).mean()))
