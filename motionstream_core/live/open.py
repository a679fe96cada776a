"""A live session from files: models by a `Renderer`, an image, a prompt. The same session live and in a replay."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..files import checked_name
from ..media.picture import read_picture
from ..models.wan import CrossContext
from ..streaming.conditions import StreamConditions
from ..streaming.decode import StreamingDecoder
from ..streaming.events import GIVEN_SINCE, read_events
from ..streaming.image_source import Encoder, ImageSource, image_source
from ..streaming.live_tracks import LiveTracks
from ..streaming.network import Specified, SpecifiedNetwork
from ..streaming.render.fit import fit_picture, image_tensor
from ..streaming.render.renderer import Renderer, streaming_decoder
from ..streaming.session import SessionHooks, StreamSession
from ..streaming.stream import StreamSettings, step_list
from ..tracks import Tracks
from .recording import About

HISTORY_BYTES = 2 * 2**30
HISTORY_S = 30.0


@dataclass
class Opened:
    """What every stream of one model and size needs; a session begins at once.

    chunk_frames: latent frames of a chunk, None for as many as the model was trained with; fewer answer sooner.
    steps: denoise steps of a chunk, None for those that it was trained with.
    """

    renderer: Renderer
    size: tuple[int, int]
    seed: int = 0
    chunk_frames: int | None = None
    name: str = ""
    steps: int | None = None
    history_bytes: int = HISTORY_BYTES

    def __post_init__(self) -> None:
        self.loaded = with_chunks(self.renderer.loaded, self.chunk_frames)
        if self.loaded.spec.role != "student":
            raise ValueError("model: it is a teacher, which cannot stream; give a student")
        self.settings = StreamSettings(seed=self.seed, step_list=step_list(self.loaded.spec, self.steps))

    def fitted(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A picture (h w 3) at the stream's size, cropped about its middle."""
        return fit_picture(picture.convert("RGB"), *self.size)

    def about(self, prompt: str) -> About:
        """What a recording is of."""
        return about_of(self.loaded.spec, self.name, prompt, self.size, self.settings)

    def session(self, picture: NDArray[np.uint8] | None, prompt: str, hooks: SessionHooks) -> StreamSession:
        """A session that begins with `picture` (h w 3). Raises ValueError for a prompt that cannot be read."""
        loaded, renderer = self.loaded, self.renderer
        image = None if picture is None else image_tensor(picture)

        def encode(text: str) -> CrossContext:
            with torch.no_grad():
                return renderer.encode([text], [image])[0].context(loaded)

        with torch.no_grad():
            first = None if image is None else image[None, :, None].to(renderer.device)
            source = None if first is None else image_source(loaded.spec, renderer.encoder, first)
        return live_session(
            loaded,
            streaming_decoder(renderer.decoder),
            renderer.encoder,
            encode(prompt),
            encode,
            source=source,
            frame_size=self.size,
            settings=self.settings,
            hooks=hooks,
            history_bytes=self.history_bytes,
        )


def live_session(
    loaded: SpecifiedNetwork,
    decoder: StreamingDecoder,
    vae: Encoder,
    context: CrossContext,
    encode: Callable[[str], CrossContext],
    *,
    source: ImageSource | None,
    frame_size: tuple[int, int],
    settings: StreamSettings,
    hooks: SessionHooks,
    known_tracks: Tracks | None = None,
    history_bytes: int = HISTORY_BYTES,
) -> StreamSession:
    """A session that goes back by HISTORY_S and can be anchored anew.

    vae: encodes the frame of a new anchor. context, encode: of the first prompt, and of later ones. source: of the
    first image.
    """

    @torch.no_grad()
    def anchor(frame: Tensor) -> ImageSource:
        given = image_source(loaded.spec, vae, frame.permute(2, 0, 1)[None, :, None])
        assert given is not None
        return given

    def conditions(tracks: LiveTracks) -> StreamConditions:
        return StreamConditions(loaded.model, loaded.spec, context, tracks, source=source, frame_size=frame_size)

    return StreamSession(
        loaded,
        decoder,
        conditions,
        encode,
        frame_size=frame_size,
        known_tracks=known_tracks,
        settings=settings,
        anchor=anchor,
        history_bytes=history_bytes,
        history_s=HISTORY_S,
        hooks=hooks,
    )


def with_chunks(loaded: SpecifiedNetwork, chunk_frames: int | None) -> SpecifiedNetwork:
    """`loaded` with chunks of so many latent frames, None: its own. Raises ValueError for fewer than 1."""
    spec = loaded.spec.with_chunks(chunk_frames)
    return loaded if spec is loaded.spec else Specified(loaded.model, spec)


def about_of(spec: ModelSpec, name: str, prompt: str, size: tuple[int, int], settings: StreamSettings) -> About:
    """What a recording of a stream of `size` (height, width) is of."""
    plan, time = spec.chunk_plan, spec.vae_stride.time
    first = 1 + (plan.first_chunk_frames - 1) * time
    steps = len(settings.step_list or spec.step_list)
    chunk_frames = plan.chunk_frames * time
    return About(name, prompt, size[1], size[0], spec.fps, settings.seed, chunk_frames, first, steps)


@dataclass(frozen=True)
class Log:
    """A recording's log: what it was of, its events as `StreamSession.replay` reads them, its image.

    holds_given: tracks that were given beforehand are among the events; `events.GIVEN_SINCE` tells since when.
    """

    about: About
    text: str
    num_chunks: int
    image: Path | None
    holds_given: bool = True

    def picture(self) -> NDArray[np.uint8] | None:
        """Its image (h w 3), where that lies beside it."""
        return None if self.image is None else read_picture(self.image).pixels

    @classmethod
    def read(cls, path: Path) -> Log:
        """Raises FileNotFoundError, or ValueError for a file of another form, naming it."""
        try:
            log = cls.parse(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        image = path.parent / json.loads(log.text)["image"]
        return dataclasses.replace(log, image=image if image.is_file() else None)

    @classmethod
    def parse(cls, text: str) -> Log:
        """A log without its image. Raises ValueError for a text of another form."""
        try:
            values = json.loads(text)
            if values["format"] != "motionstream-live":
                raise ValueError(f"format {values['format']!r}")
            about = About(**{field.name: values[field.name] for field in dataclasses.fields(About)})
            _check(about)
            if "/" in checked_name(values["image"], "image"):
                raise ValueError(f"image {values['image']!r} is no file's name")
            if type(values["num_chunks"]) is not int or not 0 <= values["num_chunks"] <= MAX_CHUNKS:
                raise ValueError(f"num_chunks is {values['num_chunks']!r}; it must be 0 to {MAX_CHUNKS}")
            read_events(text)
            return cls(about, text, values["num_chunks"], None, values["version"] >= GIVEN_SINCE)
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"this is no log of a live stream: {error!r}") from None


MAX_CHUNKS = 10**9
_LIMITS = {
    "width": 8192,
    "height": 8192,
    "fps": 1000,
    "seed": 2**64 - 1,
    "chunk_frames": 10_000,
    "first_frames": 10_000,
    "steps": 1000,
}


def _check(about: About) -> None:
    """Raise ValueError for a value that no recording has: what makes a stream again is read strictly."""
    for name, most in _LIMITS.items():
        value, kinds = getattr(about, name), (int, float) if name == "fps" else (int,)
        if type(value) not in kinds or not (0 if name == "seed" else 1e-3) <= value <= most:
            raise ValueError(f"{name} is {value!r}; it must be a number up to {most}")
    for name in ("model", "prompt"):
        if not isinstance(getattr(about, name), str):
            raise ValueError(f"{name} is {getattr(about, name)!r}; it must be a text")


def replayed(opened: Opened, log: Log, picture: NDArray[np.uint8] | None) -> Iterator[Tensor]:
    """Frames (t h w 3) in [0, 1] of a log, chunk by chunk, as the live stream made them, undone parts left out."""
    session = opened.session(picture, log.about.prompt, SessionHooks())
    session.replay(log.text)
    for number, streamed in enumerate(session.run(), 1):
        yield streamed.frames
        if number >= log.num_chunks:
            return
