"""What a stream goes on from: the end of a clip, as if the stream had made it, and tracks that begin where it ends.

The clip's last frames are encoded and fed to the student as clean context, chunk by chunk, by the pass with which it
remembers its own chunks (`rollout`, given latents). Then it goes on. Why so few frames, and what the image slot of a
model for photos holds meanwhile: docs/adr/0011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..media.frames import AtTimes, Frames, TimedFrames
from ..media.times import TOLERANCE
from ..tracks import Tracks
from ..tracks.extract.tracker import OpenCvTracker
from .conditions import KnownTracks, TrackSource
from .image_source import Encoder, ImageSource, clip_source


@dataclass(frozen=True)
class Past:
    """latents (1 c f h w) of the end of a clip, in whole chunks; what stands in the image slot, and the tracks."""

    latents: Tensor
    source: ImageSource | None
    tracks: TracksAfter


def past_frames(spec: ModelSpec, num_frames: int) -> int:
    """How many frames at the end of a clip of `num_frames` a stream goes on from: what fills sink and window, or less.

    Raises ValueError for a clip that is shorter than a first chunk.
    """
    stride, plan = spec.vae_stride, spec.chunk_plan
    filled = next(chunk.stop for chunk in plan.chunks() if chunk.stop >= spec.sink_frames + spec.window_frames)
    shortest = stride.num_frames(plan.first_chunk_frames)
    used = spec.lengths.at_most(min(num_frames, stride.num_frames(filled)))
    if not used:
        raise ValueError(
            f"it has {num_frames} frame{'s' if num_frames != 1 else ''}, and this checkpoint goes on from "
            f"{spec.lengths} frames, the last ones of a video; give at least {shortest}"
        )
    return used


def last_frames(spec: ModelSpec, source: TimedFrames) -> Frames:
    """The end of a video, uint8 (t h w 3), at the model's frames a second, counted back from its very last frame.

    Raises ValueError as `past_frames` does.
    """
    last_s = float(source.times_s[-1])
    count = past_frames(spec, 1 + int(last_s * spec.fps + TOLERANCE))
    return AtTimes(source, last_s - np.arange(count)[::-1] / spec.fps).read(0, count)


@torch.no_grad()
def encoded_past(spec: ModelSpec, vae: Encoder, frames: Tensor, after: Tracks) -> Past:
    """The end of a clip, frames (1 3 t h w) in [0, 1] of the stream's size on the VAE's device.

    after: tracks of what follows, from the clip's last frame on; where their points came from is found in the clip.
    Raises ValueError for a clip that is too short (`past_frames`).
    """
    frames = frames[:, :, -past_frames(spec, frames.shape[2]) :]
    latents = vae.encode(frames)
    before = followed_back(frames, after.slice(0, 1))
    tracks = TracksAfter(frames.shape[2], KnownTracks(after), before)
    return Past(latents, clip_source(spec, vae, frames, latents), tracks)


@dataclass(frozen=True)
class TracksAfter:
    """Tracks of what follows `num_past` frames: their first sample is of the last of those, the rest of new ones.

    before: tracks of those frames, where they are known; None tells the model of none. Ids are the same in both.
    """

    num_past: int
    after: TrackSource
    before: Tracks | None = None

    def at_frames(self, start: int, stop: int) -> Tracks:
        """See `TrackSource`."""
        shift = self.num_past - 1
        if start > shift:
            return self.after.at_frames(start - shift, stop - shift)
        if stop > self.num_past:
            raise ValueError(f"frames [{start}, {stop}) are of the past and of what follows, which chunks never mix")
        if self.before is not None:
            return KnownTracks(self.before).at_frames(start, stop)
        return _only_last(self.after.at_frames(0, 1), stop - start, seen=stop == self.num_past)


def _only_last(tracks: Tracks, count: int, *, seen: bool) -> Tracks:
    """`count` frames of the tracks of one, which can be seen in the last of them alone, if at all."""
    visibility = torch.zeros(count, tracks.num_tracks, dtype=torch.bool)
    if seen:
        visibility[-1] = tracks.visibility[0]
    return Tracks(tracks.points.nan_to_num().expand(count, -1, -1), visibility, tracks.height, tracks.width, tracks.ids)


def followed_back(frames: Tensor, begun: Tracks) -> Tracks:
    """Where the points that `begun` shows in the last of frames (1 3 t h w) in [0, 1] were in the frames before.

    begun: one frame of tracks, of any size. A student that is told how things came goes on with them more closely
    (docs/adr/0011). By OpenCV's tracker, which needs no weights.
    """
    count, (height, width) = frames.shape[2], frames.shape[3:]
    begun = begun.rescaled(height, width)
    before = _only_last(begun, count, seen=True)
    columns = torch.nonzero((begun.visibility & begun.in_frame())[0])[:, 0]
    if not len(columns) or count == 1:
        return before
    pixels = (frames[0].permute(1, 2, 3, 0) * 255 + 0.5).to("cpu", torch.uint8).numpy()
    places = begun.points[0, columns].numpy()
    queries = np.concatenate([np.full((len(places), 1), count - 1, np.float32), places], axis=1)
    found = OpenCvTracker().track(pixels, queries)
    points, visibility = before.points.clone(), before.visibility.clone()
    points[:-1, columns], visibility[:-1, columns] = found.points[:-1], found.visibility[:-1]
    return Tracks(points, visibility, height, width, begun.ids)
