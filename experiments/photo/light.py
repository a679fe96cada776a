"""What the picture's own pixels are worth under words: `python -m experiments.photo.light PHOTO PHOTO ...`.

Latents of the truth stand for a perfect student's. Against the truth in dB: what the VAE decodes of them, and what
becomes of that with the forecast's pixels (`streaming.detail`). All frames but the first; photos that stand still, and
photos over which a piece of another is dragged.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from experiments.photo.dragged import SIZE_PX, told
from experiments.photo.judge import NUM_FRAMES, drag_cases, grid_tracks, resting, truth_under
from motionstream_core.checkpoints import load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE
from motionstream_core.evaluation.metrics import psnr_db
from motionstream_core.evaluation.world.report import Video, frames_tensor, to_video
from motionstream_core.media.picture import read_picture
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.detail import with_detail
from motionstream_core.streaming.image_source import CarriedImage
from motionstream_core.streaming.render.fit import fit_picture
from motionstream_core.tracks import Tracks
from motionstream_core.world.weather import WORDS

PLAN = load_model(PHOTO_STUDENT).spec.chunk_plan


def figures(vae: TinyVae, plain: Video, tracks: Tracks, word: str) -> tuple[float, float]:
    """Of one clip under a word, or none: decoded, and with the picture's own pixels."""
    truth = truth_under(plain, word)
    latents = vae.encode(frames_tensor(truth))
    source, spans, forecasts = CarriedImage(vae, vae.stride, frames_tensor(plain[:1])[0, :, 0]), [], []
    for chunk in PLAN.chunks(latents.shape[2]):
        start, stop = vae.stride.frame_span(chunk.start, chunk.stop)
        forecast = source.at_latents(chunk.start, chunk.stop, tracks.slice(start, stop)).forecast
        assert forecast is not None
        spans.append((slice(start, stop), latents[:, :, chunk.start : chunk.stop]))
        forecasts.append(forecast)
    told = torch.cat([forecast.latents for forecast in forecasts], dim=2)
    decoded, foreseen = (vae.decode(each)[0].permute(1, 2, 3, 0) for each in (latents, told))
    shown = [
        with_detail(decoded[span], foreseen[span], forecast, own)
        for (span, own), forecast in zip(spans, forecasts, strict=True)
    ]
    return psnr_db(to_video(decoded)[1:], truth[1:]), psnr_db(to_video(torch.cat(shown))[1:], truth[1:])


def table(vae: TinyVae, photos: Sequence[np.ndarray]) -> str:
    """A row for each word, means over the photos."""
    clips = {
        "still": [
            ((photo * 255 + 0.5).astype(np.uint8)[None].repeat(NUM_FRAMES, 0), grid_tracks(NUM_FRAMES, 5))
            for photo in photos
        ],
        "dragged": [(case.clip.frames, told(case.clip)) for case in drag_cases(photos, resting(photos))],
    }
    lines = ["| dB: decoded, with own pixels | still | dragged |", "|---|---|---|"]
    for word in ("", *WORDS):
        means = [np.mean([figures(vae, *clip, word) for clip in clips[kind]], axis=0) for kind in clips]
        lines.append(
            f"| {word or 'no word'} | {' | '.join(f'{decoded:.1f}, {shown:.1f}' for decoded, shown in means)} |"
        )
    return "\n".join(lines)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    args = parser.parse_args()
    pictures = [Image.fromarray(read_picture(path).pixels) for path in args.photos]
    photos = [fit_picture(picture, SIZE_PX, SIZE_PX).astype(np.float32) / 255 for picture in pictures]
    print(table(load_tiny_vae(PHOTO_TINY_VAE).float(), photos))


if __name__ == "__main__":
    main()
