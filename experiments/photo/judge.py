"""How well pictures move: `python -m experiments.photo.judge PHOTO PHOTO ...`, a line for each thing that is asked.

Beside the bundled student for photos the one for coloured shapes, and what bounds both: the former's VAE on the truth,
and the first frame held. 49 frames of 128 px; the last 12 are judged, or where it is said the last second against the
first of 60 s. Cut-outs of one photo are dragged over another by nine points, the truth being rendered (`dragged`); a
pan and a zoom, over which they are dragged, too, are told by a grid of 8 x 8 points. Lucas-Kanade follows the points;
it loses some of the truth's, too.
Still photos under the words that the student knows are compared with the same, rendered (`world.weather`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from experiments.photo.drag import SPEC
from experiments.photo.dragged import NUM_FRAMES, SIZE_PX, Case, at_rest, behind, case_of, figures_of, told
from experiments.photo.drags import Array, Cutout, composed, posed
from motionstream_core.checkpoints import LoadedModel, load_model, load_tiny_vae
from motionstream_core.demo.track_error import lucas_kanade_error
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TINY_VAE
from motionstream_core.evaluation.metrics import psnr_db
from motionstream_core.evaluation.world.cases import held_out_case
from motionstream_core.evaluation.world.report import Video, case_tracks, frames_tensor, score, to_video
from motionstream_core.media.picture import read_picture
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.render.fit import fit_picture
from motionstream_core.streaming.rollout import seeded_noise
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks import Tracks
from motionstream_core.world.weather import LIGHTS, WORDS, weathered

LAST = slice(NUM_FRAMES - 12, NUM_FRAMES)
LONG_FRAMES, SECOND = 961, 16
SHAPES = 16
Make = Callable[[Video, Tracks, str], Video]
"""(truth (t h w 3), its tracks, prompt) -> a video as long."""
PHOTO = "photo student"


def maker(loaded: LoadedModel, vae: TinyVae) -> Make:
    """What the student makes of the first frame, the tracks and the prompt."""

    def make(truth: Video, tracks: Tracks, prompt: str) -> Video:
        context = encode_prompt(loaded.model, loaded.spec, prompt)
        image = frames_tensor(truth[:1])
        conditions = StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks), image=image, vae=vae)
        length = loaded.spec.vae_stride.num_latent_frames(tracks.num_frames)
        chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length)
        return to_video(torch.cat([chunk.frames for chunk in chunks]))

    return make


def grid_tracks(num_frames: int, side: int) -> Tracks:
    """A grid of points at rest."""
    axis = (torch.arange(side) + 0.5) * SIZE_PX / side
    points = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(1, -1, 2)
    points = points.expand(num_frames, -1, -1)
    return Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), SIZE_PX, SIZE_PX)


def under_camera(photo: Array, shift: NDArray[np.float64], zoom: NDArray[np.float64]) -> Cutout:
    """The photo (larger than the frame) under a camera."""
    side, line = photo.shape[0], (np.arange(8) + 0.5) * SIZE_PX / 8 - 0.5
    edge = (side - SIZE_PX) // 2
    to_frame = posed(np.full(2, (SIZE_PX - 1) / 2), shift, np.zeros(NUM_FRAMES), zoom, float(side))
    grid = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2) + edge
    whole = np.ones(photo.shape[:2], np.float32)
    return Cutout(photo, whole, to_frame, grid, True)


def moved_views(photos: Sequence[Array]) -> list[Cutout]:
    """A pan and a zoom of every photo."""
    share = np.linspace(0, 1, NUM_FRAMES)
    moves = ((-12.0, 8.0), 1.0), ((0.0, 0.0), 1.25)
    return [
        under_camera(photo, share[:, None] * np.array(shift), zoom**share) for photo in photos for shift, zoom in moves
    ]


def resting(photos: Sequence[Array]) -> list[Cutout]:
    """Every photo at rest, twice."""
    return [at_rest(photo) for photo in photos for _ in range(2)]


def drag_cases(photos: Sequence[Array], grounds: Sequence[Cutout]) -> list[Case]:
    """A piece of every photo over each of the two grounds that are the next one's."""
    cases = []
    for number, photo in enumerate(photos):
        for again in range(2):
            rng = np.random.default_rng((920, number, again))
            ground = grounds[(2 * (number + 1) + again) % len(grounds)]
            cases.append(case_of(rng, ground, photo, points=9))
    return cases


def truth_under(frames: Video, word: str) -> Video:
    """The truth of frames under a word, from the noise that a stream of seed 0 begins with."""
    stride, plan = SPEC.vae_stride, SPEC.chunk_plan
    length, (height, width) = (
        stride.num_latent_frames(len(frames)),
        (side // stride.space for side in frames.shape[1:3]),
    )
    channels = SPEC.layout.width("noise")
    drawn = seeded_noise(0, (1, channels, height, width), torch.float32, torch.device("cpu"))
    noise = torch.cat([drawn(chunk, 0) for chunk in plan.chunks(length)], dim=2)[0].numpy()
    lit = weathered(frames / np.float32(255), [frozenset([word])] * length, noise, stride)
    return (lit.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def word_rows(make: Make, stills: Sequence[Video], vocabulary: Sequence[str], long: bool) -> dict[str, str]:
    """What becomes of still photos (1 h w 3) under the words of a vocabulary."""
    rows, still = {}, grid_tracks(NUM_FRAMES, 5)
    for word in (each for each in WORDS if set(each.split()) <= set(vocabulary)):
        photos = [photo.repeat(NUM_FRAMES, 0) for photo in stills]
        truths = [truth_under(photo, word) for photo in photos]
        videos = [make(truth, still, word) for truth in truths]
        if word in LIGHTS:
            pairs = zip(videos, truths, strict=True)
            rows[f"{word}, dB of the last 12"] = _mean(psnr_db(video[LAST], truth[LAST]) for video, truth in pairs)
            continue
        alike = [_added(*each) for each in zip(videos, truths, photos, strict=True)]
        correlation, strength = np.array(alike).mean(0)
        rows[f"{word}, correlation of what falls (its strength)"] = f"{correlation:.2f} ({strength:.2f})"
    if long:
        photo, light = stills[0].repeat(SECOND, 0), LIGHTS["night falling"]
        night = ((photo / 255 * light.gain + light.lift) * 255 + 0.5).astype(np.uint8)
        video = make(stills[0].repeat(LONG_FRAMES, 0), grid_tracks(LONG_FRAMES, 5), "night falling")
        ends = [psnr_db(part, night) for part in (video[3 * SECOND : 4 * SECOND], video[-SECOND:])]
        rows["60 s of night, dB of the fourth and the last second"] = f"{ends[0]:.1f}, {ends[1]:.1f}"
    return rows


def _added(video: Video, truth: Video, photo: Video) -> tuple[float, float]:
    """Correlation of what the video's and the truth's last frames have and the photo has not, and its strength."""
    a, b = (frames[LAST].astype(np.float64) - photo[LAST] for frames in (truth, video))
    both = (a * b).sum()
    return both / np.sqrt((a * a).sum() * (b * b).sum() + 1e-9), both / (a * a).sum()


def rows_of(make: Make, photos: Sequence[Array], wide: Sequence[Array], long: bool) -> dict[str, str]:
    """Every figure of one model."""
    rows = {}
    stills = [(photo * 255 + 0.5).astype(np.uint8)[None] for photo in photos]
    held = [make(still.repeat(NUM_FRAMES, 0), grid_tracks(NUM_FRAMES, 5), "") for still in stills]
    pairs = zip(held, stills, strict=True)
    rows["still photo, dB of the last 12"] = _mean(psnr_db(v[LAST], s.repeat(12, 0)) for v, s in pairs)
    cases = drag_cases(photos, resting(photos))
    videos = [make(case.clip.frames, told(case.clip), "") for case in cases]
    correlation, quality, overlap = np.array(
        [figures_of(case, video, LAST) for case, video in zip(cases, videos, strict=True)]
    ).mean(0)
    pairs = list(zip(cases, videos, strict=True))
    rows["dragged cut-out, dB of the last 12, whole frame"] = _mean(
        psnr_db(v[LAST], c.clip.frames[LAST]) for c, v in pairs
    )
    rows["dragged cut-out, dB inside"] = f"{quality:.1f}"
    rows["dragged cut-out, correlation inside"] = f"{correlation:.2f}"
    rows["dragged cut-out, IoU"] = f"{overlap:.2f}"
    quality, roughness = np.array([behind(case, video, LAST) for case, video in pairs]).mean(0)
    rows["behind the cut-out, dB (roughness, 1: as the truth)"] = f"{quality:.1f} ({roughness:.2f})"
    judged = [lucas_kanade_error(video, told(case.clip)) for case, video in pairs]
    rows["dragged points, px (share followed)"] = _errors(judged)
    views = moved_views(wide)
    clips = [composed(view, [], SIZE_PX) for view in views]
    videos = [make(clip.frames, told(clip), "") for clip in clips]
    rows["pan and zoom, dB of the last 12"] = _mean(
        psnr_db(video[LAST], clip.frames[LAST]) for video, clip in zip(videos, clips, strict=True)
    )
    rows["pan and zoom, px (share followed)"] = _errors(
        [lucas_kanade_error(video, told(clip)) for video, clip in zip(videos, clips, strict=True)]
    )
    cases = drag_cases(photos, views)
    pairs = [(case, make(case.clip.frames, told(case.clip), "")) for case in cases]
    whole = _mean(psnr_db(video[LAST], case.clip.frames[LAST]) for case, video in pairs)
    quality, roughness = np.array([behind(case, video, LAST) for case, video in pairs]).mean(0)
    row = "dragged under pan and zoom: whole frame; behind it, dB (roughness)"
    rows[row] = f"{whole}; {quality:.1f} ({roughness:.2f})"
    shapes = [held_out_case(index, "plain") for index in range(SHAPES)]
    scored = score(shapes, [make(case.clip.frames, case_tracks(case), "") for case in shapes])
    rows[f"coloured shapes, {SHAPES} held-out clips, px (dB)"] = f"{scored.epe_px:.1f} ({scored.psnr_db:.1f})"
    if long:
        video = make(stills[0].repeat(LONG_FRAMES, 0), grid_tracks(LONG_FRAMES, 5), "")
        ends = [psnr_db(video[part], stills[0].repeat(SECOND, 0)) for part in (slice(1, 17), slice(-SECOND, None))]
        rows["60 s of a still photo, dB of the first and the last second"] = f"{ends[0]:.1f}, {ends[1]:.1f}"
    return rows


def _mean(values: object) -> str:
    return f"{np.mean(list(values)):.1f}"  # type: ignore[call-overload]


def _errors(judged: list[tuple[float, float]]) -> str:
    errors = [error for error, share in judged if share > 0]
    return f"{np.mean(errors):.1f} ({np.mean([share for _, share in judged]):.0%})" if errors else "none (0%)"


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--student", type=Path, default=PHOTO_STUDENT)
    parser.add_argument("--tiny-vae", type=Path, default=PHOTO_TINY_VAE, help="the student's")
    parser.add_argument("--head", type=float, default=1.0, help="times its head: 0 is a silent network")
    parser.add_argument("--long", action="store_true", help="60 s of a still photo, too")
    args = parser.parse_args()
    photos, wide = [], []
    for path in args.photos:
        rgb = Image.fromarray(read_picture(path).pixels)
        photos.append(fit_picture(rgb, SIZE_PX, SIZE_PX).astype(np.float32) / 255)
        wide.append(fit_picture(rgb, SIZE_PX + 32, SIZE_PX + 32).astype(np.float32) / 255)
    vae, student = load_tiny_vae(args.tiny_vae), _float(load_model(args.student))
    makers: dict[str, Make] = {
        PHOTO: maker(_with_head(student, args.head), vae),
        "shapes' student": maker(_float(load_model(STUDENT)), load_tiny_vae(TINY_VAE)),
        "VAE on the truth": lambda truth, tracks, prompt: _video(vae.decode(vae.encode(frames_tensor(truth)))),
        "first frame": lambda truth, tracks, prompt: truth[:1].repeat(tracks.num_frames, 0),
    }
    table: dict[str, dict[str, str]] = {}
    stills = [(photo * 255 + 0.5).astype(np.uint8)[None] for photo in photos]
    for name, make in makers.items():
        print(f"{name} ...", flush=True)
        rows = rows_of(make, photos, wide, args.long and "student" in name)
        if name != "shapes' student":  # which knows other words
            rows |= word_rows(make, stills, student.spec.vocabulary, args.long and name == PHOTO)
        for row, figure in rows.items():
            table.setdefault(row, {})[name] = figure
    print(f"\n| | {' | '.join(makers)} |\n|---|{'---|' * len(makers)}")
    for row, figures in table.items():
        print(f"| {row} | {' | '.join(figures.get(name, '') for name in makers)} |")


def _video(frames: torch.Tensor) -> Video:
    return to_video(frames[0].permute(1, 2, 3, 0))


def _with_head(loaded: LoadedModel, share: float) -> LoadedModel:
    for parameter in loaded.model.head.head.parameters():
        parameter.mul_(share)
    return loaded


def _float(loaded: LoadedModel) -> LoadedModel:
    loaded.model.float()  # stored in half precision, which a CPU computes slowly
    return loaded


if __name__ == "__main__":
    main()
