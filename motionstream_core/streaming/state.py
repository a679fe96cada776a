"""A stream that can be left and taken up again: everything that the rest of it depends on, at a chunk boundary."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checkpoints.spec import ModelSpec
from ..geometry import Chunk
from ..models.conditioning import Conditions, Forecast
from ..models.kv_cache import CacheState, KVCache
from ..tracks import NUM_IDS, Tracks
from .conditions import KnownTracks, StreamConditions
from .decode import StreamingDecoder
from .image_source import ImageSource
from .network import SpecifiedNetwork
from .past import TracksAfter
from .rollout import StepCallback
from .stream import StreamedChunk, StreamSettings, pushed, stream_cache, stream_chunks

DECODER_LATENT_FRAMES = 24
"""Of the newest latents, what a state holds: a decoder that was shown them goes on as if it had seen all."""
SAME_PX = 0.5


@dataclass(frozen=True)
class StreamState:
    """Where a stream stands before chunk number `chunk`.

    latents: (1 c f h w), the newest, on the CPU as the cache's content is. size: (height, width) px. source: what is
    in the image slot from here on. tracks: those of the stream from its last frame on, where they were known. settings:
    with all values named. told: as the latents, what the model was told that these would be like; None where it is not.
    """

    chunk: int
    size: tuple[int, int]
    settings: StreamSettings
    latents: Tensor
    cache: CacheState
    source: ImageSource | None
    tracks: Tracks | None = None
    told: Tensor | None = None

    def num_frames(self, spec: ModelSpec) -> int:
        """Frames of the stream so far."""
        return spec.vae_stride.num_frames(spec.chunk_plan.chunk(self.chunk).start)

    def taken_up(self, tracks: Tracks) -> Tracks:
        """Tracks that begin in the stream's last frame, under ids by which they are not mistaken for others.

        One that begins where the saved one of its id stood is that one, and goes on; any other is new.
        """
        if self.tracks is None:
            return tracks
        was = self.tracks.rescaled(tracks.height, tracks.width)
        known = {track_id: column for column, track_id in enumerate(was.ids.tolist())}
        taken = {*known, *tracks.ids.tolist()}
        free = (each for each in range(NUM_IDS) if each not in taken)
        ids = tracks.ids.clone()
        for column, track_id in enumerate(tracks.ids.tolist()):
            if track_id in known and not _same(was, known[track_id], tracks, column):
                ids[column] = next(free)
        return replace(tracks, ids=ids)

    def source_copy(self) -> ImageSource | None:
        """The image slot's source, for a stream that goes on; this state stays as it is."""
        return None if self.source is None else self.source.copy()


class _Ended(Exception):
    """The stream ends at this boundary."""


class _Keeper:
    """A condition source around another, which may end at any boundary; it knows there what the rest depends on.

    keeps: whether that is asked for. Where it is not the device is never waited for.
    """

    def __init__(
        self,
        conditions: StreamConditions,
        cache: KVCache,
        latents: Tensor | None,
        told: Tensor | None,
        num_known: int,
        keeps: bool,
    ) -> None:
        self._conditions, self._cache, self._keeps = conditions, cache, keeps
        self._latents = [latents.cpu()] if keeps and latents is not None else []
        self._told = [] if told is None else [told]
        self._forecast: Forecast | None = None
        self._num_frames = num_known
        self._boundary: tuple[Chunk, ImageSource | None] | None = None
        self.ending = False

    def __call__(self, chunk: Chunk) -> Conditions:
        if self._keeps:
            source = self._conditions.source
            self._boundary = chunk, None if source is None else source.copy()
        if self.ending:
            raise _Ended
        conditions = self._conditions(chunk)
        self._forecast = conditions.forecast
        if self._keeps and chunk.stop <= self._num_frames:  # it is given, and was told like any other
            self._heard(self._latents[0][:, :, chunk.start : chunk.stop])
        return conditions

    def _heard(self, latents: Tensor) -> None:
        """What the newest chunk, of these latents, was told; where that is nothing, it has made what it was told."""
        told = latents if self._forecast is None else self._forecast.latents.to(latents)
        self._told = [_newest([*self._told, told])]

    def made(self, latents: Tensor) -> None:
        """The chunk that was asked for; the cache takes it in before the next one is."""
        if not self._keeps:
            return
        latents = latents.cpu()
        self._latents = [_newest([*self._latents, latents])]
        self._heard(latents)
        self._num_frames += latents.shape[2]
        self._boundary = None

    def state(self, settings: StreamSettings) -> StreamState | None:
        """At the last boundary; None where not all chunks before it are remembered, or there are none."""
        if self._boundary is None or not self._latents:
            return None
        (chunk, source), conditions = self._boundary, self._conditions
        if chunk.start != self._num_frames:
            return None
        self._cache.num_frames_seen = chunk.start  # a stream that has ended left it reset, its content in place
        remembered = self._cache.state()
        self._cache.reset()
        last = conditions.spec.vae_stride.num_frames(chunk.start) - 1
        tracks = _from_frame(conditions, last)
        told = self._told[0] if conditions.spec.image_rule == "carried" else None
        size, latents = conditions.frame_size, _newest(self._latents)
        return StreamState(chunk.index, size, settings, latents, remembered, source, tracks, told)


def resumable_stream(
    loaded: SpecifiedNetwork,
    conditions: StreamConditions,
    decoder: StreamingDecoder,
    *,
    num_latent_frames: int | None,
    settings: StreamSettings,
    keep: Callable[[StreamState], None] | None = None,
    callback: StepCallback | None = None,
    given: Tensor | None = None,
    state: StreamState | None = None,
) -> Generator[StreamedChunk, None, None]:
    """`stream_chunks` that may go on from a state, and leaves one when it ends.

    keep: is given the state, whether the stream came to its length, was closed or failed within a chunk; what was
    yielded before is in it. given: see `stream_chunks`. state: of the stream that goes on, `conditions` holding a copy
    of its source. num_latent_frames counts what is given or was made before. Raises ValueError for settings that
    remember more or less than the state does, and for a length that fills no whole chunks.
    """
    cache = stream_cache(loaded, conditions.latent_size, settings)
    known, num_known = given, 0 if given is None else given.shape[2]
    if state is not None:
        known, num_known = state.latents, loaded.spec.chunk_plan.chunk(state.chunk).start
        enter(state, cache, decoder, loaded, settings)
    if num_latent_frames is not None:
        loaded.spec.chunk_plan.num_chunks(num_latent_frames)
        assert num_latent_frames > num_known, "nothing is left to be made"
    told = None if state is None else state.told
    keeper = _Keeper(conditions, cache, known, told, num_known, keeps=keep is not None)
    chunks = stream_chunks(
        loaded,
        keeper,
        decoder,
        latent_size=conditions.latent_size,
        num_latent_frames=None,
        settings=settings,
        callback=callback,
        cache=cache,
        first_chunk=0 if state is None else state.chunk,
        given=given,
    )
    try:
        for streamed in chunks:
            keeper.made(streamed.latents)
            keeper.ending = streamed.chunk.stop == num_latent_frames
            yield streamed
    except _Ended:
        pass
    except GeneratorExit:
        if keep is not None:  # the last chunk that was yielded is still to be remembered
            keeper.ending = True
            with contextlib.suppress(_Ended):
                next(chunks)
        raise
    finally:
        chunks.close()
        if keep is not None and (left := keeper.state(settings)) is not None:
            keep(left)


def enter(
    state: StreamState, cache: KVCache, decoder: StreamingDecoder, loaded: SpecifiedNetwork, settings: StreamSettings
) -> None:
    """Put cache and decoder where the stream of `state` left them. Raises ValueError for another sink or window."""
    for name in ("sink_frames", "window_frames"):
        kept, wanted = getattr(state.settings, name), getattr(settings, name)
        if kept != wanted:
            raise ValueError(f"{name} is {wanted}, but the saved stream remembers {kept}; leave it as it was")
    cache.restore(state.cache)
    device, dtype = loaded.model.placement
    decoder.reset()
    told = state.latents if state.told is None else state.told
    for latent, foreseen in zip(
        *(each.to(device, dtype).split(1, dim=2) for each in (state.latents, told)), strict=True
    ):
        pushed(decoder, loaded.spec, latent, foreseen)


def _newest(latents: list[Tensor]) -> Tensor:
    """As much of them, joined, as a decoder has to be shown."""
    return torch.cat(latents, dim=2)[:, :, -DECODER_LATENT_FRAMES:]


def _same(was: Tracks, old: int, tracks: Tracks, new: int) -> bool:
    """Whether a track begins where another one stands, or is hidden as it is."""
    if bool(was.visibility[0, old]) != bool(tracks.visibility[0, new]):
        return False
    return not was.visibility[0, old] or float((was.points[0, old] - tracks.points[0, new]).norm()) < SAME_PX


def _from_frame(conditions: StreamConditions, frame: int) -> Tracks | None:
    """The tracks from that frame on, where all are known; of those that have ended one frame, hidden."""
    source = conditions.tracks
    if isinstance(source, TracksAfter):
        source, frame = source.after, frame - source.num_past + 1
    if not isinstance(source, KnownTracks):
        return None
    return source.at_frames(frame, max(frame + 1, source.tracks.num_frames))
