"""Conditions of a clip or of a stream: image, prompt and trajectories, chunk by chunk.

A chunk's conditions are made when its turn comes, from its own track frames alone, so a stream that is steered while
it runs and a clip whose tracks are all known go the same way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..geometry import Chunk, VideoShape
from ..models.conditioning import Conditions, first_frame_mask
from ..models.wan import CrossContext
from ..tracks import Tracks
from .image_source import Encoder, ImageSlot, ImageSource, image_source
from .network import Network
from .to_device import tracks_to_device


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


class StreamConditions:
    """Gives every chunk its conditions: `rollout`'s condition source, and the whole clip's for the teacher.

    image: (1 3 1 h w) in [0, 1], its size the stream's, encoded by `vae`; or `source`, what `image_source` made of it
        before, and `frame_size`. None for text-to-video (then `frame_size` is asked for too). The source may be
        replaced while the stream runs.
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
        source: ImageSource | None = None,
        frame_size: tuple[int, int] | None = None,
    ) -> None:
        self.model, self.spec, self.context, self.tracks = model, spec, context, tracks
        self._device, self._dtype = model.placement
        if spec.image_rule != "none" and source is None:
            if image is None or vae is None:
                raise ValueError("image and vae are needed: this model starts from an image")
            frame_size = (image.shape[3], image.shape[4])
        if frame_size is None:
            raise ValueError("frame_size is needed: there is no image to read it from")
        self.frame_size = frame_size
        video = VideoShape(1, *frame_size)
        shape = spec.vae_stride.latent_shape(video, spec.backbone.out_channels, spec.backbone.patch)
        self.latent_size = (shape.height, shape.width)
        if spec.image_rule != "none" and source is None and image is not None and vae is not None:
            source = image_source(spec, vae, image)
        self.source = source

    def __call__(self, chunk: Chunk) -> Conditions:
        """Conditions of one chunk; its track frames are asked for here."""
        return self._run(chunk.start, chunk.stop)

    def whole(self, num_latent_frames: int) -> Conditions:
        """Conditions of the first `num_latent_frames` latent frames at once."""
        if self.spec.image_rule != "carried":
            return self._run(0, num_latent_frames)
        runs = [self(chunk) for chunk in self.spec.chunk_plan.chunks(num_latent_frames)]  # as a stream carries it

        def joined(kind: str) -> Tensor | None:
            parts = [part for run in runs if (part := getattr(run, kind)) is not None]
            return torch.cat(parts, dim=2) if parts else None

        return replace(runs[0], mask=joined("mask"), image=joined("image"), track=joined("track"), forecast=None)

    def _run(self, start: int, stop: int) -> Conditions:
        span = self.spec.vae_stride.frame_span(start, stop)
        tracks = self.tracks.at_frames(*span).rescaled(*self.frame_size)
        slot, mask = self._image_and_mask(start, stop, tracks)
        image = None if slot is None else slot.latents.to(self._device, self._dtype)
        pinned = self.spec.pin_first_latent and start == 0
        track = None
        if self.model.track_head is not None:
            track = motion_latents(self.model, self.spec, tracks, at_start=start == 0).to(self._dtype)
        return Conditions(
            context=self.context,
            mask=mask if self.spec.layout.width("mask") else None,
            image=image if self.spec.layout.width("image") else None,
            track=track,
            clean_first=image[:, :, :1] if pinned and image is not None else None,
            forecast=None if slot is None else slot.forecast,
        )

    def _image_and_mask(self, start: int, stop: int, tracks: Tracks) -> tuple[ImageSlot | None, Tensor]:
        like = torch.empty(0, device=self._device, dtype=self._dtype)
        mask = first_frame_mask(stop - start, *self.latent_size, like, start)
        if self.source is None:
            return None, mask
        slot = self.source.at_latents(start, stop, tracks)
        if slot.moved is not None:
            mask = moved_mask(mask, slot.moved.to(like), start)
        return slot, mask


def moved_mask(mask: Tensor, moved: Tensor, start: int) -> Tensor:
    """The mask (b 4 f h w) of latent frames from `start` on, with shares (b 2 f h w) but in the first."""
    known = int(start == 0)
    mask = mask.clone()
    mask[:, :2, known:] = moved[:, :, known:]
    return mask


def motion_latents(model: Network, spec: ModelSpec, tracks: Tracks, *, at_start: bool) -> Tensor:
    """Motion latents (1 c f h w) of the latent frames whose pixel frames have `tracks`, on the model's device.

    They are in the track head's dtype. at_start: the tracks begin with a clip's first frame. Raises ValueError for a
    model without a track head.
    """
    spec.check_takes_motion()
    assert model.track_head is not None
    device, _ = model.placement
    size = tracks.height, tracks.width
    return model.track_head.encode(*tracks_to_device(tracks, device), size, at_start=at_start)
