"""Image and trajectories in, streamed video out: what the demo command does, step by step."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..checkpoints import LoadedModel, load_model, load_tiny_vae
from ..evaluation.world.report import frames_tensor, to_video
from ..files import new_file
from ..media.credentials import png_text
from ..media.picture import read_picture
from ..media.video_file import VideoFile
from ..models.vae.tiny_vae import TinyVae
from ..streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from ..streaming.decode import TinyStreamingDecoder
from ..streaming.render.fit import fit_picture, fit_tracks
from ..streaming.render.job import read_tracks
from ..streaming.stream import StreamSettings, stream_chunks
from ..tracks import Tracks, contact_sheet, resample
from ..world.judge import locate
from .example import Example, drawn_example
from .track_error import lucas_kanade_error
from .weights import PHOTO_STUDENT, PHOTO_TINY_VAE

FRAME_SIZE = (128, 128)
"""(height, width) px that the bundled models were trained at."""


@dataclass(frozen=True)
class Job:
    """A demo job: image (h w 3) uint8 and tracks of its size; `example` only for the demo's own."""

    image: np.ndarray
    tracks: Tracks
    prompt: str
    example: Example | None = None


@dataclass(frozen=True)
class Report:
    """What the demo prints. track_error_px and how it was judged; times in s; memory in MiB."""

    num_frames: int
    first_frame_s: float
    frames_per_second: float
    seconds_per_chunk: float
    peak_memory_mib: float
    track_error_px: float
    judged_by: str
    video: Path
    sheet: Path


def own_job(num_frames: int) -> Job:
    """The demo's own image and drawn trajectories."""
    example = drawn_example(num_frames)
    return Job(example.image, example.tracks, "", example)


def users_job(image: Path, tracks: Path, prompt: str, frame_size: tuple[int, int], num_frames: int) -> Job:
    """A user's photo and trajectory file, for the bundled photo model: cropped about the middle to its frame.

    Coordinates are px of the photo; a file that names its size is scaled by
    it. Raises FileNotFoundError, or ValueError (TrackFormatError names the place).
    """
    for name, path in (("IMAGE", image), ("TRACKS", tracks)):
        if not path.is_file():
            raise FileNotFoundError(f"{name}: no file at {path}")
    photo = Image.fromarray(read_picture(image).pixels)
    drawn = resample(read_tracks(tracks, (photo.height, photo.width)).tracks, num_frames)
    return Job(fit_picture(photo, *frame_size), fit_tracks(drawn, *frame_size), prompt)


def run_demo(job: Job, out: Path, seed: int = 0, device: str = "cpu") -> Report:
    """Stream the job's video to `out`.mp4, draw the contact sheet `out`.png, and measure.

    Raises ValueError for a number of frames that the model's chunks do not fill, naming the nearest.
    """
    loaded = load_model(PHOTO_STUDENT, torch.float32)
    loaded.spec.lengths.moving.check(job.tracks.num_frames)
    vae = load_tiny_vae(PHOTO_TINY_VAE).to(device)
    loaded.model.to(device)
    image = frames_tensor(job.image[None]).to(device)
    # one throw-away step warms up the library's kernels, as any long-running host has
    for _ in _chunks(loaded, vae, image, job, seed, loaded.spec.chunk_plan.chunk(1).stop):
        pass
    started = time.perf_counter()
    first_frame_s, chunk_times, parts = 0.0, [], []
    video = out.with_suffix(".mp4")
    latent_frames = loaded.spec.vae_stride.num_latent_frames(job.tracks.num_frames)
    with VideoFile(video, loaded.spec.fps) as file:
        before = started
        for frames in _chunks(loaded, vae, image, job, seed, latent_frames):
            frames = frames.cpu()  # waits for the device, so that the time is the chunk's
            now = time.perf_counter()
            if len(parts) == 1:  # the first generated chunk: what precedes it is the image itself
                first_frame_s = now - started
            chunk_times.append(now - before)
            before = now
            parts.append(frames)
            file.push(frames)
        elapsed = time.perf_counter() - started
    frames = torch.cat(parts)
    sheet = out.with_suffix(".png")
    drawn = contact_sheet(frames, job.tracks, columns=4, num_cells=8, cell_width=320)
    with new_file(sheet) as picture:
        Image.fromarray(drawn.numpy()).save(picture, format="PNG", pnginfo=png_text())
    error, judged_by = _track_error(to_video(frames), job)
    return Report(
        num_frames=len(frames),
        first_frame_s=first_frame_s,
        frames_per_second=len(frames) / elapsed,
        seconds_per_chunk=float(np.median(chunk_times[1:])) if len(chunk_times) > 1 else elapsed,
        peak_memory_mib=_peak_memory_mib(device),
        track_error_px=error,
        judged_by=judged_by,
        video=video,
        sheet=sheet,
    )


def _chunks(
    loaded: LoadedModel, vae: TinyVae, image: Tensor, job: Job, seed: int, num_latent_frames: int
) -> Generator[Tensor, None, None]:
    """Frames (t h w 3) of the student's stream, chunk by chunk."""
    context = encode_prompt(loaded.model, loaded.spec, job.prompt)
    conditions = StreamConditions(loaded.model, loaded.spec, context, KnownTracks(job.tracks), image=image, vae=vae)
    chunks = stream_chunks(
        loaded,
        conditions,
        TinyStreamingDecoder(vae),
        num_latent_frames=num_latent_frames,
        settings=StreamSettings(seed=seed),
    )
    for chunk in chunks:
        yield chunk.frames


def _track_error(video: np.ndarray, job: Job) -> tuple[float, str]:
    if job.example is None:
        error, share = lucas_kanade_error(video, job.tracks)
        return error, f"Lucas-Kanade, {share:.0%} of the points could be followed"
    centers, _ = locate(video, job.example.scene)
    drawn = job.tracks.points[:, ::5].numpy()  # the first of each object's five points is its centre
    return float(np.linalg.norm(centers - drawn, axis=-1)[1:].mean()), "colour centroids of the objects"


def _peak_memory_mib(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
