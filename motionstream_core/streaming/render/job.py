"""Image, tracks and prompt from files, video to a file: what `motionstream render` does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ...checkpoints.spec import ModelSpec
from ...files import require_regular
from ...media.picture import read_picture
from ...media.video_file import VideoFile
from ...tracks import Reading, TrackFormatError, Tracks, read_file, resample
from ..state import StreamState
from ..stream import StreamSettings
from .fit import fit_picture, fit_tracks, image_tensor
from .renderer import Renderer, TeacherSettings


@dataclass
class Pace:
    """How fast a video comes: told of every chunk as it is there. Times in s.

    first_frame_s: until the first generated frames (a first chunk that is the given image alone does not count).
    seconds_per_chunk: median over the chunks after that one; of a single chunk, the whole time.
    """

    started: float = field(default_factory=time.perf_counter)
    chunk_ends: list[float] = field(default_factory=list)
    chunk_frames: list[int] = field(default_factory=list)

    def chunk(self, num_frames: int) -> None:
        """`num_frames` frames have arrived on the CPU."""
        self.chunk_ends.append(time.perf_counter())
        self.chunk_frames.append(num_frames)

    @property
    def num_frames(self) -> int:
        return sum(self.chunk_frames)

    @property
    def first_frame_s(self) -> float:
        return self.chunk_ends[self._first()] - self.started

    @property
    def seconds_per_chunk(self) -> float:
        ends = self.chunk_ends[self._first() :]
        return float(np.median(np.diff(ends))) if len(ends) > 1 else self.chunk_ends[-1] - self.started

    @property
    def frames_per_second(self) -> float:
        return self.num_frames / (self.chunk_ends[-1] - self.started)

    def _first(self) -> int:
        return 1 if self.chunk_frames[0] == 1 and len(self.chunk_frames) > 1 else 0


@dataclass(frozen=True)
class RenderJob:
    """What to render. image: uint8 (h w 3) of the video's size, None for a model that takes none; tracks: of that size,
    as long as the video. told: how the tracks' file was read."""

    prompt: str
    tracks: Tracks
    image: NDArray[np.uint8] | None = None
    negative: str = ""
    told: str = ""

    def frames(
        self,
        renderer: Renderer,
        settings: StreamSettings | None = None,
        teacher: TeacherSettings | None = None,
        keep: Callable[[StreamState], None] | None = None,
    ) -> Iterator[Tensor]:
        """Its video, as `Renderer.video` makes it; the prompts are encoded before this returns."""
        image = None if self.image is None else image_tensor(self.image)
        prompts = [self.prompt, self.negative] if renderer.loaded.spec.role == "teacher" else [self.prompt]
        encoded = renderer.encode(prompts, [image] * len(prompts))
        renderer.settle()
        return renderer.video(
            encoded[0],
            image,
            self.tracks,
            self.tracks.num_frames,
            settings=settings,
            teacher=teacher,
            negative=encoded[-1] if len(encoded) > 1 else None,
            frame_size=(self.tracks.height, self.tracks.width),
            keep=keep,
        )


def read_job(
    renderer: Renderer,
    prompt: str,
    image: Path | None,
    tracks: Path | None,
    *,
    num_frames: int | None = None,
    frame_size: tuple[int, int] | None = None,
    negative: str = "",
    units: str = "auto",
    order: str = "auto",
) -> RenderJob:
    """A job from files; the picture is cropped about its middle to the frame, the tracks along with it.

    tracks: npz or a document of the track editor, in px of the frame that it names, or coordinate JSON in px of the
    picture (`tracks.read_file` tells of units and order); their whole motion is spread over `num_frames` (default: as
    many as they have samples, down to whole chunks). frame_size: (height, width), default the model's. Raises
    FileNotFoundError or ValueError naming the option.
    """
    spec = renderer.loaded.spec
    for name, path in (("--image", image), ("--tracks", tracks)):
        if path is not None:
            require_regular(path, name)
    for name, fault in unfit_inputs(spec, image is not None, tracks is not None):
        raise ValueError(f"--{name}: {fault}")
    height, width = frame_size or spec.frame_size
    picture = None if image is None else Image.fromarray(read_picture(image).pixels)
    size = (height, width) if picture is None else (picture.height, picture.width)
    read = Reading(Tracks.empty(1, height, width), "") if tracks is None else read_tracks(tracks, size, units, order)
    drawn = fit_tracks(read.tracks, height, width)
    lengths = spec.lengths.moving
    if num_frames is None:
        known = drawn.num_frames if tracks is not None else spec.vae_stride.num_frames(21)
        num_frames = lengths.at_most(max(known, lengths.first))
    lengths.check(num_frames)
    fitted = None if picture is None else fit_picture(picture, height, width)
    return RenderJob(prompt, resample(drawn, num_frames), fitted, negative, read.told)


def read_tracks(path: Path, picture: tuple[int, int], units: str = "auto", order: str = "auto") -> Reading:
    """What --tracks names; coordinates are over a picture of that (height, width) px. Raises TrackFormatError."""
    remedy = "give tracks that were drawn on this picture, or a file that says its size (npz, the editor's document)"
    try:
        return read_file(path, picture, units=units, order=order, remedy=remedy)
    except TrackFormatError as error:
        raise TrackFormatError(f"--tracks: {error}") from None


def write_frames(frames: Iterable[Tensor], out: Path, fps: float, *, generated: bool = True) -> Pace:
    """Write frames (t h w 3) in [0, 1] to `out` as they come; the file appears under its name when it is whole.

    generated: see `VideoFile`.
    """
    with VideoFile(out, fps, generated=generated) as file:
        pace = Pace()
        for each in frames:
            each = each.cpu()  # waits for the device, so that the time is the chunk's
            pace.chunk(len(each))
            file.push(each)
    return pace


def unfit_inputs(spec: ModelSpec, has_image: bool, has_tracks: bool) -> Iterator[tuple[str, str]]:
    """Which of "image" and "tracks" a model of `spec` lacks or does not take, and what is to be done."""
    wants_image = spec.image_rule != "none" or spec.backbone.image_dim is not None
    if has_image and not wants_image:
        yield "image", "this model makes video from text alone; leave the image out"
    if wants_image and not has_image:
        yield "image", "it is missing, and this model starts from an image"
    if has_tracks and spec.track_head is None:
        yield "tracks", "this model has no track head, it was not made to follow tracks; leave them out"
