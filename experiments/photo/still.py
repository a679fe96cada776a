"""Whether a photo stays a photo: `python -m experiments.photo.still PHOTO ...`.

A grid of points is told to stand still for 49 frames, to the bundled student for photos and to the one that knows
coloured shapes. Printed: PSNR in dB of the last 12 against the photo, for the stream and for the VAE alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from motionstream_core.checkpoints import LoadedModel, load_model, load_tiny_vae
from motionstream_core.demo.weights import PHOTO_STUDENT, PHOTO_TINY_VAE, STUDENT, TINY_VAE
from motionstream_core.evaluation.metrics import psnr_db
from motionstream_core.evaluation.world.report import Video, frames_tensor, to_video
from motionstream_core.models.vae.tiny_vae import TinyVae
from motionstream_core.streaming.conditions import KnownTracks, StreamConditions, encode_prompt
from motionstream_core.streaming.decode import TinyStreamingDecoder
from motionstream_core.streaming.render.fit import fit_picture
from motionstream_core.streaming.stream import stream_chunks
from motionstream_core.tracks import Tracks

NUM_FRAMES, LAST, GRID = 49, 12, 5


def held_still(loaded: LoadedModel, vae: TinyVae, picture: np.ndarray) -> tuple[Video, Video]:
    """49 frames of the stream and of the VAE alone, of a picture (h w 3) of the model's size."""
    height, width = picture.shape[:2]
    axes = torch.meshgrid(*((torch.arange(GRID) + 0.5) * side / GRID for side in (width, height)), indexing="xy")
    points = torch.stack(axes, dim=-1).view(1, -1, 2).expand(NUM_FRAMES, -1, -1)
    tracks = Tracks(points, torch.ones(points.shape[:2], dtype=torch.bool), height, width)
    context = encode_prompt(loaded.model, loaded.spec, "")
    image = frames_tensor(picture[None])
    conditions = StreamConditions(loaded.model, loaded.spec, context, KnownTracks(tracks), image=image, vae=vae)
    length = loaded.spec.vae_stride.num_latent_frames(NUM_FRAMES)
    chunks = stream_chunks(loaded, conditions, TinyStreamingDecoder(vae), num_latent_frames=length)
    streamed = torch.cat([chunk.frames for chunk in chunks])
    alone = vae.decode(vae.encode(image.expand(-1, -1, NUM_FRAMES, -1, -1)))[0].permute(1, 2, 3, 0)
    return to_video(streamed), to_video(alone)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, nargs="+")
    photos = parser.parse_args().photos
    models = {"shapes": (STUDENT, TINY_VAE), "photo": (PHOTO_STUDENT, PHOTO_TINY_VAE)}
    print("| photo | model | stream dB | VAE alone dB |\n|---|---|---|---|")
    for name, (student, tiny_vae) in models.items():
        loaded, vae = load_model(student), load_tiny_vae(tiny_vae)
        for path in photos:
            with Image.open(path) as file:
                picture = fit_picture(file.convert("RGB"), *loaded.spec.frame_size)
            truth = np.repeat(picture[None], LAST, axis=0)
            figures = [psnr_db(video[-LAST:], truth) for video in held_still(loaded, vae, picture)]
            print(f"| {path.name} | {name} | {figures[0]:.1f} | {figures[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
