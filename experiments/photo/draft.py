"""Fit the linear draft of the photo VAE's encoder, in two minutes: `python -m experiments.photo.draft TINY_VAE`."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.photo.drags import draw_drag, draw_pictures
from motionstream_core.checkpoints import load_tiny_vae, save_tiny_vae
from motionstream_core.training.stages.tiny_vae.draft import with_draft

SEED, PICTURES, NUM_FRAMES, SIZE_PX = 5, 30, 13, 128


def clips(count: int) -> Iterator[Tensor]:
    """Clips (1 3 t h w) in [0, 1] of drags."""
    rng = np.random.default_rng(SEED)
    pictures = draw_pictures(rng, PICTURES)
    for _ in range(count):
        frames = draw_drag(rng, pictures, NUM_FRAMES, SIZE_PX).frames
        yield torch.from_numpy(frames).permute(3, 0, 1, 2)[None].float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiny_vae", type=Path, help="the file; it gets the draft, in place of one that it has")
    parser.add_argument("--clips", type=int, default=160)
    args = parser.parse_args()
    save_tiny_vae(args.tiny_vae, with_draft(load_tiny_vae(args.tiny_vae).float(), clips(args.clips)), torch.float16)


if __name__ == "__main__":
    main()
