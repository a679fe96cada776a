"""Whether a dragged thing moves with its texture: `python -m experiments.photo.dragged PHOTO PHOTO ...`.

Four points drag a cut-out: of leaves over leaves, on clips that no training drew; of one photo over the next; and a
piece of a photo within it, where what it uncovers is not known and only the piece is judged. Printed, for two spans of
49 frames, over the true place of the piece: correlation with the true render (pixels less each channel's mean), PSNR
in dB, and IoU of where the piece is seen (pixels nearer to the moved piece than to what else could be there) with
where it should be. Beside it the VAE alone, the carried picture as it is, and the first frame held.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from experiments.photo.drags import Array, Cutout, DragClip, composed, draw_pictures, hand_path, posed
from motionstream_core.checkpoints import LoadedModel, load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.evaluation.world.report import Video, frames_tensor, to_video
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.render.fit import fit_picture
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.tracks.carry import CarriedPicture
from motionstream_core.world.leaves.picture import outline

NUM_FRAMES, SIZE_PX, TOLD = 49, 128, 4
SPANS = {"13..24": slice(13, 25), "37..48": slice(37, 49)}
LEAF_CASES = 12
KINDS = ("leaves", "photo over photo", "piece of photo")


@dataclass(frozen=True)
class Case:
    """A drag with its truth. still: the clip without the piece, None where it is not known."""

    kind: str
    clip: DragClip
    still: Video | None


def cut_piece(rng: np.random.Generator, rgb: Array, corner: NDArray[np.int64], radius: float, points: int) -> Cutout:
    """A piece of `rgb` whose window begins at `corner` (x y), at rest."""
    side = int(3.2 * radius) + 4
    x, y = corner
    piece = rgb[y : y + side, x : x + side]
    v, u = np.mgrid[:side, :side].astype(np.float32) - np.float32((side - 1) / 2)
    alpha = np.clip(outline(rng, u / np.float32(radius), v / np.float32(radius)) * radius + 0.5, 0, 1)
    inside = np.argwhere(alpha >= 1)[:, ::-1].astype(np.float64)
    marks = inside[rng.choice(len(inside), points, replace=False)]
    return Cutout(piece, alpha.astype(np.float32), np.zeros((NUM_FRAMES, 3, 3)), marks, True)


def case_of(kind: str, rng: np.random.Generator, ground: Array, source: Array, points: int = TOLD) -> Case:
    """A piece of `source`, from its own place there, dragged over `ground`; both are SIZE_PX wide or more."""
    radius = float(rng.uniform(16, 26))
    side = int(3.2 * radius) + 4
    center = rng.uniform(0.3, 0.7, 2) * SIZE_PX
    own_place = (center - (side - 1) / 2).round().astype(np.int64).clip(0, np.array(source.shape[1::-1]) - side)
    piece = cut_piece(rng, source, own_place, radius, points)
    shift = hand_path(rng, NUM_FRAMES, SIZE_PX, center)
    start = own_place + (side - 1) / 2
    moved = posed(start, shift, np.zeros(NUM_FRAMES), np.ones(NUM_FRAMES), side)
    still = np.broadcast_to(np.eye(3), (NUM_FRAMES, 3, 3))
    background = Cutout(ground, np.ones(ground.shape[:2], np.float32), still, np.zeros((0, 2)), False)
    clip = composed(background, [replace(piece, to_frame=moved)], SIZE_PX)
    return Case(kind, clip, None if kind == KINDS[2] else composed(background, [], SIZE_PX).frames)


def cases_of(photos: Sequence[Array]) -> list[Case]:
    """All cases, the same in every call."""
    cases = []
    for number in range(LEAF_CASES):
        rng = np.random.default_rng((909, number))
        ground, source = draw_pictures(rng, 2)
        cases.append(case_of(KINDS[0], rng, ground, source))
    for number, photo in enumerate(photos):
        for again in range(2):
            rng = np.random.default_rng((910, number, again))
            cases.append(case_of(KINDS[1], rng, photos[(number + 1) % len(photos)], photo))
            cases.append(case_of(KINDS[2], np.random.default_rng((911, number, again)), photo, photo))
    return cases


def told(clip: DragClip) -> Tracks:
    """The piece's points."""
    mine = clip.owner >= 0
    points, visibility = torch.from_numpy(clip.points[:, mine]), torch.from_numpy(clip.visibility[:, mine])
    return Tracks(points.float(), visibility, SIZE_PX, SIZE_PX)


def dragged(loaded: LoadedModel, vae: TinyVae, clip: DragClip) -> Video:
    """What the student makes of the first frame and the points."""
    context = encode_prompt(loaded.model, loaded.spec, "")
    image = frames_tensor(clip.frames[:1])
    source = KnownTracks(told(clip))
    conditions = StreamConditions(loaded.model, loaded.spec, context, source, image=image, vae=vae)
    length = loaded.spec.vae_stride.num_latent_frames(NUM_FRAMES)
    chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length)
    return to_video(torch.cat([chunk.frames for chunk in chunks]))


def carried_alone(clip: DragClip) -> Video:
    """The carried picture with no model behind it."""
    picture = CarriedPicture(frames_tensor(clip.frames[:1])[0, :, 0])
    return to_video(picture.carry(told(clip)).frames.permute(1, 2, 3, 0))


def figures_of(case: Case, video: Video, span: slice) -> tuple[float, float, float]:
    """Correlation, PSNR and IoU (nan where what is uncovered is not known), means over the span's frames."""
    rows = []
    first, at_first = case.clip.frames[0].astype(np.float64), case.clip.moved[0] > 0.5
    for number in range(span.start, span.stop):
        place = case.clip.moved[number] > 0.5
        if place.sum() < 50:
            continue
        truth, shown = (frames[number].astype(np.float64) for frames in (case.clip.frames, video))
        a, b = (frame[place] - frame[place].mean(0) for frame in (truth, shown))
        correlation = float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9))
        quality = float(10 * np.log10(255**2 / max(1e-3, ((truth - shown)[place] ** 2).mean())))
        overlap = np.nan
        if case.still is not None:
            other = np.abs(shown - case.still[number]).sum(-1)
            hit = place & (np.abs(shown - truth).sum(-1) < other)
            left = at_first & ~place & (np.abs(shown - first).sum(-1) < other)
            overlap = float(hit.sum() / (place | left).sum())
        rows.append((correlation, quality, overlap))
    correlation, quality, overlap = np.array(rows).mean(0)
    return correlation, quality, overlap


def sheet(cases: list[Case], videos: list[list[Video]]) -> NDArray[np.uint8]:
    """For every case the truth and below it each model's video, at seven times."""
    times = list(range(0, NUM_FRAMES, 8))
    rows = []
    for case, shown in zip(cases, videos, strict=True):
        for video in (case.clip.frames, *shown):
            rows.append(np.concatenate([video[time] for time in times], axis=1))
    half = -(-len(rows) // 2)
    per_case = len(videos[0]) + 1
    half = -(-half // per_case) * per_case
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    return np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], axis=1)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--student", type=Path, default=PHOTO_STUDENT)
    parser.add_argument("--sheet", type=Path, help="PNG of some of the cases")
    args = parser.parse_args()
    vae = load_tiny_vae(PHOTO_TINY_VAE)
    loaded = load_model(args.student)
    loaded.model.float()  # stored in half precision, which a CPU computes slowly
    photos = []
    for path in args.photos:
        with Image.open(path) as file:
            photos.append(fit_picture(file.convert("RGB"), SIZE_PX, SIZE_PX).astype(np.float32) / 255)
    cases = cases_of(photos)
    alone = [to_video(vae.decode(vae.encode(frames_tensor(c.clip.frames)))[0].permute(1, 2, 3, 0)) for c in cases]
    models = {
        "student": [dragged(loaded, vae, case.clip) for case in cases],
        "VAE alone": alone,
        "carried picture": [carried_alone(case.clip) for case in cases],
        "first frame": [np.repeat(case.clip.frames[:1], NUM_FRAMES, 0) for case in cases],
    }
    print("| cases | model | frames | correlation | PSNR dB | IoU |\n|---|---|---|---|---|---|")
    for kind in KINDS:
        chosen = [number for number, case in enumerate(cases) if case.kind == kind]
        for name, videos in models.items():
            for span_name, span in SPANS.items():
                each = np.array([figures_of(cases[number], videos[number], span) for number in chosen]).mean(0)
                overlap = "" if np.isnan(each[2]) else f"{each[2]:.3f}"
                print(f"| {kind} | {name} | {span_name} | {each[0]:.3f} | {each[1]:.1f} | {overlap} |", flush=True)
    if args.sheet:
        shown = [*range(4), *range(LEAF_CASES, len(cases))]
        picture = sheet([cases[n] for n in shown], [[models["student"][n]] for n in shown])
        Image.fromarray(picture).save(args.sheet)


if __name__ == "__main__":
    main()
