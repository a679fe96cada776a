"""A reference video for the motion transfer example: other things than the demo's, standing where the demo's stand.

`python -m motionstream_core.demo.reference_clip js/picker/bundled` writes it, and the pictures that the nodes offer.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import torch
from PIL import Image

from ..media.video_file import VideoFile
from ..world import Clip, Motion, Path, render
from ..world.leaves.picture import leaves_picture
from ..world.scene import Camera
from .example import drawn_example

REFERENCE_SIDE_PX = 256
REFERENCE_FRAMES = 49
FPS = 16
OBJECT_CHROMA = 60  # grey levels
LEAVES_SEED = 3
LOOKS = (("yellow", "square"), ("blue", "circle"), ("cyan", "diamond"))


def reference_clip(num_frames: int = REFERENCE_FRAMES, size_px: int = REFERENCE_SIDE_PX) -> Clip:
    """One object swings sideways and back, one goes round, one drops and comes up again, over a ground at rest.

    Colours, shapes and ground are not those of `example.drawn_example`, and patterned, so that points can be followed;
    places in the first frame are, in its proportions. The true points come with it.
    """
    example = drawn_example(2)
    unit = size_px / example.image.shape[0]
    # the first of each object's five points is its centre
    starts = [example.tracks.points[0, 5 * index].double().numpy() for index in range(3)]
    u = np.linspace(0, 1, num_frames)[:, None]
    there_and_back = 0.5 - 0.5 * np.cos(2 * np.pi * u)
    around = 2 * np.pi * u * u * (3 - 2 * u)
    toward_middle = np.sign(size_px / 2 - unit * np.array(starts))
    ways = (
        there_and_back * np.array([[toward_middle[0, 0] * 0.42, 0.0]]),
        0.13 * (np.concatenate([np.cos(around), np.sin(around)], 1) - [1.0, 0.0]) * [-1.0, 1.0],
        there_and_back * np.array([[0.0, toward_middle[2, 1] * 0.4]]),
    )
    paths = tuple(
        Path(
            (unit * start + way * size_px).astype(np.float32),
            np.zeros(num_frames, np.float32),
            np.ones(num_frames, np.float32),
        )
        for start, way in zip(starts, ways, strict=True)
    )
    sprites = tuple(
        replace(sprite, color=color, shape=shape, pattern="dots", radius_px=sprite.radius_px * unit)
        for sprite, (color, shape) in zip(example.scene.sprites, LOOKS, strict=True)
    )
    scene = replace(example.scene, sprites=sprites, texture=_fine_waves(), background_angle=2.0, effect="still air")
    return render(scene, Motion(paths, Camera.at_rest(num_frames)), size_px)


def _fine_waves() -> np.ndarray:
    """Waves of 8 to 30 px in every direction: ground that a tracker can hold on to."""
    rng = np.random.default_rng(5)
    length, heading = rng.uniform(8, 30, 20), rng.uniform(0, 2 * np.pi, 20)
    number = 2 * np.pi / length
    columns = [number * np.cos(heading), number * np.sin(heading), rng.uniform(0, 2 * np.pi, 20)]
    return np.stack([*columns, rng.uniform(0.005, 0.03, 20), rng.uniform(-0.15, 0.15, 20)], 1).astype(np.float32)


def object_mask() -> np.ndarray:
    """uint8 (h w), 255 where one of the demo's objects stands in its image: nothing else there is saturated."""
    image = drawn_example(2).image.astype(int)
    return np.where(image.max(-1) - image.min(-1) > OBJECT_CHROMA, 255, 0).astype(np.uint8)


def write_files(folder: FilePath) -> None:
    """The bundled pictures, the mask of what can be moved in the first of them, and the reference video."""
    reference = reference_clip()
    leaves = leaves_picture(np.random.default_rng(LEAVES_SEED), REFERENCE_SIDE_PX, REFERENCE_SIDE_PX)
    pictures = {
        "three_shapes": drawn_example(2).image,
        "three_shapes.mask": object_mask(),
        "dotted_things": reference.frames[0],
        "leaves": (leaves * 255 + 0.5).astype(np.uint8),
    }
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(folder / f"{name}.png", optimize=True)
    with VideoFile(folder / "three_things_moving.mp4", FPS, crf=20, generated=False) as file:
        file.push(torch.from_numpy(reference.frames).float() / 255)


if __name__ == "__main__":
    write_files(FilePath(sys.argv[1]))
