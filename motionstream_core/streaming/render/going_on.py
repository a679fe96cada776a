"""A stream that goes on from a file: a video's end or a saved stream, what follows to an mp4."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ...files import require_regular
from ...media.picture import read_picture
from ...media.video import VideoFrames
from ...tracks import Tracks, resample
from ..going_on import Before
from ..past import last_frames
from ..state import StreamState
from ..state_file import SUFFIX, read_state, write_state
from ..stream import StreamSettings
from .fit import fit_picture, fit_tracks, image_tensor
from .job import read_tracks
from .renderer import Renderer


@dataclass(frozen=True)
class GoingOn:
    """What goes on and how. tracks: from the last frame on, None for those that a saved stream still had.

    seen: what an image encoder looks at, (3 h w) in [0, 1]: the first frame that is remembered.
    """

    prompt: str
    before: Before
    tracks: Tracks | None
    num_frames: int
    seen: Tensor | None = None

    def frames(
        self, renderer: Renderer, seed: int = 0, keep: Callable[[StreamState], None] | None = None
    ) -> Iterator[Tensor]:
        """What follows, as `Renderer.going_on` makes it; the prompt is encoded before this returns.

        keep: see `state_to`.
        """
        (prompt,) = renderer.encode([self.prompt], [self.seen])
        renderer.settle()
        own = StreamSettings() if self.before.state is None else self.before.state.settings
        settings = replace(own, seed=seed)
        return renderer.going_on(prompt, self.before, self.tracks, self.num_frames, settings=settings, keep=keep)


def read_going_on(
    renderer: Renderer,
    name: str,
    prompt: str,
    source: Path,
    tracks: Path | None,
    image: Path | None = None,
    *,
    num_frames: int | None = None,
    frame_size: tuple[int, int] | None = None,
    units: str = "auto",
    order: str = "auto",
) -> GoingOn:
    """A job from files.

    name: of the model, for messages. source: a video, taken at the model's frames a second and cropped about its middle
    to the frame, or a saved stream. tracks: as `read_job` has them, over the video (the saved stream's own frames);
    their first sample is the last frame that there is. image: the first one of a saved stream, which does not hold it,
    for a model that looks at it through CLIP. num_frames: new ones; default as many as the tracks have, in whole
    chunks. Raises FileNotFoundError or ValueError naming the option.
    """
    for option, path in (("--continue", source), ("--tracks", tracks), ("--image", image)):
        if path is not None:
            require_regular(path, option)
    spec = renderer.loaded.spec
    if spec.role != "student":
        raise ValueError("--continue: this model is a teacher, which makes whole clips; give a student")
    if spec.track_head is None and tracks is not None:
        raise ValueError("--tracks: this model has no track head, it was not made to follow tracks; leave them out")
    try:
        before, picture = _before(renderer, name, source, frame_size)
    except ValueError as error:
        raise ValueError(f"--continue: {error}") from None
    seen = None if before.frames is None else before.frames[0, :, 0]
    if before.state is not None and spec.backbone.image_dim is not None:
        if image is None:
            raise ValueError(
                "--image is missing: this model looks at the first image, which is not saved with the stream"
            )
        seen = image_tensor(fit_picture(Image.fromarray(read_picture(image).pixels), *before.size))
    elif image is not None:
        raise ValueError("--image cannot be given beside --continue, which shows already what the video begins with")
    drawn = None
    if tracks is not None:
        drawn = fit_tracks(read_tracks(tracks, picture, units, order).tracks, *before.size)
    lengths = spec.chunk_lengths
    if num_frames is None:
        known = drawn.num_frames if drawn is not None else spec.vae_stride.num_frames(21)
        num_frames = lengths.at_most(max(known, lengths.first))
    lengths.check(num_frames)
    return GoingOn(prompt, before, None if drawn is None else resample(drawn, num_frames + 1), num_frames, seen)


def _before(
    renderer: Renderer, name: str, source: Path, frame_size: tuple[int, int] | None
) -> tuple[Before, tuple[int, int]]:
    """What was before, and the (height, width) px that tracks drawn on it refer to."""
    spec = renderer.loaded.spec
    if source.name.endswith(SUFFIX):
        state = read_state(source, renderer.maker(name), renderer.encoder, renderer.device)
        if frame_size not in (None, state.size):
            raise ValueError(f"the saved stream is {state.size[1]}x{state.size[0]} px; leave out --size")
        return Before(state=state), state.size
    size = frame_size or spec.frame_size
    video = VideoFrames(source)
    fitted = [image_tensor(fit_picture(Image.fromarray(each), *size)) for each in last_frames(spec, video)]
    return Before(torch.stack(fitted, dim=1)[None]), (video.height, video.width)


def state_to(path: Path | None, renderer: Renderer, name: str) -> Callable[[StreamState], None] | None:
    """Writes the state in which a stream ends to `path`; None for no path."""
    if path is None:
        return None
    if renderer.loaded.spec.role != "student":
        raise ValueError("--save-stream: this model is a teacher, which makes whole clips; give a student")
    if not path.name.endswith(SUFFIX):
        raise ValueError(f"--save-stream: {path.name} must end in {SUFFIX}")
    maker = renderer.maker(name)
    return lambda state: write_state(path, state, maker)
