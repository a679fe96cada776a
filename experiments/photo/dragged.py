"""Cut-outs of photos that a few points drag, with their truth, and how like it a video is over the piece.

A piece of one photo over another, whose ground is known where the piece has left it. Over the true place of the piece:
correlation with the true render (pixels less each channel's mean), PSNR in dB, and IoU of where the piece is seen
(pixels nearer to the moved piece than to what else could be there) with where it should be. Where the piece has been:
PSNR, and how rough the video is there, to the truth: of a blur, the best guess by PSNR, an eye sees that it is one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from experiments.photo.drags import Array, Cutout, DragClip, Matrices, composed, hand_path, posed
from motionstream_core.evaluation.world.report import Video
from motionstream_core.tracks import Tracks
from motionstream_core.world.leaves.picture import outline

NUM_FRAMES, SIZE_PX = 49, 128


@dataclass(frozen=True)
class Case:
    """A drag with its truth. still: the clip without the piece; ground (t 3 3): from its own px to the frames'."""

    clip: DragClip
    still: Video
    ground: Matrices

    def left(self, number: int) -> NDArray[np.bool_]:
        """Where (h w) in a frame the ground is that the piece stood on in the first, and stands on no more."""
        stood = self.clip.moved[0]
        if not np.allclose(self.ground[number], self.ground[0]):
            since = self.ground[number] @ np.linalg.inv(self.ground[0])
            stood = cv2.warpPerspective(stood, since, (SIZE_PX, SIZE_PX))
        return (stood > 0.5) & (self.clip.moved[number] <= 0.5)


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


def at_rest(ground: Array) -> Cutout:
    """A picture that fills the frame and does not move."""
    still = np.broadcast_to(np.eye(3), (NUM_FRAMES, 3, 3))
    return Cutout(ground, np.ones(ground.shape[:2], np.float32), still, np.zeros((0, 2)), False)


def case_of(rng: np.random.Generator, ground: Cutout, source: Array, points: int) -> Case:
    """A piece of `source`, which is SIZE_PX wide or more, from its own place there, dragged over `ground`."""
    radius = float(rng.uniform(16, 26))
    side = int(3.2 * radius) + 4
    center = rng.uniform(0.3, 0.7, 2) * SIZE_PX
    own_place = (center - (side - 1) / 2).round().astype(np.int64).clip(0, np.array(source.shape[1::-1]) - side)
    piece = cut_piece(rng, source, own_place, radius, points)
    shift = hand_path(rng, NUM_FRAMES, SIZE_PX, center)
    start = own_place + (side - 1) / 2
    moved = posed(start, shift, np.zeros(NUM_FRAMES), np.ones(NUM_FRAMES), side)
    clip = composed(ground, [replace(piece, to_frame=moved)], SIZE_PX)
    return Case(clip, composed(ground, [], SIZE_PX).frames, ground.to_frame)


def told(clip: DragClip) -> Tracks:
    """The points of what moves: the piece's, and the ground's under a camera."""
    mine = clip.moves[clip.owner]
    points, visibility = torch.from_numpy(clip.points[:, mine]), torch.from_numpy(clip.visibility[:, mine])
    return Tracks(points.float(), visibility, SIZE_PX, SIZE_PX)


def figures_of(case: Case, video: Video, span: slice) -> tuple[float, float, float]:
    """Correlation, PSNR and IoU, means over the span's frames."""
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
        other = np.abs(shown - case.still[number]).sum(-1)
        hit = place & (np.abs(shown - truth).sum(-1) < other)
        left = at_first & ~place & (np.abs(shown - first).sum(-1) < other)
        overlap = float(hit.sum() / (place | left).sum())
        rows.append((correlation, quality, overlap))
    correlation, quality, overlap = np.array(rows).mean(0)
    return correlation, quality, overlap


def behind(case: Case, video: Video, span: slice) -> tuple[float, float]:
    """PSNR where the piece has been and is no more, and roughness there (1: the truth's), means over the span's frames.

    Roughness is the deviation of pixels from the mean of the 5 x 5 about them.
    """
    rows = []
    for number in range(span.start, span.stop):
        left = case.left(number)
        if not left.any():
            continue
        truth, shown = (frames[number].astype(np.float64) for frames in (case.still, video))
        quality = 10 * np.log10(255**2 / max(1e-3, ((truth - shown)[left] ** 2).mean()))
        rough, real = (np.sqrt(((frame - cv2.blur(frame, (5, 5)))[left] ** 2).mean()) for frame in (shown, truth))
        rows.append((float(quality), float(rough / real)))
    quality, roughness = np.array(rows).mean(0)
    return quality, roughness
