"""Judge a teacher and a student on the held-out world, beside what bounds them from both sides.

judge  the judge's own error on the true clip
vae    the true clip, encoded and decoded: no generator can do better
frozen the first frame repeated: what obeying nothing costs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...checkpoints.load import LoadedModel
from ...models.vae.tiny_vae import TinyVae
from ...streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from ...streaming.decode import TinyStreamingDecoder
from ...streaming.stream import StreamSettings, sample_teacher, stream_chunks
from ...tracks import Tracks
from ...world.judge import locate
from ..metrics import endpoint_errors, psnr_db
from .cases import Case

Video = NDArray[np.uint8]
Generator = Callable[[Case], Video]


@dataclass(frozen=True)
class Score:
    """epe_px: mean over all counted sprites and frames; lost: share of them where the judge found nothing."""

    epe_px: float
    median_px: float
    lost: float
    psnr_db: float


def case_tracks(case: Case) -> Tracks:
    """The tracks that the case tells, ids drawn from the case itself."""
    height, width = case.clip.frames.shape[1:3]
    points, visibility = case.clip.points[:, case.told], case.clip.visibility[:, case.told]
    return Tracks(torch.from_numpy(points).float(), torch.from_numpy(visibility), height, width)


def case_conditions(loaded: LoadedModel, vae: TinyVae, case: Case) -> StreamConditions:
    """First frame, caption and input tracks of a case."""
    image = frames_tensor(case.clip.frames[:1])
    context = encode_prompt(loaded.model, loaded.spec, case.clip.caption)
    return StreamConditions(loaded.model, loaded.spec, context, KnownTracks(case_tracks(case)), image=image, vae=vae)


def frames_tensor(frames: Video) -> Tensor:
    """(t h w 3) uint8 to (1 3 t h w) float in [0, 1]."""
    return torch.from_numpy(frames.copy()).permute(3, 0, 1, 2)[None].float() / 255


def to_video(frames: Tensor) -> Video:
    """(t h w 3) float in [0, 1] to uint8."""
    return (frames.float().clamp(0, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()


def student_generator(loaded: LoadedModel, vae: TinyVae, settings: StreamSettings | None = None) -> Generator:
    """Streams every case with a student."""

    @torch.no_grad()
    def generate(case: Case) -> Video:
        conditions = case_conditions(loaded, vae, case)
        latent_frames = loaded.spec.vae_stride.num_latent_frames(len(case.clip.frames))
        chunks = stream_chunks(
            loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=latent_frames, settings=settings
        )
        return to_video(torch.cat([chunk.frames for chunk in chunks]))

    return generate


def teacher_generator(
    loaded: LoadedModel,
    vae: TinyVae,
    num_steps: int,
    text_weight: float | None = None,
    motion_weight: float | None = None,
    seed: int = 0,
) -> Generator:
    """Samples every case with a teacher."""

    @torch.no_grad()
    def generate(case: Case) -> Video:
        latents = sample_teacher(
            loaded,
            case_conditions(loaded, vae, case),
            encode_prompt(loaded.model, loaded.spec, ""),
            num_latent_frames=loaded.spec.vae_stride.num_latent_frames(len(case.clip.frames)),
            num_steps=num_steps,
            text_weight=text_weight,
            motion_weight=motion_weight,
            seed=seed,
        )
        return to_video(vae.decode(latents)[0].permute(1, 2, 3, 0))

    return generate


def reference_generators(vae: TinyVae) -> Mapping[str, Generator]:
    """What bounds any model: the true clip, its reconstruction, and a frozen first frame."""

    @torch.no_grad()
    def reconstruct(case: Case) -> Video:
        return to_video(vae.decode(vae.encode(frames_tensor(case.clip.frames)))[0].permute(1, 2, 3, 0))

    return {
        "judge": lambda case: case.clip.frames,
        "vae": reconstruct,
        "frozen": lambda case: np.repeat(case.clip.frames[:1], len(case.clip.frames), 0),
    }


def generate_all(cases: list[Case], generate: Generator, num_jobs: int = 1, bf16: bool = False) -> list[Video]:
    """The video of every case, in fp32 or bf16; `num_jobs` cases at a time, each on one core."""

    def one(case: Case) -> Video:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return generate(case)

    if num_jobs == 1:
        return [one(case) for case in cases]
    with ThreadPoolExecutor(num_jobs, initializer=lambda: torch.set_num_threads(1)) as pool:
        return list(pool.map(one, cases))


def score(cases: list[Case], videos: list[Video], frames: slice = slice(None)) -> Score:
    """Errors of the videos of cases, on `frames`. Raises ValueError when nothing moves in them."""
    errors, lost, quality = [], [], []
    for case, video in zip(cases, videos, strict=True):
        centers, found = locate(video, case.scene)
        counted = case.counted[frames]
        errors.append(endpoint_errors(centers[frames], case.clip.centers[frames], counted))
        lost.append(~found[frames][counted])
        quality.append(psnr_db(video[frames], case.clip.frames[frames]))
    joined = np.concatenate(errors)
    if not len(joined):
        raise ValueError("no sprite moves in any of the cases: there is nothing to judge")
    finite = [value for value in quality if np.isfinite(value)]
    return Score(
        epe_px=float(joined.mean()),
        median_px=float(np.median(joined)),
        lost=float(np.concatenate(lost).mean()),
        psnr_db=float(np.mean(finite)) if finite else float("inf"),
    )
