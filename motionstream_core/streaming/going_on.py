"""How a stream begins that goes on: from the end of a clip or from the state that another stream left."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..tracks import Tracks
from .conditions import KnownTracks, TrackSource
from .image_source import Encoder, ImageSource
from .past import TracksAfter, encoded_past
from .state import StreamState


@dataclass(frozen=True)
class Before:
    """What was before a stream: one of two.

    frames: (1 3 t h w) in [0, 1] of its size, as many as `past.past_frames` says. state: that another stream left.
    """

    frames: Tensor | None = None
    state: StreamState | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) px."""
        if self.state is not None:
            return self.state.size
        assert self.frames is not None
        return self.frames.shape[3], self.frames.shape[4]

    def num_latent_frames(self, spec: ModelSpec) -> int:
        """Of what the stream counts as its own."""
        if self.state is not None:
            return spec.chunk_plan.chunk(self.state.chunk).start
        assert self.frames is not None
        return spec.vae_stride.num_latent_frames(self.frames.shape[2])

    def tracks_after(self, given: Tracks | None) -> Tracks:
        """Tracks from the last frame on: those that are given, or else those that a saved stream still had."""
        own = None if self.state is None else self.state.tracks
        if given is None:
            return Tracks.empty(1, *self.size) if own is None else own
        return given if self.state is None else self.state.taken_up(given)


@dataclass(frozen=True)
class Beginning:
    """What stands in the image slot, the tracks, and latents that a stream is given or the state that it takes up."""

    source: ImageSource | None
    tracks: TrackSource
    given: Tensor | None = None
    state: StreamState | None = None


def begin(spec: ModelSpec, vae: Encoder, before: Before, tracks: Tracks) -> Beginning:
    """The beginning of a stream after `before`; tracks: from its last frame on (`Before.tracks_after`).

    Frames lie on the VAE's device.
    """
    if before.state is not None:
        after = TracksAfter(before.state.num_frames(spec), KnownTracks(tracks))
        return Beginning(before.state.source_copy(), after, state=before.state)
    assert before.frames is not None
    past = encoded_past(spec, vae, before.frames, tracks)
    return Beginning(past.source, past.tracks, past.latents)
