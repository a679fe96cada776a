"""Conditions of a clip or of a stream: image, prompt and trajectories, chunk by chunk.

A chunk's conditions are made when its turn comes, from its own track frames alone, so a stream that is steered while
it runs and a clip whose tracks are all known go the same way.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..geometry import Chunk, VideoShape
from ..models.conditioning import Conditions, first_frame_mask
from ..models.wan import CrossContext
from ..tracks import Tracks
from .network import Network

GREY_CLIP_LATENT_FRAMES = 21  # after so many the encoding of grey no longer changes; later frames repeat the last


class Encoder(Protocol):
    """What conditions need of a VAE."""

    def encode(self, frames: Tensor) -> Tensor:
        """Latents (b c f h w) of frames (b 3 t h w) in [0, 1]."""
        ...


class TrackSource(Protocol):
    """Where a stream's track samples come from: a finished `Tracks`, or a live hand."""

    def at_frames(self, start: int, stop: int) -> Tracks:
        """Tracks of pixel frames [start, stop); asked for once per chunk, in order."""
        ...


class KnownTracks:
    """Tracks that are all known beforehand. Past their last frame every track is let go (invisible)."""

    def __init__(self, tracks: Tracks) -> None:
        self.tracks = tracks

    def at_frames(self, start: int, stop: int) -> Tracks:
        """Frames [start, stop) of the tracks."""
        tracks = self.tracks
        known = max(0, min(stop, tracks.num_frames) - start)
        missing = stop - start - known
        if missing == 0:
            return tracks.slice(start, stop)
        rest = tracks.points[-1:].nan_to_num().expand(missing, -1, -1)
        hidden = torch.zeros(missing, tracks.num_tracks, dtype=torch.bool)
        points = torch.cat([tracks.points[start : start + known], rest])
        visibility = torch.cat([tracks.visibility[start : start + known], hidden])
        return Tracks(points, visibility, tracks.height, tracks.width, tracks.ids)


def encode_prompt(model: Network, spec: ModelSpec, prompt: str) -> CrossContext:
    """Cross-attention keys of `prompt` by the bundled text encoder.

    Raises ValueError for a word outside its vocabulary, or for a model that has no text encoder of its own.
    """
    if model.text_encoder is None:
        raise ValueError(
            "this checkpoint has no text encoder of its own (its spec lists no vocabulary); "
            "give text embeddings to model.prepare_context"
        )
    return model.prepare_context(model.text_encoder.encode([prompt]))


def image_latents(spec: ModelSpec, vae: Encoder, image: Tensor) -> Tensor | None:
    """Image latents (1 c f h w) of an image (1 3 1 h w) in [0, 1] by the spec's rule; None for text-to-video.

    Latent frame 0 is the image; what follows is what later latent frames are given (the last repeats for ever).
    """
    if spec.image_rule == "none":
        return None
    if spec.image_rule == "first_latent":
        first = vae.encode(image)
        return torch.cat([first, torch.zeros_like(first)], dim=2)
    grey = image.new_full(
        (*image.shape[:2], spec.vae_stride.num_frames(GREY_CLIP_LATENT_FRAMES) - 1, *image.shape[3:]), 0.5
    )
    return vae.encode(torch.cat([image, grey], dim=2))


class StreamConditions:
    """Gives every chunk its conditions: `rollout`'s condition source, and the whole clip's for the teacher.

    image: (1 3 1 h w) in [0, 1], its size the stream's, encoded by `vae`; or `latents`, what `image_latents` made of it
        before, and `frame_size`. None for text-to-video (then `frame_size` is asked for too).
    Tracks may be of another frame size; they are scaled. `context` may be replaced while the stream runs.
    """

    def __init__(
        self,
        model: Network,
        spec: ModelSpec,
        context: CrossContext,
        tracks: TrackSource,
        *,
        image: Tensor | None = None,
        vae: Encoder | None = None,
        latents: Tensor | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        self.model, self.spec, self.context, self.tracks = model, spec, context, tracks
        self._device, self._dtype = model.placement
        if spec.image_rule != "none" and latents is None:
            if image is None or vae is None:
                raise ValueError("image and vae are needed: this model starts from an image")
            frame_size = (image.shape[3], image.shape[4])
        if frame_size is None:
            raise ValueError("frame_size is needed: there is no image to read it from")
        self.frame_size = frame_size
        video = VideoShape(1, *frame_size)
        shape = spec.vae_stride.latent_shape(video, spec.backbone.out_channels, spec.backbone.patch)
        self.latent_size = (shape.height, shape.width)
        if spec.image_rule != "none" and latents is None and image is not None and vae is not None:
            latents = image_latents(spec, vae, image)
        self._image = None if latents is None else latents.to(self._device, self._dtype)

    @property
    def image_latents(self) -> Tensor | None:
        """What `image_latents` made of the image, on the model's device; may be replaced while the stream runs."""
        return self._image

    @image_latents.setter
    def image_latents(self, latents: Tensor) -> None:
        self._image = latents.to(self._device, self._dtype)

    def __call__(self, chunk: Chunk) -> Conditions:
        """Conditions of one chunk; its track frames are asked for here."""
        return self._run(chunk.start, chunk.stop)

    def whole(self, num_latent_frames: int) -> Conditions:
        """Conditions of the first `num_latent_frames` latent frames at once."""
        return self._run(0, num_latent_frames)

    def _run(self, start: int, stop: int) -> Conditions:
        count, (height, width) = stop - start, self.latent_size
        like = torch.empty(0, device=self._device, dtype=self._dtype)
        image = self._image_run(start, stop)
        pinned = self.spec.pin_first_latent and start == 0
        return Conditions(
            context=self.context,
            mask=first_frame_mask(count, height, width, like, start) if self.spec.layout.width("mask") else None,
            image=image if self.spec.layout.width("image") else None,
            track=self._motion(start, stop),
            clean_first=image[:, :, :1] if pinned and image is not None else None,
        )

    def _image_run(self, start: int, stop: int) -> Tensor | None:
        if self._image is None:
            return None
        index = torch.arange(start, stop).clamp(max=self._image.shape[2] - 1)
        return self._image[:, :, index.to(self._device)]

    def _motion(self, start: int, stop: int) -> Tensor | None:
        if self.model.track_head is None:
            return None
        return motion_latents(self.model, self.spec, self.tracks, start, stop, self.frame_size).to(self._dtype)


def motion_latents(
    model: Network, spec: ModelSpec, tracks: TrackSource, start: int, stop: int, frame_size: tuple[int, int]
) -> Tensor:
    """Motion latents (1 c f h w) of latent frames [start, stop), on the model's device, in its track head's dtype.

    Raises ValueError for a model without a track head.
    """
    spec.check_takes_motion()
    assert model.track_head is not None
    device, _ = model.placement
    run = tracks.at_frames(*spec.vae_stride.frame_span(start, stop)).rescaled(*frame_size)
    return model.track_head.encode(
        run.points[None].to(device),
        run.visibility[None].to(device),
        run.ids.to(device),
        frame_size,
        at_start=start == 0,
    )
