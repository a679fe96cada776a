"""One run of a stream in a host: memory, progress, preview, interrupt and saving, whatever steers it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import comfy.model_management as mm
import torch

from ...motionstream_core.checkpoints import ModelSpec
from ...motionstream_core.geometry import Chunk
from ...motionstream_core.streaming.conditions import TrackSource
from ...motionstream_core.streaming.state import StreamState, resumable_stream
from ...motionstream_core.streaming.state_file import write_state
from ...motionstream_core.streaming.stream import StreamedChunk, StreamSettings, step_list
from ..host.memory import PeakMemory
from ..host.model import Placed, StreamModel, make_ready, running
from ..host.preview import PreviewProgress
from ..host.user_files import forget
from ..host.vae import Coders
from .clock import StreamClock
from .output import SavedStream, StreamOutput
from .request import Clip, Text, clip_beginning, clip_conditions


@dataclass(frozen=True)
class StreamRun:
    """What is to be streamed. settings: with sink, window and step list named (`stream_settings`).

    saved: where the frames are written while they come, None for nowhere. state_file: where the stream's state is
    written when it ends, so that it can be taken up again. tracks: what steers the stream in place of
    the clip's own tracks. beside: what else computes while the stream runs, a point tracker say.
    """

    model: StreamModel
    coders: Coders
    clip: Clip
    text: Text
    settings: StreamSettings
    saved: SavedStream | None = None
    tracks: TrackSource | None = None
    beside: Sequence[Placed] = ()
    state_file: Path | None = None

    @torch.inference_mode()
    def __call__(self) -> tuple[StreamOutput, str]:
        """The stream's output and a report. Where there is no end the user's cancelling ends it: its file is whole."""
        model, coders, clip, settings = self.model, self.coders, self.clip, self.settings
        spec, count = model.spec, clip.num_latent_frames
        output = StreamOutput(clip.size, clip.num_frames(spec))
        clock = StreamClock()
        make_ready(coders.encoder, *self.beside)
        begun = clip_beginning(spec, coders.encoder, clip)
        make_ready(model, *coders.streaming(spec), *self.beside, memory_required=working_bytes(spec, clip, settings))
        memory = PeakMemory(model.device)
        clock.loaded()
        before = 0 if clip.before is None else spec.chunk_plan.num_chunks(clip.before.num_latent_frames(spec))
        num_chunks = None if count is None else spec.chunk_plan.num_chunks(count) - before
        left: list[StreamState] = []
        num_steps = len(settings.step_list or ())
        stopped: BaseException | None = None
        with contextlib.ExitStack() as stack:
            loaded = stack.enter_context(running(model))
            # without an end the bar fills with every chunk anew
            progress = stack.enter_context(PreviewProgress(num_steps * (num_chunks or 1)))
            file = None if self.saved is None else stack.enter_context(self.saved.open(spec.fps))

            def after_step(chunk: Chunk, step: int, num_steps: int) -> None:
                progress.step((0 if num_chunks is None else (chunk.index - before) * num_steps) + step + 1)

            chunks = resumable_stream(
                loaded,
                clip_conditions(model, clip, self.text, begun.source, self.tracks or begun.tracks),
                coders.decoder.decoder(),
                num_latent_frames=count,
                settings=settings,
                callback=after_step,
                given=begun.given,
                state=begun.state,
                keep=None if self.state_file is None else left.append,
            )
            try:
                for streamed in _logged(chunks, num_chunks):
                    output.push(streamed.frames, streamed.latents)
                    if file is not None:
                        file.push(streamed.frames)
                    clock.chunk(generated=streamed.chunk.num_frames > 1 or not spec.pin_first_latent)
                    memory.look()
                    progress.play(output.newest(len(streamed.frames)), spec.fps)
                    progress.step(num_steps * (1 if num_chunks is None else streamed.chunk.index - before + 1))
            except mm.InterruptProcessingException as interrupt:
                if count is not None:
                    raise
                stopped = interrupt
            finally:
                chunks.close()
                if left and self.state_file is not None:
                    write_state(self.state_file, left[0], model.maker)
                    forget()
        if stopped is not None:
            raise stopped
        return output, self._report(output, num_chunks, clock, memory)

    def _report(self, output: StreamOutput, num_chunks: int | None, clock: StreamClock, memory: PeakMemory) -> str:
        (height, width), settings = self.clip.size, self.settings
        what = (
            f"{output.num_frames} frames of {width} x {height} px in {num_chunks} chunks of "
            f"{len(settings.step_list or ())} steps by {self.model.name}, seed {settings.seed}, sink "
            f"{settings.sink_frames} and window {settings.window_frames} latent frames"
        )
        return f"{clock.describe(output.num_frames)}\npeak memory {memory.describe()}\n{what}"


def stream_settings(
    spec: ModelSpec,
    seed: int,
    sink_frames: int = -1,
    window_frames: int = -1,
    steps: int = -1,
    saved: StreamSettings | None = None,
) -> StreamSettings:
    """Settings with every value named; -1 takes those of the saved stream that goes on, or else the checkpoint's.

    Raises ValueError where nothing is remembered.
    """
    own = StreamSettings(seed, spec.sink_frames, spec.window_frames, spec.step_list) if saved is None else saved
    sink = own.sink_frames if sink_frames < 0 else sink_frames
    window = own.window_frames if window_frames < 0 else window_frames
    assert sink is not None and window is not None, "a state names all of its settings"
    if sink + window == 0:
        raise ValueError("sink_frames and window_frames are both 0, so no chunk would know the ones before; raise one")
    return StreamSettings(seed, sink, window, step_list(spec, steps) if steps > 0 else own.step_list)


def beyond_training(spec: ModelSpec, name: str, settings: StreamSettings) -> list[str]:
    """A line for every setting that goes beyond what the checkpoint `name` was made for."""
    lines = beyond_steps(spec, name, len(settings.step_list or spec.step_list))
    for field, given, trained in (
        ("sink_frames", settings.sink_frames, spec.sink_frames),
        ("window_frames", settings.window_frames, spec.window_frames),
    ):
        if given is not None and given > trained:
            lines.append(f"{field} is {given}, but {name} was trained with {trained}: more than it learned to use")
    return lines


def beyond_steps(spec: ModelSpec, name: str, steps: int) -> list[str]:
    """A line where `steps` are more than the student `name` was distilled for."""
    own = len(spec.step_list)
    if steps <= own:
        return []
    levels = ", ".join(map(str, spec.step_list))
    return [
        f"steps is {steps}, but {name} was distilled for {own} ({levels}): more take longer, at noise levels that it "
        f"never learned"
    ]


def working_bytes(spec: ModelSpec, clip: Clip, settings: StreamSettings) -> int:
    """A generous guess at what a chunk needs beside the weights: the cache, a block's activations, decoded features."""
    element, (height, width) = 4, clip.size
    backbone, stride = spec.backbone, spec.vae_stride
    sink, window = settings.sink_frames or 0, settings.window_frames or 0
    frame_tokens = height * width // (stride.space**2 * backbone.patch[1] * backbone.patch[2])
    cache = spec.cache_bytes(clip.size, element, sink, window)
    tokens = (sink + window + spec.chunk_plan.chunk_frames) * frame_tokens
    block = tokens * (8 * backbone.dim + 2 * backbone.ffn_dim) * element
    decoded = spec.chunk_plan.chunk_frames * stride.time * height * width * 64 * 3 * element
    return cache + block + decoded


def _logged(chunks: Generator[StreamedChunk, None, None], total: int | None) -> Iterator[StreamedChunk]:
    """The chunks; the stream is closed, and its cache freed, however the loop over them ends."""
    of_total = "until stopped" if total is None else f"{total} chunks"
    logging.info("MotionStream: stream opened, %s", of_total)
    done = 0
    try:
        for streamed in chunks:
            yield streamed
            done += 1
    finally:
        chunks.close()
        logging.info("MotionStream: stream closed after %d of %s", done, of_total)
